"""Measures the mean activation of every filter on images, what `weights.normalize_parameters` divides by.

References: Gatys et al., CVPR 2016, Sec. 2: each filter's mean activation, over images and positions, becomes 1.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxstyle.devices import deterministic
from jaxstyle.devices.environment import devices as ensure_devices
from jaxstyle.devices.jax_settings import pinned
from jaxstyle.errors import JaxstyleError
from jaxstyle.images import fit_style, read_image
from jaxstyle.network.layers import FILTERS
from jaxstyle.network.vgg import VGG, VGGFeatures, split
from jaxstyle.network.weights import Weights

CROP = 256
"""Images are scaled to this short side and cropped to a square of it, as the network was trained."""


@jax.jit(static_argnames=("network", "layers"), compiler_options=deterministic.options())
def _mean_responses(
    network: VGGFeatures, parameters: Any, image: Float[Array, "height width 3"], layers: tuple[str, ...]
) -> dict[str, Float[Array, " _filters"]]:
    features = network(parameters, image, layers)
    return {layer: jnp.mean(response, axis=(0, 1)) for layer, response in features.items()}


@pinned()
def measure_mean_activations(
    weights: Weights,
    images: Sequence[Path],
    *,
    pooling: str = "max",
    advance: Callable[[Path], None] = lambda path: None,
) -> dict[str, Float[np.ndarray, " _filters"]]:
    """Averages every filter's response over positions and images.

    Args:
      weights: the network as it was trained.
      images: image files; each counts the same.
      pooling: of the network that is normalized; `max` as it was trained, which is what the paper's authors did.
      advance: called after each image.

    Returns:
      Each layer's mean responses after the ReLU.

    Raises:
      JaxstyleError: there are no images, one cannot be read, or there is no device.
    """
    if not images:
        raise JaxstyleError("no images to measure mean activations on")
    ensure_devices()
    # Direct sums round least, and a filter that hardly ever fires is divided by what is left of its responses.
    layers = weights.layout.layers
    options = {"layers": layers, "pooling": pooling, "convolution": "direct"}
    network, parameters = split(VGG(weights.parameters, weights.preprocessing, **options))
    sums = {layer: np.zeros(FILTERS[layer]) for layer in layers}
    for path in images:
        square = fit_style(read_image(path).pixels, height=CROP, width=CROP, rule="cover")
        means = jax.device_get(_mean_responses(network, parameters, jnp.asarray(square), layers))
        sums = {layer: total + means[layer] for layer, total in sums.items()}
        advance(path)
    return {layer: (total / len(images)).astype(np.float32) for layer, total in sums.items()}
