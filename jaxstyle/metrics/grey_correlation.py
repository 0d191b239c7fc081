"""The correlation of grey levels: whether the layout of the content has survived."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from jaxstyle.images.luminance import luminance
from jaxstyle.metrics import Metric, Pixels


def grey_correlation(
    image: Float[np.ndarray, "height width 3"], reference: Float[np.ndarray, "height width 3"]
) -> float:
    """Pearson's correlation of the two images' grey levels: 1 for the same layout, 0 for none; 0 if one is flat."""
    first, second = (luminance(pixels) - luminance(pixels).mean() for pixels in (image, reference))
    scale = np.sqrt(np.sum(first**2) * np.sum(second**2))
    return float(np.sum(first * second) / scale) if scale > 0 else 0.0


def _with_content(image: Pixels, content: Pixels | None, styles: Sequence[Pixels]) -> float | None:
    return None if content is None else grey_correlation(image, content)


METRIC = Metric(_with_content, higher_is_better=True, label="grey correlation", form="grey correlation {:.3f}")
