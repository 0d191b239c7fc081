"""VGG-19's sixteen convolutions: names, widths, and where the pooling sits; VGG-16 has thirteen of them.

References: Simonyan & Zisserman, ICLR 2015, table 1, columns D and E; Gatys et al., CVPR 2016, Sec. 2.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Protocol, runtime_checkable

from jaxstyle.errors import JaxstyleError, did_you_mean

BLOCKS: tuple[tuple[int, int], ...] = ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512))
"""Each block's number of convolutions and its number of filters."""

LAYERS: tuple[str, ...] = tuple(
    f"conv{block}_{index}" for block, (count, _) in enumerate(BLOCKS, start=1) for index in range(1, count + 1)
)
"""All convolutions in order; as a name of features it means the response after the ReLU."""

NETWORKS: dict[str, tuple[str, ...]] = {
    "VGG-19": LAYERS,
    "VGG-16": tuple(layer for layer in LAYERS if layer not in ("conv3_4", "conv4_4", "conv5_4")),
}
"""The convolutions of each network of the family that is read, by the names that VGG-19 gives them."""

FILTERS: dict[str, int] = {layer: BLOCKS[int(layer[4]) - 1][1] for layer in LAYERS}
"""The number of filters N of each layer."""

INPUTS: dict[str, int] = dict(zip(LAYERS, [3, *(FILTERS[layer] for layer in LAYERS[:-1])], strict=True))
"""The number of channels that each layer reads."""

KERNEL_SIZE = 3


class Pooling(StrEnum):
    """How a block's responses are halved: as in the paper's syntheses (Sec. 2), or as the network was trained."""

    AVERAGE = "average"
    MAX = "max"


class Padding(StrEnum):
    """What a convolution finds beyond an image's border; the network was trained with zeros."""

    ZEROS = "zeros"
    REFLECT = "reflect"
    REPLICATE = "replicate"
    CIRCULAR = "circular"


class Precision(StrEnum):
    """What features are computed in."""

    FLOAT32 = "float32"
    TF32 = "tf32"
    BFLOAT16 = "bfloat16"


def canonical_layer(name: str, layers: Sequence[str] = LAYERS) -> str:
    """Returns the paper's name of a layer; `relu4_2` is accepted as the same as `conv4_2`.

    Args:
      name: what somebody calls it.
      layers: those that there are, if it is another network's.

    Raises:
      JaxstyleError: there is no such layer; the message names the nearest.
    """
    candidate = name.replace("relu", "conv", 1) if name.startswith("relu") and name not in layers else name
    if candidate in layers:
        return candidate
    hint = did_you_mean(candidate, layers) or "."
    raise JaxstyleError(f"unknown layer '{name}'{hint} Layers: {layers[0]} … {layers[-1]}")


def network_of(layers: Iterable[str]) -> str:
    """Which of `NETWORKS` has exactly these layers; VGG-19 if none has."""
    wanted = {*layers}
    return next((name for name, own in NETWORKS.items() if {*own} == wanted), "VGG-19")


def downsampling(layer: str) -> int:
    """Returns how many times the image is halved before `layer`: 0 for block 1 to 4 for block 5."""
    return int(layer[4]) - 1


def deepest(layers: Iterable[str]) -> str:
    """Returns the layer that the others can be computed on the way to.

    Raises:
      JaxstyleError: no layer is given.
    """
    names = [canonical_layer(layer) for layer in layers]
    if not names:
        raise JaxstyleError("no layer is asked for: the objective needs at least one content or style layer")
    return max(names, key=LAYERS.index)


def check_tileable(height: int, width: int, layer: str) -> None:
    """Checks that every pooling before `layer` divides an image's sides, so that circular padding leaves no border.

    Raises:
      JaxstyleError: one does not.
    """
    step = 2 ** downsampling(layer)
    if height % step or width % step:
        raise JaxstyleError(
            f"an image of {width}×{height} pixels cannot be tiled: with circular padding and {layer} both sides must "
            f"be multiples of {step}"
        )


def check_size(height: int, width: int, layer: str) -> None:
    """Checks that an image is large enough to have at least one position left at `layer`.

    Raises:
      JaxstyleError: a side is smaller than the poolings before the layer divide it by.
    """
    smallest = 2 ** downsampling(layer)
    if min(height, width) < smallest:
        raise JaxstyleError(
            f"an image of {width}×{height} pixels has nothing left at {layer}: both sides must be at least {smallest}"
        )


@runtime_checkable
class Layout(Protocol):
    """How large a network's features are, without its parameters."""

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of its features, from shallow to deep."""
        ...

    def shape(self, size: tuple[int, ...], layer: str) -> tuple[int, int, int]:
        """The (height, width, channels) of a layer's features, of an image of that size."""
        ...

    def check(self, height: int, width: int, layers: Iterable[str]) -> None:
        """Refuses an image of which nothing is left in one of some layers, by a `JaxstyleError`."""
        ...


@dataclasses.dataclass(frozen=True)
class VGGLayout:
    """The layout of a VGG: each pooling halves, and 3×3 convolutions keep the size."""

    layers: tuple[str, ...] = LAYERS

    def shape(self, size: tuple[int, ...], layer: str) -> tuple[int, int, int]:
        """As `Layout`."""
        return size[0] >> downsampling(layer), size[1] >> downsampling(layer), FILTERS[layer]

    def check(self, height: int, width: int, layers: Iterable[str]) -> None:
        """As `Layout`."""
        check_size(height, width, deepest(layers))


def refuse_unknown_layers(layout: Layout, wanted: Iterable[str]) -> None:
    """Does nothing where a network has every layer.

    Raises:
      JaxstyleError: it lacks one; the message names those that it has.
    """
    for layer in wanted:
        if layer not in layout.layers:
            raise JaxstyleError(f"the network has no layer '{layer}'; its layers: {', '.join(layout.layers)}")
