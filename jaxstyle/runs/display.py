"""How a result is shown: as it is, or as the paper's panels were printed; and the one out of the other.

The authors' code shows and prints (x − min) / (max − min) of the mean-subtracted image x, over all pixels and channels.
Where the channels' means differ, the colours of such a print are not the image's.
"""

import json
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32

from jaxstyle.config import Display
from jaxstyle.network.weights import NETWORKS, Preprocessing
from jaxstyle.synthesis.bounds import WHOLE_RANGE, Bounds, mean_subtracted_range

METADATA = "jaxstyle:display"
"""The key under which a written image says its look."""

PAPER_INTERVAL = mean_subtracted_range([WHOLE_RANGE], NETWORKS["oxford-normalized"].preprocessing)
"""What black and white stand for on the printed panels: results that fill the bounds of images of the full range."""


class Look(NamedTuple):
    """How a file shows an image.

    Attributes:
      display: `image`, as it is, or `paper`, as the paper's panels.
      interval: of each channel, what black and white stand for in a print.
    """

    display: Display
    interval: Bounds

    def to_metadata(self) -> dict[str, str]:
        """Returns what the file says of it."""
        return {METADATA: json.dumps(self._asdict())}


def look_of(display: Display, image: Float[np.ndarray, "height width 3"], preprocessing: Preprocessing) -> Look:
    """Returns the look that the authors' code gives an image: of its own lowest and highest value.

    Args:
      display: the look that is wanted.
      image: sRGB, in [0, 1] or beyond.
      preprocessing: of the network, for its mean colour.

    References: leongatys/DeepTextures, where results are shown so, as are the panels of Gatys et al., CVPR 2016.
    """
    return Look(display, mean_subtracted_range([image], preprocessing))


def recorded_look(metadata: Mapping[str, str]) -> Look | None:
    """Returns the look that a file's metadata says; None where it says none."""
    try:
        found = json.loads(metadata[METADATA])
        interval = tuple((float(low), float(high)) for low, high in found["interval"])
        return Look(Display(found["display"]), interval) if len(interval) == 3 else None
    except (KeyError, TypeError, ValueError):
        return None


def shown(
    pixels: Float[np.ndarray, "height width 3"], look: Look, wanted: Display
) -> Float[np.ndarray, "height width 3"]:
    """Returns an image in another look.

    Args:
      pixels: as `look` shows them.
      look: what they are in now.
      wanted: the look to give them.
    """
    if look.display is wanted:
        return pixels
    return printed(pixels, look.interval) if wanted is Display.PAPER else undone(pixels, look.interval)


def printed(image: Float[np.ndarray, "height width 3"], interval: Bounds) -> Float32[np.ndarray, "height width 3"]:
    """Returns an image as the paper's panels show it: 0 at each channel's lowest value, 1 at its highest."""
    lowest, width = _lowest_and_width(interval)
    return ((image - lowest) / width).astype(np.float32)


def undone(panel: Float[np.ndarray, "height width 3"], interval: Bounds) -> Float32[np.ndarray, "height width 3"]:
    """Returns the image that a panel shows: the inverse of `printed`; may lie beyond [0, 1]."""
    lowest, width = _lowest_and_width(interval)
    return (lowest + width * panel).astype(np.float32)


def _lowest_and_width(interval: Bounds) -> tuple[np.ndarray, np.ndarray]:
    lowest, highest = np.asarray(interval, np.float64).T
    return lowest, np.where(highest > lowest, highest - lowest, 1.0)  # an image of one value prints as black
