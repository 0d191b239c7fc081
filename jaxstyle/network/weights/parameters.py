"""The convolutions as plain arrays: their type, what makes them complete, and their checksum."""

import hashlib
from collections.abc import Sequence

import numpy as np

from jaxstyle.errors import JaxstyleError
from jaxstyle.network.layers import FILTERS, INPUTS, KERNEL_SIZE, LAYERS, network_of

Parameters = dict[str, dict[str, np.ndarray]]
"""`{"conv1_1": {"kernel": [3, 3, in, out] (HWIO), "bias": [out]}, …}`, float32, in the network's order: all
layers of one of `layers.NETWORKS`."""


def expected_shapes(layer: str) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of a layer's kernel (height, width, in, out) and bias."""
    return {
        "kernel": (KERNEL_SIZE, KERNEL_SIZE, INPUTS[layer], FILTERS[layer]),
        "bias": (FILTERS[layer],),
    }


def check_parameters(parameters: Parameters, layers: Sequence[str] = LAYERS) -> None:
    """Proves that nothing is missing, misshapen, of another type, or not finite.

    Args:
      parameters: by layer.
      layers: those that must be there: by default VGG-19's.

    Raises:
      JaxstyleError: the first fault, with layer and part, what was found, and what is expected.
    """
    missing = [layer for layer in layers if layer not in parameters]
    if missing:
        raise JaxstyleError(f"{missing[0]}: the layer is missing ({len(missing)} of {len(layers)} are).")
    for layer in layers:
        for part, shape in expected_shapes(layer).items():
            array = parameters[layer].get(part)
            if array is None:
                raise JaxstyleError(f"{layer}.{part}: missing.")
            if array.shape != shape:
                raise JaxstyleError(f"{layer}.{part}: the shape is {array.shape}; {network_of(layers)} has {shape}.")
            if array.dtype != np.float32:
                raise JaxstyleError(f"{layer}.{part}: the type is {array.dtype}; expected float32.")
            if not np.isfinite(array).all():
                raise JaxstyleError(f"{layer}.{part}: holds values that are not finite.")


def content_sha256(parameters: Parameters) -> str:
    """Returns the checksum of the numbers alone, whatever file they lie in.

    SHA-256 over each layer's kernel (HWIO) and bias as little-endian float32, in the network's order.
    """
    digest = hashlib.sha256()
    for layer in filter(parameters.__contains__, LAYERS):
        for part in ("kernel", "bias"):
            digest.update(np.ascontiguousarray(parameters[layer][part], dtype="<f4").data)
    return digest.hexdigest()
