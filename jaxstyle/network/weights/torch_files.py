"""PyTorch's two file forms, the legacy one and the zip, as named NumPy arrays; PyTorch is not needed.

Legacy: four pickles (magic number, protocol, system, tensors), a pickled list of storage keys, then each storage as
its number of elements (int64) and its bytes. Zip: `…/data.pkl` with the tensors and `…/data/KEY` with each storage.
"""

import dataclasses
import io
import math
import struct
from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np

from jaxstyle.errors import JaxstyleError
from jaxstyle.network.weights.numpy_pickles import NUMPY_BUILDERS, NUMPY_PLAIN_CALLS, PickledArray, Unpickled
from jaxstyle.network.weights.pickles import Dialect, Global, Instance, load_pickle
from jaxstyle.network.weights.zips import open_zip, read_stored

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001

_STORAGES: Mapping[str, Any] = {
    "torch.FloatStorage": "<f4",
    "torch.DoubleStorage": "<f8",
    "torch.HalfStorage": "<f2",
    "torch.BFloat16Storage": ml_dtypes.bfloat16,
    "torch.ComplexFloatStorage": "<c8",
    "torch.ComplexDoubleStorage": "<c16",
    "torch.ByteStorage": "|u1",
    "torch.CharStorage": "|i1",
    "torch.ShortStorage": "<i2",
    "torch.IntStorage": "<i4",
    "torch.LongStorage": "<i8",
    "torch.BoolStorage": "|b1",
    "torch.QInt8Storage": "|i1",
    "torch.QUInt8Storage": "|u1",
    "torch.QInt32Storage": "<i4",
    "torch.QUInt4x2Storage": "|u1",
    "torch.QUInt2x4Storage": "|u1",
    "torch.storage.UntypedStorage": "|u1",
}

_PLAIN_CALLS = (
    *NUMPY_PLAIN_CALLS,
    "torch.Size",
    "torch.device",
    "torch.nn.parameter.UninitializedBuffer",
    "torch.nn.parameter.UninitializedParameter",
    "torch.serialization._get_layout",
    "torch._utils._rebuild_meta_tensor_no_storage",
    "torch._utils._rebuild_nested_tensor",
    "torch._utils._rebuild_qtensor",
    "torch._utils._rebuild_sparse_tensor",
    "torch._utils._rebuild_tensor_v3",
)
"""What makes plain values, and tensors of kinds that no network's weights are: quantized, sparse, without content."""

_MAX_DEPTH = 16

_ADVICE = "Save its tensors alone, in the program that wrote it: torch.save(model.state_dict(), 'tensors.pth')"


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

    @property
    def repeats(self) -> bool:
        """Whether an axis has stride 0, so that few numbers stand for any number of them."""
        repeated = any(size > 1 and stride == 0 for size, stride in zip(self.shape, self.strides, strict=False))
        return repeated and 0 not in self.shape


def is_legacy(data: bytes) -> bool:
    """Whether the bytes begin with a pickle of the legacy form's magic number; protocols differ in what is before."""
    in_binary, in_text = b"\x8a\x0a" + LEGACY_MAGIC.to_bytes(10, "little"), b"L%dL" % LEGACY_MAGIC
    return in_binary in data[:32] or in_text in data[:32]


def read_legacy(data: bytes) -> Unpickled:
    """Reads a file of PyTorch's legacy form.

    Raises:
      JaxstyleError: it is damaged, holds a whole model, or asks for a call that is not known to be harmless.
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


def read_zip(data: bytes) -> Unpickled:
    """Reads a file of PyTorch's zip form.

    Raises:
      JaxstyleError: it is damaged, compressed (PyTorch never compresses), holds a whole model, or asks for a call that
        is not known to be harmless.
    """
    with open_zip(data) as archive:
        pickle_name = next(name for name in archive.namelist() if name.rpartition("/")[2] == "data.pkl")
        if sum(member.file_size for member in archive.infolist()) > len(data):
            raise JaxstyleError("its members are compressed, or larger than the file; save it again with PyTorch.")
        folder = pickle_name.removesuffix("data.pkl")
        state, storages = _load_state(io.BytesIO(read_stored(archive, pickle_name)))
        if f"{folder}byteorder" in archive.namelist() and read_stored(archive, f"{folder}byteorder") != b"little":
            raise JaxstyleError("the file was written on a big-endian machine; save it again on a little-endian one.")
        contents = {key: read_stored(archive, f"{folder}data/{key}") for key in storages}
    return _materialize(state, contents)


def _load_state(stream: io.BytesIO) -> tuple[dict[Any, Any], dict[str, _Storage]]:
    """The pickle of tensors: what it holds, and every storage that it names."""
    storages: dict[str, _Storage] = {}

    def persistent(identity: Any) -> Any:
        kind, marker, key, *rest = identity
        if kind == "module" and isinstance(marker, Global):  # a model's class with its source, before PyTorch 1.6
            return marker
        if kind != "storage" or not isinstance(marker, Global) or not isinstance(key, str):
            raise JaxstyleError(f"a persistent id that names no storage: {kind!a}.")
        _, elements, *view = rest
        if view not in ([], [None]):
            raise JaxstyleError(
                "a view of a storage, as PyTorch before 0.4 wrote them; save it again with a newer one."
            )
        if marker.path not in _STORAGES:
            raise JaxstyleError(f"a storage of the unknown type {marker.path!a}.")
        found = _Storage(key, np.dtype(_STORAGES[marker.path]), int(elements))
        if storages.setdefault(key, found) != found:
            raise JaxstyleError(f"storage {key!a} is described twice, differently: the file is damaged.")
        return found

    builders = {
        **NUMPY_BUILDERS,
        "torch._utils._rebuild_tensor": _rebuild_tensor,
        "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
        "torch._utils._rebuild_parameter": _rebuild_parameter,
        "torch._utils._rebuild_parameter_with_state": _rebuild_parameter,
        "torch._tensor._rebuild_from_type_v2": lambda function, _class, arguments, _state: (
            _rebuild_tensor(*arguments) if _is_tensor_function(function) else Instance(function.path)
        ),
    }
    state = load_pickle(stream, Dialect(builders, _PLAIN_CALLS, persistent))
    if isinstance(state, Instance) and state.items:
        return state.items, storages
    if isinstance(state, Instance | Global):
        raise JaxstyleError(f"the file holds a whole pickled object, {state.path!a}, which is not read. {_ADVICE}")
    if isinstance(state, list | tuple):
        return dict(enumerate(state)), storages
    if not isinstance(state, dict):
        kind = type(state).__name__.removeprefix("_").lower()
        raise JaxstyleError(f"the file holds a {kind}; expected a dictionary of tensors. {_ADVICE}")
    return state, storages


def _is_tensor_function(function: Any) -> bool:
    return isinstance(function, Global) and function.path.startswith("torch._utils._rebuild_tensor")


def _rebuild_tensor(
    storage: Any, offset: Any, shape: Any, strides: Any, _gradient: Any = None, _hooks: Any = None, flags: Any = None
) -> _Tensor:
    """Stands in for both of PyTorch's functions."""
    if not isinstance(storage, _Storage):
        raise TypeError("a tensor without a storage")
    if isinstance(flags, dict) and any(flags.values()):
        raise JaxstyleError(f"a tensor whose numbers are meant otherwise than stored ({', '.join(flags)}). {_ADVICE}")
    return _Tensor(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))


def _rebuild_parameter(tensor: Any, *_: Any) -> Any:
    """A parameter is its tensor."""
    return tensor


def _materialize(state: dict[Any, Any], contents: dict[str, Any]) -> Unpickled:
    """Every tensor of the state, and of the dictionaries and lists in it, as a read-only view."""
    found = Unpickled({}, {})
    seen: set[int] = set()

    def visit(name: str, value: Any, depth: int) -> None:
        if isinstance(value, PickledArray):
            value = value.values
        if isinstance(value, _Tensor) and value.repeats:
            value = Instance("tensor that repeats its numbers")
        if isinstance(value, _Tensor | np.ndarray):
            if name in found.arrays:
                raise JaxstyleError(f"two tensors in it are called {name!a}.")
            found.arrays[name] = _view(name, value, contents) if isinstance(value, _Tensor) else value
        elif isinstance(value, Instance) and not value.items:
            found.aside[name] = value.path
        elif isinstance(value, dict | list | tuple | Instance) and id(value) not in seen and depth < _MAX_DEPTH:
            seen.add(id(value))  # one dictionary under two keys is read once, and a ring of them ends
            items = value.items if isinstance(value, Instance) else value
            for key, inner in items.items() if isinstance(items, dict) else enumerate(items):
                visit(f"{name}.{key}" if depth else str(key), inner, depth + 1)

    visit("", state, 0)
    return found


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
