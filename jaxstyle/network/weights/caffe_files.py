"""Caffe models (`.caffemodel`): the convolutions' blobs by name.

Field numbers are those of `caffe.proto`; the old form of a layer (V1LayerParameter) and the new one are both read.
"""

import math

import numpy as np

from jaxstyle.errors import JaxstyleError
from jaxstyle.network.weights.protobuf import BYTES, Field, read_fields, read_floats, read_integers

_LAYERS = {2: (4, 6), 100: (1, 7)}
"""A network's field that holds a layer, old and new → the layer's fields that hold its name and its blobs."""

_TYPE = 2  # of a new layer, as text

_DIMENSIONS = (1, 2, 3, 4)  # the old form of a blob's shape: num, channels, height, width
_DATA, _DOUBLE_DATA, _SHAPE, _SHAPE_SIZES = 5, 8, 7, 1


def looks_like_caffe(data: bytes) -> bool:
    """Whether the bytes begin with a network's name or with a layer; a protobuf file has no magic number."""
    return data[:1] in (b"\x0a", b"\x12") or data[:2] == b"\xa2\x06"


def read_caffemodel(data: bytes) -> dict[str, np.ndarray]:
    """Reads every layer that has two blobs as `NAME.weight` (OIHW for a convolution) and `NAME.bias`.

    Raises:
      JaxstyleError: the file is truncated, or is no Caffe model.
    """
    arrays: dict[str, np.ndarray] = {}
    for field in read_fields(memoryview(data)):
        if field.number not in _LAYERS or not isinstance(field.value, memoryview) or field.wire_type != BYTES:
            continue
        name_number, blobs_number = _LAYERS[field.number]
        layer = list(read_fields(field.value))
        names = [part.value for part in _all(layer, name_number) if isinstance(part.value, memoryview)]
        blobs = [part.value for part in _all(layer, blobs_number) if isinstance(part.value, memoryview)]
        name = bytes(names[0]).decode("utf-8", errors="replace") if len(names) == 1 else ""
        if name and len(blobs) == 2:
            if f"{name}.weight" in arrays:
                raise JaxstyleError(f"two layers with weights are called {name!a}.")
            arrays[f"{name}.weight"] = _read_blob(name, blobs[0])
            arrays[f"{name}.bias"] = _read_blob(name, blobs[1]).reshape(-1)
        elif blobs and field.number == 100 and any(part.value == b"BatchNorm" for part in _all(layer, _TYPE)):
            arrays[f"{name}.running_mean"] = _read_blob(name, blobs[0])
    if not arrays:
        raise JaxstyleError("not a known form of weight file, and no Caffe model with weights either.")
    return arrays


def _read_blob(name: str, message: memoryview) -> np.ndarray:
    fields = list(read_fields(message))
    values = read_floats(_all(fields, _DATA), "<f4")
    if not len(values):
        values = read_floats(_all(fields, _DOUBLE_DATA), "<f8")
    shapes = [part.value for part in _all(fields, _SHAPE) if isinstance(part.value, memoryview)]
    if shapes:
        shape = read_integers(_all(list(read_fields(shapes[0])), _SHAPE_SIZES))
    else:
        shape = [size for number in _DIMENSIONS for size in read_integers(_all(fields, number))]
    if math.prod(shape) != len(values):
        raise JaxstyleError(
            f"{name!a}: {len(values)} values do not fill the shape {tuple(shape)}: the file is damaged."
        )
    return values.reshape(shape)


def _all(fields: list[Field], number: int) -> list[Field]:
    return [field for field in fields if field.number == number]
