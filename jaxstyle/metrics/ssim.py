"""Structural similarity (SSIM): how much of the content's local structure has survived.

References: Wang, Bovik, Sheikh & Simoncelli, "Image quality assessment: from error visibility to structural
similarity", IEEE Transactions on Image Processing 13(4), 2004, Sec. III.
"""

from collections.abc import Sequence

import numpy as np
import scipy.ndimage
from jaxtyping import Float

from jaxstyle.images.luminance import luminance
from jaxstyle.metrics import Metric, Pixels

SIGMA, RADIUS = 1.5, 5
"""Of the Gaussian window in pixels: 11×11, as in the paper."""
C1, C2 = 0.01**2, 0.03**2
"""The constants (K1 L)² and (K2 L)² of Eqs. 7 and 9, for a range L of 1."""


ROWS = 512
"""So many rows of windows are compared at a time: a large image is not held several times in float64."""


def ssim(image: Float[np.ndarray, "height width 3"], reference: Float[np.ndarray, "height width 3"]) -> float:
    """Mean SSIM (Eqs. 13 and 17) of the two images' grey levels, in float64; 1 for equal images.

    Only windows that lie within the image count, so that there is none of an image smaller than one.
    """
    starts = range(0, image.shape[0] - 2 * RADIUS, ROWS)
    pieces = [slice(start, start + ROWS + 2 * RADIUS) for start in starts]
    similarities = (_similarity(luminance(image[piece]), luminance(reference[piece])) for piece in pieces)
    sums = [(float(similarity.sum()), similarity.size) for similarity in similarities]
    return sum(total for total, _ in sums) / sum(count for _, count in sums)


def _similarity(x: Float[np.ndarray, "_ _"], y: Float[np.ndarray, "_ _"]) -> Float[np.ndarray, "_ _"]:
    """SSIM of two images' grey levels under each window (Eq. 13)."""
    mean_x, mean_y = _windowed(x), _windowed(y)
    variance_x, variance_y = _windowed(x * x) - mean_x**2, _windowed(y * y) - mean_y**2
    covariance = _windowed(x * y) - mean_x * mean_y
    numerator = (2 * mean_x * mean_y + C1) * (2 * covariance + C2)
    return numerator / ((mean_x**2 + mean_y**2 + C1) * (variance_x + variance_y + C2))


def _windowed(values: Float[np.ndarray, "_ _"]) -> Float[np.ndarray, "_ _"]:
    """Means under the window at every place where it fits."""
    means = scipy.ndimage.gaussian_filter(values, SIGMA, radius=RADIUS)
    return means[RADIUS:-RADIUS, RADIUS:-RADIUS]


def _with_content(image: Pixels, content: Pixels | None, styles: Sequence[Pixels]) -> float | None:
    if content is None or min(image.shape[:2]) <= 2 * RADIUS:
        return None
    return ssim(image, content)


METRIC = Metric(_with_content, higher_is_better=True, label="SSIM", form="SSIM\N{NO-BREAK SPACE}{:.3f}")
