"""Which network it is, proven by its numbers: a few of the Oxford network's, to compare with.

A scale of conv1_1's weights or a file's name would be a guess. These are proofs:

- `oxford`: four filters of conv1_1 point where Oxford's do, and every layer's first bias is Oxford's.
- `oxford-normalized`: the same four filters, bias included, each multiplied by a positive number of its own, and every
  layer's first bias with Oxford's sign.

Nothing else is claimed. The filters' numbers are rounded, and clustered by their source (relative error 0.4–0.9 %); the
biases are exact.
"""

import numpy as np
from jaxtyping import Float

from jaxstyle.layers import LAYERS
from jaxstyle.weights.parameters import Parameters

FILTERS_SHOWN = (13, 9, 49, 7)
"""Filters of conv1_1 that change the most when height and width, or red and blue, are exchanged."""

# fmt: off
_KERNELS = np.array([  # [filter, height * width * in], channels blue, green, red
    [0.0517, 0.0181, -0.0931, 0.0001, -0.0610, -0.1789, -0.0817, -0.1524, -0.2450,
     0.1691, 0.1430, 0.0101, 0.1528, 0.1020, -0.0370, -0.0102, -0.0732, -0.1853,
     0.1482, 0.1430, 0.0234, 0.1501, 0.1244, -0.0036, 0.0260, -0.0102, -0.1129],  # filter 13
    [0.0497, -0.1487, -0.1335, -0.0187, -0.2362, -0.2320, 0.0602, -0.1335, -0.1212,
     0.1455, -0.0488, -0.0488, 0.0973, -0.1154, -0.1270, 0.1637, -0.0262, -0.0301,
     0.1984, 0.0430, 0.0543, 0.2071, 0.0359, 0.0334, 0.2118, 0.0602, 0.0681],  # filter 9
    [0.0652, -0.0342, -0.0872, 0.2493, 0.1732, 0.0777, 0.3629, 0.3498, 0.2493,
     -0.1826, -0.3467, -0.4034, 0.0035, -0.1355, -0.2362, 0.3003, 0.2393, 0.1287,
     -0.1547, -0.3158, -0.3502, -0.0036, -0.1422, -0.2134, 0.2071, 0.1410, 0.0626],  # filter 49
    [0.0208, 0.0681, 0.1175, 0.1049, 0.2161, 0.2677, 0.1087, 0.2565, 0.2792,
     -0.2320, -0.2450, -0.1583, -0.1690, -0.1129, -0.0228, 0.0315, 0.1410, 0.2013,
     -0.2320, -0.2981, -0.2249, -0.2043, -0.2109, -0.1270, -0.0102, 0.0403, 0.0973],  # filter 7
])
_BIASES = np.array([0.1707366, 0.06297145, 0.4963265, 0.3478994])
_FIRST_BIASES = dict(zip(LAYERS, [
    0.7301776, -0.2929655, -0.04264871, -0.07641145, 0.03195895, -0.08933246, 0.02055146, 0.08425356,
    0.02342767, 0.004365178, 0.001690875, 0.04184591, -0.05643649, 0.05146062, -0.0102901, 0.7222745,
], strict=True))
# fmt: on

_MIN_COSINE = 0.999
"""Clustered and exact filters differ by an angle of at most 0.02 (cosine 0.9998); exchanging axes is far off."""

_BIAS_TOLERANCE = 1e-3
"""Relative; a file that holds float16 is off by 5e-4 at most."""


def identify(parameters: Parameters) -> str | None:
    """Returns the network that the numbers prove, `oxford` or `oxford-normalized`, or None.

    Args:
      parameters: a complete network; conv1_1 reads blue, green, red.
    """
    scales = _filter_scales(parameters["conv1_1"]["kernel"], parameters["conv1_1"]["bias"])
    if scales is None:
        return None
    expected = np.array(list(_FIRST_BIASES.values()))
    biases = np.array([parameters[layer]["bias"][0] for layer in LAYERS])
    if np.allclose(biases, expected, rtol=_BIAS_TOLERANCE, atol=0):
        return "oxford"
    if not np.allclose(scales, 1, atol=1e-2) and np.array_equal(np.sign(biases), np.sign(expected)):
        return "oxford-normalized"
    return None


def resembles_oxford(parameters: Parameters) -> bool:
    """Whether conv1_1 is Oxford's at any scale: without that, no one may call a file `oxford`."""
    return _filter_scales(parameters["conv1_1"]["kernel"], parameters["conv1_1"]["bias"]) is not None


def exchanges_height_and_width(
    kernel: Float[np.ndarray, "height width channels filters"], bias: Float[np.ndarray, " filters"]
) -> bool:
    """Whether conv1_1 is Oxford's (at any scale) only after its height and width are exchanged."""
    return _filter_scales(kernel, bias) is None and _filter_scales(kernel.swapaxes(0, 1), bias) is not None


def _filter_scales(
    kernel: Float[np.ndarray, "height width channels filters"], bias: Float[np.ndarray, " filters"]
) -> Float[np.ndarray, " shown"] | None:
    """What multiplies each of Oxford's four filters here, or None when one of them points elsewhere."""
    reference = np.column_stack([_KERNELS, _BIASES])
    shown = list(FILTERS_SHOWN)
    candidate = np.column_stack([kernel[..., shown].reshape(-1, len(shown)).T, bias[shown]]).astype(np.float64)
    products = (candidate * reference).sum(axis=1)
    norms = np.linalg.norm(candidate, axis=1) * np.linalg.norm(reference, axis=1)
    if not (products > _MIN_COSINE * norms).all():
        return None
    return products / (reference**2).sum(axis=1)
