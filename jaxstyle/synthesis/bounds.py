"""The rules of `optimizer.bounds`: source images → the interval that each channel of the result is kept in."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from jaxstyle.config import BoundsRule
from jaxstyle.network.weights import Preprocessing

Bounds = tuple[tuple[float, float], ...]
"""The lowest and the highest value of red, green and blue, sRGB in [0, 1] or beyond."""

WHOLE_RANGE = np.stack([np.zeros((1, 3), np.float32), np.ones((1, 3), np.float32)])
"""An image of black and white: it has every channel's whole range."""


def bounds_of(
    rule: BoundsRule, sources: Sequence[Float[np.ndarray, "_height _width 3"]], preprocessing: Preprocessing
) -> Bounds | None:
    """The bounds that a rule makes of the source images.

    Args:
      rule: `none`; `paper`, one interval for all channels once the network's mean colour is subtracted, from the lowest
        value of any source image to the highest; `per-channel`, each channel's own range in the source images.
      sources: content and style images, sRGB in [0, 1], as large as they are compared.
      preprocessing: of the network, for its mean colour.

    Returns:
      An interval for each channel, or None.

    References: `get_bounds` in the authors' DeepTextures, which gives SciPy's L-BFGS-B the range of the images as the
    network reads them (`paper`); fzliu/style-transfer, the valid range of each channel (`per-channel`, there of images
    that have all of it).
    """
    if rule is BoundsRule.NONE:
        return None
    if rule is BoundsRule.PAPER:
        return mean_subtracted_range(sources, preprocessing)
    lowest, highest = _range_by_channel(sources)
    return tuple(zip(lowest.tolist(), highest.tolist(), strict=True))


def mean_subtracted_range(
    images: Sequence[Float[np.ndarray, "_height _width 3"]], preprocessing: Preprocessing
) -> Bounds:
    """For each channel, the lowest and the highest value of images in any channel, the mean colour subtracted."""
    mean = np.asarray(preprocessing.mean_colour)
    lowest, highest = _range_by_channel(images)
    lowest, highest = mean + (lowest - mean).min(), mean + (highest - mean).max()
    return tuple(zip(lowest.tolist(), highest.tolist(), strict=True))


def _range_by_channel(images: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    values = np.concatenate([pixels.reshape(-1, 3) for pixels in images]).astype(np.float64)
    return values.min(axis=0), values.max(axis=0)
