"""Numbers that let two programs' pictures be compared; float64 NumPy on finished pictures."""

import numpy as np
from jaxtyping import Float

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in a grey level (ITU-R BT.601), as Pillow and most viewers use."""


def grey(pixels: Float[np.ndarray, "height width 3"]) -> Float[np.ndarray, "height width"]:
    """The grey levels of an sRGB picture."""
    return pixels.astype(np.float64) @ np.asarray(LUMA)


def grey_correlation(
    picture: Float[np.ndarray, "height width 3"], reference: Float[np.ndarray, "height width 3"]
) -> float:
    """Pearson's correlation of the two pictures' grey levels: 1 for the same layout, 0 for none; 0 if one is flat."""
    first, second = (grey(pixels) - grey(pixels).mean() for pixels in (picture, reference))
    scale = np.sqrt(np.sum(first**2) * np.sum(second**2))
    return float(np.sum(first * second) / scale) if scale > 0 else 0.0


def psnr(picture: Float[np.ndarray, "height width 3"], reference: Float[np.ndarray, "height width 3"]) -> float:
    """Peak signal-to-noise ratio in dB over all channels, for a peak of 1; infinite for equal pictures."""
    error = np.mean(np.square(picture.astype(np.float64) - reference.astype(np.float64)))
    return float(-10 * np.log10(error)) if error > 0 else float("inf")
