"""Which network it is, proven by its numbers: a few of the known networks', to compare with.

A scale of conv1_1's weights or a file's name would be a guess. These are proofs:

- `oxford`: four filters of conv1_1 are Oxford's, and of every layer the first bias and one slice of its kernel.
- `oxford-normalized`: the same filters, bias included, each multiplied by a positive number of its own; slices that
  point where Oxford's do; and first biases with Oxford's sign.
- `torchvision`: three filters of conv1_1 are torchvision's.

The slices are of filters and inputs with different numbers, so that a kernel whose axes are exchanged or turned shows.
Oxford's filters are rounded, and clustered by their source (relative error 0.4–0.9 %); its biases are exact.
"""

import numpy as np
from jaxtyping import Float

from jaxstyle.network.layers import LAYERS, network_of
from jaxstyle.network.weights.parameters import Parameters

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
_SLICES = {  # layer: (input channel, filter, height * width of them)
    "conv1_2": (8, 19, (0.01, -0.0057, 0.0009, 0.0039, 0.0063, -0.0162, -0.0027, 0.0113, -0.0203)),
    "conv2_1": (33, 85, (-0.0015, -0.0237, 0.0055, 0.0007, 0.0012, -0.0015, -0.0335, 0.0474, 0.0388)),
    "conv2_2": (125, 54, (-0.0404, -0.0255, 0.0106, 0.015, -0.0206, -0.0394, -0.0021, 0.0465, 0.0351)),
    "conv3_1": (113, 159, (0.0109, -0.0123, -0.0322, -0.0092, -0.0252, 0.0381, 0.0076, -0.0245, 0.0227)),
    "conv3_2": (86, 251, (-0.0032, -0.0279, -0.0196, -0.0238, 0.0217, 0.0252, 0.0628, 0.0307, -0.0074)),
    "conv3_3": (242, 126, (-0.0303, -0.0374, -0.0046, -0.0061, 0.0073, 0.0175, 0.028, 0.0055, -0.0122)),
    "conv3_4": (83, 40, (-0.017, 0.017, -0.0022, -0.0207, 0.0029, 0.0214, -0.0117, -0.0129, 0.0338)),
    "conv4_1": (195, 476, (0.0439, 0.0456, 0.0048, -0.0068, 0.0025, 0.027, 0.0073, -0.0094, -0.0181)),
    "conv4_2": (416, 362, (-0.0058, 0.004, -0.0103, 0.0285, 0.003, -0.007, 0.0317, -0.0171, 0.0012)),
    "conv4_3": (387, 369, (-0.0164, -0.0301, 0.0119, 0.0441, 0.0113, -0.0039, 0.0267, 0.0016, -0.008)),
    "conv4_4": (211, 228, (-0.0226, 0.0213, -0.0196, -0.0226, 0.008, 0.0134, -0.0159, -0.0141, 0.0325)),
    "conv5_1": (2, 284, (-0.0075, -0.0275, -0.0177, -0.012, 0.0055, -0.0084, 0.0357, 0.038, -0.0136)),
    "conv5_2": (172, 121, (-0.0104, -0.0263, -0.0302, -0.0078, 0.0058, 0.0304, 0.0014, -0.0048, 0.0267)),
    "conv5_3": (250, 385, (0.0339, 0.0031, -0.0158, 0.0404, 0.019, -0.0086, -0.0001, 0.0109, 0.0065)),
    "conv5_4": (171, 434, (-0.0109, 0.0059, -0.0263, 0.0077, 0.0298, -0.0229, 0.0663, 0.0799, 0.0108)),
}
_TORCHVISION_FILTERS = (0, 62, 63)
_TORCHVISION_KERNELS = np.array([  # [filter, in * height * width], channels red, green, blue
    [-0.053474, -0.049257, -0.067942, 0.015314, 0.045068, 0.0021444, 0.036226, 0.019999, 0.019864,
     0.017015, 0.055403, -0.0062293, 0.14165, 0.22705, 0.13758, 0.12, 0.2003, 0.092114,
     -0.044885, 0.01268, -0.014497, 0.059742, 0.13955, 0.054102, -0.00096141, 0.058304, -0.029663],
    [0.025902, 0.38224, 0.29388, -0.4756, -0.36006, 0.23282, -0.22283, 0.00083313, 0.15329,
     0.17674, 0.3877, 0.026036, -0.39036, -0.50041, 0.001715, 0.06166, 0.14792, 0.051035,
     0.12967, 0.075381, -0.38851, 0.050931, -0.19381, -0.17501, 0.34483, 0.21557, -0.083478],
    [-0.81056, -0.74319, -0.77885, -0.16934, 0.34232, -0.070197, 0.52494, 0.95989, 0.76209,
     0.079164, 0.24559, -0.15317, -0.07086, 0.44652, -0.38074, -0.15309, 0.12427, -0.1107,
     0.52029, 0.75736, 0.62371, -0.10733, 0.18762, -0.12183, -0.66407, -0.64891, -0.55356],
])
# fmt: on

_MIN_COSINE = 0.999
"""Clustered and exact filters differ by an angle of at most 0.02 (cosine 0.9998); exchanging axes is far off."""

_MIN_SLICE_COSINE = 0.99
"""Of nine numbers clustering may move more: by 3 % of their norm at most. Turned or exchanged ones have 0.7 at most."""

_SCALE_TOLERANCE = 0.02

_BIAS_TOLERANCE = 5e-3
"""Relative; a file that holds bfloat16 is off by 4e-3 at most."""

Kernel = Float[np.ndarray, "height width channels filters"]


def identify(parameters: Parameters) -> str | None:
    """Returns the network that the numbers prove, `oxford`, `oxford-normalized` or `torchvision`, or None.

    Args:
      parameters: a complete network; of VGG-16 nothing is known. conv1_1 reads blue, green, red if it is Oxford's, else
        red, green, blue.
    """
    kernel = parameters["conv1_1"]["kernel"]
    if network_of(parameters) != "VGG-19":
        return None
    if is_torchvisions(kernel):
        return "torchvision"
    scales = _filter_scales(kernel, parameters["conv1_1"]["bias"])
    if scales is None or changed_layers(parameters):
        return None
    expected = np.array(list(_FIRST_BIASES.values()))
    biases = np.array([parameters[layer]["bias"][0] for layer in LAYERS])
    unscaled = np.allclose(scales, 1, atol=_SCALE_TOLERANCE)
    if unscaled and np.allclose(biases, expected, rtol=_BIAS_TOLERANCE, atol=0):
        return "oxford"
    if not unscaled and np.array_equal(np.sign(biases), np.sign(expected)):
        return "oxford-normalized"
    return None


def resembles_oxford(kernel: Kernel, bias: Float[np.ndarray, " filters"]) -> bool:
    """Whether conv1_1 is Oxford's at any scale of each filter: without that, no one may call a file `oxford`."""
    return _filter_scales(kernel, bias) is not None


def is_torchvisions(kernel: Kernel) -> bool:
    """Whether conv1_1 is torchvision's."""
    shown = kernel[..., list(_TORCHVISION_FILTERS)].transpose(3, 2, 0, 1).reshape(len(_TORCHVISION_FILTERS), -1)
    scales = _scales(shown, _TORCHVISION_KERNELS, _MIN_COSINE)
    return scales is not None and bool(np.allclose(scales, 1, atol=_SCALE_TOLERANCE))


def changed_layers(parameters: Parameters) -> list[str]:
    """The layers above conv1_1 whose kernel has another direction than Oxford's where it is compared."""
    return [
        layer
        for layer, (channel, filter_, _) in _SLICES.items()
        if not _is_slice(layer, parameters[layer]["kernel"][:, :, channel, filter_])
    ]


def misplaced_layer(parameters: Parameters) -> str | None:
    """A layer whose kernel lies in another layer, or turned, or with inputs and filters exchanged; None if none is."""
    for layer in changed_layers(parameters):
        channel, filter_, _ = _SLICES[layer]
        for other in LAYERS:
            kernel = parameters[other]["kernel"]
            for first, second in ((channel, filter_), (filter_, channel)):
                if first < kernel.shape[2] and second < kernel.shape[3]:
                    shown = kernel[:, :, first, second]
                    turns = (shown, shown.T, shown[::-1, ::-1], shown[::-1, ::-1].T)
                    if any(_is_slice(layer, turned) for turned in turns):
                        return layer
    return None


def _is_slice(layer: str, candidate: Float[np.ndarray, "height width"]) -> bool:
    return _scales(candidate.reshape(1, -1), np.array([_SLICES[layer][2]]), _MIN_SLICE_COSINE) is not None


def hides_oxford(kernel: Kernel) -> bool:
    """Whether conv1_1's weights are Oxford's up to a factor for each colour and filter, in either order of colours.

    So they are when a preprocessing was multiplied into them. Biases, which it changes too, are not compared.
    """
    shown = kernel[..., list(FILTERS_SHOWN)].transpose(3, 2, 0, 1).reshape(len(FILTERS_SHOWN), 3, -1)
    reference = _KERNELS.reshape(len(FILTERS_SHOWN), -1, 3).transpose(0, 2, 1)
    return any(
        _scales(colours.reshape(-1, colours.shape[-1]), reference.reshape(-1, reference.shape[-1]), _MIN_SLICE_COSINE)
        is not None
        for colours in (shown, shown[:, ::-1])
    )


def _filter_scales(kernel: Kernel, bias: Float[np.ndarray, " filters"]) -> Float[np.ndarray, " shown"] | None:
    """What multiplies each of Oxford's four filters here, or None when one of them points elsewhere."""
    shown = list(FILTERS_SHOWN)
    candidate = np.column_stack([kernel[..., shown].reshape(-1, len(shown)).T, bias[shown]])
    return _scales(candidate, np.column_stack([_KERNELS, _BIASES]), _MIN_COSINE)


def _scales(
    candidate: Float[np.ndarray, "rows numbers"], reference: Float[np.ndarray, "rows numbers"], min_cosine: float
) -> Float[np.ndarray, " rows"] | None:
    """What multiplies each row of the reference in the candidate, or None when one points elsewhere."""
    candidate = candidate.astype(np.float64)
    products = (candidate * reference).sum(axis=1)
    norms = np.linalg.norm(candidate, axis=1) * np.linalg.norm(reference, axis=1)
    if not (products > min_cosine * norms).all():
        return None
    return products / (reference**2).sum(axis=1)
