"""Which network of the family a file holds, told by its kernels' shapes."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np

from jaxstyle.network.layers import NETWORKS

_WIDTHS = (64, 128, 256, 512, 512)
_CONVOLUTIONS = {
    "VGG-11": (1, 1, 2, 2, 2),
    "VGG-13": (2, 2, 2, 2, 2),
    "VGG-16": (2, 2, 3, 3, 3),
    "VGG-19": (2, 2, 4, 4, 4),
}
"""Each network's number of 3×3 convolutions in its five blocks (Simonyan & Zisserman, table 1, columns A, B, D, E)."""

_BATCH_NORMALIZATION = re.compile(
    r"running_(?:mean|var)|moving_(?:mean|variance)|batch_?norm|(?:^|[._/])bn\d*(?:[._/]|$)", re.IGNORECASE
)


def architecture(arrays: Mapping[str, np.ndarray]) -> str | None:
    """Which of the family's networks has just these 3×3 convolutions; None if none has."""
    widths = Counter(pair for array in arrays.values() if (pair := channels(array.shape)))
    for name, blocks in _CONVOLUTIONS.items():
        outputs = [width for width, count in zip(_WIDTHS, blocks, strict=True) for _ in range(count)]
        inputs = [3, *outputs[:-1]]
        if widths == Counter(zip(inputs, outputs, strict=True)):
            return name
    return None


def other_architecture(arrays: Mapping[str, np.ndarray]) -> str | None:
    """Returns a name such as `VGG-13` or `VGG-19 with batch normalization`; None for what is read, and all else."""
    name = architecture(arrays)
    if name and batch_normalization(arrays):
        return f"{name} with batch normalization"
    return None if name in NETWORKS else name


def batch_normalization(names: Iterable[str]) -> str | None:
    """Returns the first name of an array that belongs to batch normalization."""
    return next(filter(_BATCH_NORMALIZATION.search, names), None)


def channels(shape: tuple[int, ...]) -> tuple[int, int] | None:
    """The numbers of channels that a 3×3 kernel reads and gives, the smaller first, whichever axes are which.

    Returns:
      None for what is no 3×3 kernel.
    """
    if len(shape) != 4:
        return None
    for height, width in ((0, 1), (2, 3), (1, 2)):
        if shape[height] == shape[width] == 3:
            first, second = sorted(size for axis, size in enumerate(shape) if axis not in (height, width))
            return first, second
    return None
