"""VGG-19's sixteen convolutions: names, widths, and where the pooling sits.

References: Simonyan & Zisserman, ICLR 2015, table 1, column E; Gatys et al., CVPR 2016, Sec. 2.
"""

from jaxstyle.errors import JaxstyleError, did_you_mean

BLOCKS: tuple[tuple[int, int], ...] = ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512))
"""Each block's number of convolutions and its number of filters."""

LAYERS: tuple[str, ...] = tuple(
    f"conv{block}_{index}" for block, (count, _) in enumerate(BLOCKS, start=1) for index in range(1, count + 1)
)
"""All convolutions in order; as a name of features it means the response after the ReLU."""

FILTERS: dict[str, int] = {layer: BLOCKS[int(layer[4]) - 1][1] for layer in LAYERS}
"""The number of filters N of each layer."""

INPUTS: dict[str, int] = dict(zip(LAYERS, [3, *(FILTERS[layer] for layer in LAYERS[:-1])], strict=True))
"""The number of channels that each layer reads."""

KERNEL_SIZE = 3

PADDINGS: tuple[str, ...] = ("zeros", "reflect", "replicate", "circular")
"""What a convolution finds beyond the border; the network was trained with zeros."""

POOLINGS: tuple[str, ...] = ("average", "max")
"""How a block's features are halved: as in the paper's syntheses (Sec. 2), and as the network was trained."""


def canonical_layer(name: str) -> str:
    """Returns the paper's name of a layer; `relu4_2` is accepted as the same as `conv4_2`.

    Raises:
      JaxstyleError: there is no such layer; the message names the nearest.
    """
    candidate = name.replace("relu", "conv", 1) if name.startswith("relu") else name
    if candidate in FILTERS:
        return candidate
    hint = did_you_mean(candidate, LAYERS) or "."
    raise JaxstyleError(f"unknown layer '{name}'{hint} Layers: {LAYERS[0]} … {LAYERS[-1]}")


def downsampling(layer: str) -> int:
    """Returns how many times the image is halved before `layer`: 0 for block 1 to 4 for block 5."""
    return int(layer[4]) - 1
