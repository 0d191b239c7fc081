"""Images as arrays: one of the finest detail, one without any."""

import numpy as np


def noise(height: int = 12, width: int = 16, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((height, width, 3), dtype=np.float32)


def ramps(height: int, width: int) -> np.ndarray:
    """Red runs from left to right, green from top to bottom: lossy formats and resampling keep it."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    return np.stack([x, y, (x + y) / 2], axis=-1).astype(np.float32)
