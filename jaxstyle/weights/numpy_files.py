"""`vgg19.npy`: a pickled dictionary of NumPy arrays, read without NumPy's unpickler."""

import io
import warnings
from typing import Any

import numpy as np

from jaxstyle.errors import JaxstyleError
from jaxstyle.weights.pickles import Buildable, Dialect, load_pickle

MAGIC = b"\x93NUMPY"

_FLOATS = ("f2", "f4", "f8")
_OBJECTS = ("O", "O4", "O8")


class _DType(Buildable):
    """Stands in for `numpy.dtype`: floats, or objects."""

    def __init__(self, code: Any, *_: Any):
        if code not in _OBJECTS and code not in _FLOATS:
            raise JaxstyleError(f"arrays of type {code!a} are not read; expected floats.")
        self.code = code
        self.order = "<"

    def set_state(self, state: Any) -> None:
        self.order = ">" if state[1] == ">" else "<"

    @property
    def holds_objects(self) -> bool:
        return self.code in _OBJECTS


class _Array(Buildable):
    """Stands in for `numpy.ndarray`; `values` is an array of floats, or a list of objects."""

    def __init__(self, *_: Any):
        self.values: Any = None

    def set_state(self, state: Any) -> None:
        _, shape, dtype, fortran, content = state
        if not isinstance(dtype, _DType):
            raise TypeError("an array without a type")
        if dtype.holds_objects:
            self.values = list(content)
            return
        raw = content.encode("latin-1") if isinstance(content, str) else bytes(content)  # str: from Python 2
        flat = np.frombuffer(raw, dtype=f"{dtype.order}{dtype.code}")
        self.values = flat.reshape(tuple(map(int, shape)), order="F" if fortran else "C")


_DIALECT = Dialect(
    builders={
        "numpy.core.multiarray._reconstruct": _Array,
        "numpy._core.multiarray._reconstruct": _Array,
        "numpy.dtype": _DType,
    },
    markers=("numpy.ndarray",),
)


def read_npy(data: bytes) -> dict[str, np.ndarray]:
    """Reads `{"conv1_1": [kernel, bias], …}` as `conv1_1.kernel` (HWIO) and `conv1_1.bias`.

    Raises:
      JaxstyleError: the file holds something else, is damaged, or asks for anything but arrays.
    """
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # headers written by Python 2
        _, _, dtype = read_header(stream)
    if not dtype.hasobject:
        raise JaxstyleError(f"the file holds one array of {dtype}; expected a pickled dictionary, conv1_1 → [W, b].")
    outer = load_pickle(stream, _DIALECT)
    inner = outer.values if isinstance(outer, _Array) else None
    if not (isinstance(inner, list) and len(inner) == 1 and isinstance(inner[0], dict)):
        raise JaxstyleError("the file holds no dictionary; expected conv1_1 → [W, b].")
    arrays = {}
    for layer, pair in inner[0].items():
        if not (isinstance(pair, list | tuple) and len(pair) == 2):
            continue
        for part, array in zip(("kernel", "bias"), pair, strict=True):
            if isinstance(array, _Array) and isinstance(array.values, np.ndarray):
                arrays[f"{layer}.{part}"] = array.values
    return arrays
