"""NumPy's arrays in files: `.npy` with a pickled dictionary, plain pickles, `.npz`; none needs NumPy's unpickler."""

import io
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from jaxstyle.errors import JaxstyleError
from jaxstyle.network.weights.layouts import in_order
from jaxstyle.network.weights.numpy_pickles import NUMPY_BUILDERS, NUMPY_PLAIN_CALLS, PickledArray, Unpickled
from jaxstyle.network.weights.pickles import Dialect, Instance, load_pickle
from jaxstyle.network.weights.zips import is_zip, member_names, open_zip

MAGIC = b"\x93NUMPY"

_TENSORS = (
    "torch._tensor._rebuild_from_type_v2",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_tensor_v2",
    "torch.storage._load_from_bytes",
)
"""How Python's own pickler writes PyTorch's tensors: named, and not read."""

_DIALECT = Dialect(NUMPY_BUILDERS, (*NUMPY_PLAIN_CALLS, *_TENSORS))
_MAX_DEPTH = 8
_MAX_RATIO = 4
"""Weights do not compress better than this."""


def is_pickle(data: bytes) -> bool:
    """Whether the bytes begin like a pickle of protocol 2 or later."""
    return data[:1] == b"\x80" and data[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")


def is_npz(data: bytes) -> bool:
    """Whether the bytes are a zip file of NumPy's arrays."""
    names = member_names(data) if is_zip(data) else []
    return bool(names) and all(name.endswith(".npy") for name in names)


def read_npy(data: bytes) -> Unpickled:
    """Reads a pickled dictionary within NumPy's own form; see `read_pickle`.

    Raises:
      JaxstyleError: the file holds something else, is damaged, or asks for anything but arrays.
    """
    stream = io.BytesIO(data)
    _, _, dtype = _read_header(stream)
    if not dtype.hasobject:
        raise JaxstyleError(f"the file holds one array of {dtype}; expected a pickled dictionary, conv1_1 → [W, b].")
    outer = load_pickle(stream, _DIALECT)
    inner = outer.values if isinstance(outer, PickledArray) else None
    return _arrays(inner[0] if isinstance(inner, list) and len(inner) == 1 else None)


def read_pickle(data: bytes) -> Unpickled:
    """Reads a dictionary: `{"conv1_1": [kernel, bias], …}`, `{"conv1_1": {"weights": kernel, "biases": bias}, …}`,
    `{"param values": [kernel, bias, kernel, bias, …]}`, or arrays by any names.

    Raises:
      JaxstyleError: the file holds something else, is damaged, or asks for anything but arrays.
    """  # fmt: skip
    return _arrays(load_pickle(io.BytesIO(data), _DIALECT))


def read_npz(data: bytes) -> dict[str, np.ndarray]:
    """Reads the arrays of an `.npz` file; those that hold objects are left out.

    Raises:
      JaxstyleError: they claim to be larger than the file can be.
    """
    arrays = {}
    with open_zip(data) as archive:
        if sum(member.file_size for member in archive.infolist()) > _MAX_RATIO * len(data):
            raise JaxstyleError("its members claim to be larger than the file can be.")
        for member in archive.infolist():
            with archive.open(member) as content:
                stream = io.BytesIO(content.read(member.file_size))
            shape, fortran, dtype = _read_header(stream)
            if not dtype.hasobject:
                values = np.frombuffer(stream.read(), dtype).reshape(shape, order="F" if fortran else "C")
                arrays[member.filename.removesuffix(".npy")] = values
    return arrays


def _read_header(stream: io.BytesIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    """The shape, whether the first axis changes fastest, and the type of the array that follows."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # headers written by Python 2
        return read(stream)


def _arrays(value: Any) -> Unpickled:
    if not isinstance(value, dict):
        raise JaxstyleError("the file holds no dictionary; expected conv1_1 → [W, b].")
    named = dict(_named("", value))
    return Unpickled(
        {name: item for name, item in named.items() if isinstance(item, np.ndarray)},
        {name: item.path for name, item in named.items() if isinstance(item, Instance)},
    )


def _named(name: str, value: Any, depth: int = 0) -> Iterator[tuple[str, np.ndarray | Instance]]:
    """Yields the arrays of floats, and the objects, in a tree with their names, joined with dots."""
    if isinstance(value, PickledArray) and isinstance(value.values, np.ndarray):
        yield name, value.values
    elif isinstance(value, Instance):
        yield name, value
    elif depth > _MAX_DEPTH:
        return
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _named(f"{name}.{key}" if name else str(key), inner, depth + 1)
    elif isinstance(value, list | tuple) and all(isinstance(item, PickledArray) for item in value):
        names = ("kernel", "bias") if len(value) == 2 else _in_pairs(len(value))
        for part, inner in zip(names, value, strict=False):
            yield from _named(f"{name}.{part}", inner, depth + 1)


def _in_pairs(count: int) -> list[str]:
    """The names of kernels and biases in turn, as Lasagne lists them."""
    return [f"{in_order(place)}.{part}" for place in range(1, count // 2 + 1) for part in ("kernel", "bias")]
