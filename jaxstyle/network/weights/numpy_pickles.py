"""NumPy's arrays inside pickles, built without NumPy's own functions: arrays of floats, and of objects."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxstyle.network.weights.pickles import Buildable

_FLOATS = ("f2", "f4", "f8")
_OBJECTS = ("O", "O4", "O8")


class Unpickled(NamedTuple):
    """What a pickle holds.

    Attributes:
      arrays: by their keys, joined with dots where dictionaries and lists are nested.
      aside: name → class of everything else that is an object.
    """

    arrays: dict[str, np.ndarray]
    aside: dict[str, str]


class PickledType(Buildable):
    """Stands in for `numpy.dtype`."""

    def __init__(self, code: Any, *_: Any):
        """Takes the type as NumPy abbreviates it, `f4`."""
        self.code = code if isinstance(code, str) else type(code).__name__
        self.order = "<"

    def set_state(self, state: Any) -> None:
        """Takes the byte order; it is `|` where there is none."""
        self.order = ">" if state[1] == ">" else "<"


class PickledArray(Buildable):
    """Stands in for `numpy.ndarray`.

    Attributes:
      values: an array of floats; a list of objects; None for an array of anything else.
      code: the type of its elements, as NumPy abbreviates it.
    """

    def __init__(self, *_: Any):
        """An array whose content comes later."""
        self.values: Any = None
        self.code = ""

    def set_state(self, state: Any) -> None:
        """Takes the shape, the type and the content."""
        _, shape, dtype, fortran, content = state
        self.fill(content, dtype, shape, "F" if fortran else "C")

    def fill(self, content: Any, dtype: Any, shape: Any, order: Any) -> None:
        """Lays the content out."""
        if not isinstance(dtype, PickledType):
            raise TypeError("an array without a type")
        self.code = dtype.code
        if self.code in _OBJECTS:
            self.values = list(content)
        elif self.code in _FLOATS:
            raw = content.encode("latin-1") if isinstance(content, str) else content  # str: from Python 2
            if not isinstance(raw, bytes | bytearray):
                raise TypeError("an array whose content is no bytes")
            flat = np.frombuffer(raw, dtype=f"{dtype.order}{self.code}")
            self.values = flat.reshape(_sizes(shape, flat.size), order="F" if order == "F" else "C")


def _sizes(shape: Any, elements: int) -> tuple[int, ...]:
    sizes = tuple(map(int, shape))
    if min(sizes, default=0) < 0 or math.prod(sizes) != elements:
        raise ValueError(f"{elements} numbers do not fill the shape {sizes}")
    return sizes


def _from_buffer(content: Any, dtype: Any, shape: Any, order: Any, *_: Any) -> PickledArray:
    array = PickledArray()
    array.fill(content, dtype, shape, order)
    return array


NUMPY_BUILDERS: Mapping[str, Callable[..., Any]] = {
    "numpy.dtype": PickledType,
    "numpy.core.multiarray._reconstruct": PickledArray,
    "numpy._core.multiarray._reconstruct": PickledArray,
    "numpy.core.numeric._frombuffer": _from_buffer,
    "numpy._core.numeric._frombuffer": _from_buffer,
}

NUMPY_PLAIN_CALLS = (
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.random.__RandomState_ctor",
    "numpy.random._pickle.__bit_generator_ctor",
    "numpy.random._pickle.__generator_ctor",
    "numpy.random._pickle.__randomstate_ctor",
    "numpy.random.bit_generator.__pyx_unpickle_SeedSequence",
)
"""NumPy's scalars and random generators."""
