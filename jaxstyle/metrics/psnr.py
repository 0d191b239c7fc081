"""Peak signal-to-noise ratio."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from jaxstyle.metrics import Metric, Pixels


def psnr(image: Float[np.ndarray, "height width 3"], reference: Float[np.ndarray, "height width 3"]) -> float:
    """Peak signal-to-noise ratio in dB over all channels, for a peak of 1, in float64; infinite for equal images."""
    error = np.mean(np.square(image.astype(np.float64) - reference.astype(np.float64)))
    return float(-10 * np.log10(error)) if error > 0 else float("inf")


def _with_content(image: Pixels, content: Pixels | None, styles: Sequence[Pixels]) -> float | None:
    return None if content is None else psnr(image, content)


FORM = "PSNR\N{NO-BREAK SPACE}{:.1f}\N{NO-BREAK SPACE}dB"
METRIC = Metric(_with_content, higher_is_better=True, label="PSNR", form=FORM)
