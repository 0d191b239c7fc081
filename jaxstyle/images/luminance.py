"""Luminance and chroma of sRGB images: what Y in Y′CbCr, YUV and YIQ is, and an image with another Y."""

import numpy as np
from jaxtyping import Float

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in a grey level (ITU-R BT.601), as Pillow and most viewers use."""

LEAST_DEVIATION = 0.25 / 255
"""A quarter of a grey level: rounding, not contrast."""

Pixels = Float[np.ndarray, "height width 3"]
Grey = Float[np.ndarray, "height width"]
Other = Float[np.ndarray, "other_height other_width"]


def luminance(pixels: Pixels) -> Grey:
    """The grey levels of an sRGB image: Y = 0.299 R + 0.587 G + 0.114 B."""
    return pixels.astype(np.float64) @ np.asarray(LUMA)


def grey_image(levels: Grey) -> Pixels:
    """Grey levels as an image of three equal channels."""
    return np.repeat(levels[..., None], 3, axis=-1)


def shift_mean(levels: Grey, target: Other) -> Grey:
    """Grey levels with the mean of others: Y − μ + μ_t.

    References: Gatys et al., CVPR 2017, in the published notebook (ColourControl.ipynb).
    """
    return levels - levels.mean() + target.mean()


def match_mean_and_deviation(levels: Grey, target: Other) -> Grey:
    """Grey levels with the mean and the standard deviation of others: (σ_t / σ) (Y − μ) + μ_t.

    Differs from the paper where σ is below `LEAST_DEVIATION`, which then takes its place: levels that are all the same
    stay so.

    References: Gatys, Bethge, Hertzmann & Shechtman, arXiv 1606.05897, Eq. 10; Gatys et al., CVPR 2017, Sec. 5.
    """
    scale = target.std() / max(float(levels.std()), LEAST_DEVIATION)
    return scale * (levels - levels.mean()) + target.mean()


def with_luminance(pixels: Pixels, levels: Grey) -> Pixels:
    """The image with other grey levels and its own chroma: R, G and B plus Y_new − Y.

    A grey added to all channels leaves the differences B − Y and R − Y as they are, which YUV, YIQ and Y′CbCr are
    multiples of; so this is the exchange of Y in each of them, without the rounded coefficients of a matrix and its
    inverse. It may leave [0, 1].
    """
    return pixels + (levels - luminance(pixels))[..., None]
