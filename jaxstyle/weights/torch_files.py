"""PyTorch's two file forms, the legacy one and the zip, as named NumPy arrays; PyTorch is not needed.

Legacy: four pickles (magic number, protocol, system, tensors), a pickled list of storage keys, then each storage as
its number of elements (int64) and its bytes. Zip: `…/data.pkl` with the tensors and `…/data/KEY` with each storage.
"""

import dataclasses
import io
import math
import struct
import zipfile
from typing import Any

import numpy as np

from jaxstyle.errors import JaxstyleError
from jaxstyle.weights.pickles import Dialect, Global, load_pickle

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001

_STORAGES = {
    "torch.FloatStorage": "<f4",
    "torch.DoubleStorage": "<f8",
    "torch.HalfStorage": "<f2",
    "torch.ByteStorage": "|u1",
    "torch.CharStorage": "|i1",
    "torch.ShortStorage": "<i2",
    "torch.IntStorage": "<i4",
    "torch.LongStorage": "<i8",
    "torch.BoolStorage": "|b1",
}


@dataclasses.dataclass(frozen=True)
class _Storage:
    """A storage that the pickle names: where its bytes lie is known only later."""

    key: str
    dtype: np.dtype
    elements: int


@dataclasses.dataclass(frozen=True)
class _Tensor:
    """A view into a storage, counted in elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def is_legacy(data: bytes) -> bool:
    """Whether the bytes begin with the legacy form's magic number (pickle protocol 2 or later, opcode LONG1)."""
    return data[:1] == b"\x80" and data[2:14] == b"\x8a\x0a" + LEGACY_MAGIC.to_bytes(10, "little")


def read_legacy(data: bytes) -> dict[str, np.ndarray]:
    """Reads a file of PyTorch's legacy form.

    Raises:
      JaxstyleError: it is damaged, or asks for anything but tensors.
    """
    stream = io.BytesIO(data)
    plain = Dialect(builders={})
    if load_pickle(stream, plain) != LEGACY_MAGIC or load_pickle(stream, plain) != _LEGACY_PROTOCOL:
        raise JaxstyleError("not PyTorch's legacy form, protocol 1001.")
    load_pickle(stream, plain)  # the writer's system; the storages are little-endian on every one
    state, storages = _load_state(stream)
    contents: dict[str, bytes | memoryview] = {}
    for key in load_pickle(stream, plain):
        storage = storages.get(key)
        header = stream.read(8)
        if storage is None or len(header) != 8:
            raise JaxstyleError(f"storage {key!a} is not there: the file is damaged or truncated.")
        (elements,) = struct.unpack("<q", header)
        start = stream.tell()
        end = start + elements * storage.dtype.itemsize
        if elements < 0 or end > len(data):
            raise JaxstyleError(f"storage {key!a} ends beyond the file's end: the file is damaged or truncated.")
        contents[key] = memoryview(data)[start:end]
        stream.seek(end)
    return _materialize(state, contents)


def read_zip(data: bytes) -> dict[str, np.ndarray]:
    """Reads a file of PyTorch's zip form.

    Raises:
      JaxstyleError: it is damaged, compressed (PyTorch never compresses), or asks for anything but tensors.
    """
    archive = zipfile.ZipFile(io.BytesIO(data))
    pickle_name = next((name for name in archive.namelist() if name.rpartition("/")[2] == "data.pkl"), None)
    if pickle_name is None:
        raise JaxstyleError("a zip file without PyTorch's data.pkl.")
    if sum(member.file_size for member in archive.infolist()) > len(data):
        raise JaxstyleError("its members are larger than the file; PyTorch stores its members as they are.")
    folder = pickle_name.removesuffix("data.pkl")
    state, storages = _load_state(io.BytesIO(_read_stored(archive, pickle_name)))
    if f"{folder}byteorder" in archive.namelist() and _read_stored(archive, f"{folder}byteorder") != b"little":
        raise JaxstyleError("the file was written on a big-endian machine; save it again on a little-endian one.")
    contents = {key: _read_stored(archive, f"{folder}data/{key}") for key in storages}
    return _materialize(state, contents)


def _read_stored(archive: zipfile.ZipFile, name: str) -> bytes:
    """A member that is stored as it is: its size cannot exceed the file's."""
    try:
        member = archive.getinfo(name)
    except KeyError:
        raise JaxstyleError(f"the member {name!a} is missing: the file is damaged.") from None
    if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
        raise JaxstyleError(f"the member {name!a} is compressed; PyTorch stores its members as they are.")
    return archive.read(member)


def _load_state(stream: io.BytesIO) -> tuple[dict[Any, Any], dict[str, _Storage]]:
    """The pickle of tensors: what it holds, and every storage that it names."""
    storages: dict[str, _Storage] = {}

    def storage(identity: Any) -> _Storage:
        kind, marker, key, _, elements, *rest = identity
        if kind != "storage" or not isinstance(marker, Global) or not isinstance(key, str) or rest not in ([], [None]):
            raise JaxstyleError(f"a persistent id that names no plain storage: {kind!a}.")
        found = _Storage(key, np.dtype(_STORAGES[marker.path]), int(elements))
        if storages.setdefault(key, found) != found:
            raise JaxstyleError(f"storage {key!a} is described twice, differently: the file is damaged.")
        return found

    dialect = Dialect(
        builders={
            "collections.OrderedDict": _ordered_dict,
            "torch._utils._rebuild_tensor": _rebuild_tensor,
            "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
        },
        markers=_STORAGES,
        persistent=storage,
    )
    state = load_pickle(stream, dialect)
    if not isinstance(state, dict):
        raise JaxstyleError(f"the file holds a {type(state).__name__}; expected a dictionary of tensors.")
    return state, storages


def _ordered_dict(items: Any = ()) -> dict[str, Any]:
    return {str(key): value for key, value in items}


def _rebuild_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _Tensor:
    """Stands in for both of PyTorch's functions; what follows the strides (gradients, hooks) is of no use here."""
    if not isinstance(storage, _Storage):
        raise TypeError("a tensor without a storage")
    return _Tensor(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))


def _materialize(state: dict[Any, Any], contents: dict[str, Any]) -> dict[str, np.ndarray]:
    """Every tensor of the state, and of a state nested one level under `state_dict`, as a read-only view."""
    nested = state.get("state_dict")
    tensors = nested if isinstance(nested, dict) else state
    return {
        str(name): _view(str(name), tensor, contents) for name, tensor in tensors.items() if isinstance(tensor, _Tensor)
    }


def _view(name: str, tensor: _Tensor, contents: dict[str, Any]) -> np.ndarray:
    storage = tensor.storage
    values = np.frombuffer(contents.get(storage.key, b""), dtype=storage.dtype)
    if len(values) != storage.elements:
        raise JaxstyleError(f"{name!a}: its storage has {len(values)} elements where {storage.elements} are announced.")
    elements = math.prod(tensor.shape)
    last = tensor.offset + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.strides, strict=True))
    negative = min((tensor.offset, *tensor.shape, *tensor.strides)) < 0
    if negative or elements > len(values) or (elements and last >= len(values)):
        raise JaxstyleError(f"{name!a}: the tensor reaches beyond its storage: the file is damaged.")
    if not elements:
        return np.zeros(tensor.shape, storage.dtype)
    strides = [stride * storage.dtype.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(values[tensor.offset :], tensor.shape, strides, writeable=False)
