"""The words that an experiment chooses among, and the numbers that go with them."""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple


class StyleSize(StrEnum):
    """How large the style image is made."""

    CONTENT = "content"
    COVER = "cover"
    LONG_SIDE = "long-side"
    AREA = "area"
    OWN = "own"


class SizeRule(StrEnum):
    """What a size is of."""

    LONG_SIDE = "long-side"
    AREA = "area"


class ScaleRule(StrEnum):
    """At which sizes the image is optimized, when they are not listed."""

    SINGLE = "single"
    AUTO = "auto"
    FAST = "fast"


class TileRule(StrEnum):
    """Whether an image goes through the network in tiles, when no size of theirs is given."""

    AUTO = "auto"


class Convention(StrEnum):
    """What one unit of content weight and of style weight multiplies."""

    PAPER = "paper"
    PAPER_FIGURES = "paper-figures"
    GATYS_NORMALIZED = "gatys-normalized"
    GATYS_NOTEBOOK = "gatys-notebook"
    NEURAL_STYLE = "neural-style"
    PYSTICHE = "pystiche"


class Normalize(StrEnum):
    """What each layer's part of the loss is divided by."""

    NONE = "none"
    WEIGHTS = "weights"
    GRADIENTS = "gradients"


class StartMethod(StrEnum):
    """What the optimization starts from, when it is not an image of the user's."""

    CONTENT = "content"
    STYLE = "style"
    NOISE = "noise"


class BoundsRule(StrEnum):
    """Which box, if any, the optimizer keeps the pixels in."""

    NONE = "none"
    PAPER = "paper"
    PER_CHANNEL = "per-channel"


class Display(StrEnum):
    """How a result is written."""

    IMAGE = "image"
    PAPER = "paper"


class SweepMode(StrEnum):
    """How the lists of a sweep are combined."""

    GRID = "grid"
    ABLATION = "ablation"
    ZIP = "zip"


class LayerSubsets(StrEnum):
    """Subsets of a file's layers that a sweep may name in one word."""

    CUMULATIVE = "cumulative"
    LEAVE_ONE_OUT = "leave-one-out"


class Customary(NamedTuple):
    """The weights that people use with a convention, taken where a file gives none.

    Attributes:
      content_weight: α.
      style_weight: β.
      tv_weight: the factor of the total variation.
      style_layers_share: whether the n style layers weigh 1/n each, or 1 each.
    """

    content_weight: float
    style_weight: float
    tv_weight: float
    style_layers_share: bool

    def style_layer_weight(self, count: int) -> float:
        """Returns the weight of each of `count` style layers."""
        return 1 / count if self.style_layers_share else 1.0


CUSTOMARY: Mapping[Convention, Customary] = {
    Convention.PAPER: Customary(5e-4, 1.0, 0.0, True),
    Convention.PAPER_FIGURES: Customary(5e-3, 1.0, 0.0, True),
    Convention.GATYS_NORMALIZED: Customary(1e6, 1e9, 0.0, True),
    Convention.GATYS_NOTEBOOK: Customary(1.0, 1e3, 0.0, False),
    Convention.NEURAL_STYLE: Customary(5.0, 100.0, 1e-3, False),
    Convention.PYSTICHE: Customary(1.0, 1e3, 0.0, True),
}
"""Each convention's customary weights.

"paper" has those of Fig. 3 F. "paper-figures" has ten times its α, because 500 iterations from noise are not the
authors' 2000: the content comes late, and with 5e-4 hardly any of it has come by then (docs/conventions.md).
"""

DEFAULT_CONVENTION = Convention.PAPER_FIGURES
"""Not the equations to the letter: with the sum of Eq. 1 the paper's own weights give the photo back."""

CONTENT_LAYERS = ("conv4_2",)
STYLE_LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")

LAYER_KEYS = ("loss.content_layers", "loss.style_layers")
"""The keys whose values are layers, where a sweep may say `LayerSubsets`."""
