"""VGG-19 without its classifier, as a Flax NNX module: an image in, the features of the layers asked for out."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from jaxstyle.errors import JaxstyleError
from jaxstyle.network.layers import (
    FILTERS,
    INPUTS,
    KERNEL_SIZE,
    LAYERS,
    PADDINGS,
    POOLINGS,
    canonical_layer,
    downsampling,
)
from jaxstyle.network.winograd import MatrixConv

if TYPE_CHECKING:
    from jaxstyle.network.weights import Parameters, Preprocessing

CONVOLUTIONS = ("direct", "winograd")
PRECISIONS = ("float32", "tf32", "bfloat16")
WINOGRAD_FILTERS = 128
"""Layers with at least so many filters take Winograd's algorithm, where that is chosen."""


_PAD_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
"""By NumPy's names."""


def pool(features: Float[Array, "batch height width channels"], pooling: str) -> Float[Array, "batch h w channels"]:
    """Halves height and width (rounding down) by the average or the maximum of each 2×2 square."""
    window = nnx.avg_pool if pooling == "average" else nnx.max_pool
    return window(features, window_shape=(2, 2), strides=(2, 2), padding="VALID")


class VGG19(nnx.Module):
    """The convolutional part of VGG-19.

    Args:
      parameters: every layer's `kernel` [3, 3, inputs, filters] and `bias` [filters].
      preprocessing: the colour order, scale and mean that these parameters were trained with.
      pooling: `average`, as the paper synthesizes with, or `max`, as the network was trained.
      padding: what convolutions find beyond the border: `zeros`, as the network was trained, `reflect`, `replicate`, or
        `circular`, with which an image whose sides the poolings divide has no border.
      layers: the layers that will be asked for; what lies deeper than the deepest of them is not built.
      convolution: `direct`, or `winograd` from `WINOGRAD_FILTERS` on, which differs by rounding and takes five times
        the memory for those kernels. By default what is faster: Winograd for float32 on CPUs and GPUs, else direct.
      precision: `float32`; `tf32`, whose products round their factors to 10 bits where the device can; or `bfloat16`,
        whose features are rounded to 7 bits. Features come out as float32, so statistics and losses are float32 always.

    References: Simonyan & Zisserman, ICLR 2015; Gatys et al., CVPR 2016, Sec. 2.
    """

    def __init__(
        self,
        parameters: "Parameters",
        preprocessing: "Preprocessing",
        *,
        pooling: str = "average",
        padding: str = "zeros",
        layers: Iterable[str] = LAYERS,
        convolution: str | None = None,
        precision: str = "float32",
    ):
        """Builds the convolutions as deep as asked."""
        prefers_winograd = jax.default_backend() in ("cpu", "gpu") and precision == "float32"
        convolution = convolution or ("winograd" if prefers_winograd else "direct")
        _check_option("pooling", pooling, POOLINGS)
        _check_option("padding", padding, PADDINGS)
        _check_option("convolution", convolution, CONVOLUTIONS)
        _check_option("precision", precision, PRECISIONS)
        self.preprocessing = preprocessing
        self.pooling = pooling
        self.padding = padding
        self.precision = precision
        unused = nnx.Rngs(0)  # a convolution asks for random numbers, though its parameters are given
        for layer in LAYERS[: LAYERS.index(deepest(layers)) + 1]:
            kernel, bias = parameters[layer]["kernel"], parameters[layer]["bias"]
            fast = convolution == "winograd" and FILTERS[layer] >= WINOGRAD_FILTERS
            setattr(self, layer, MatrixConv(kernel, bias) if fast else self._convolution(layer, kernel, bias, unused))

    def __call__(
        self, image: Float[Array, "height width 3"], layers: Iterable[str]
    ) -> dict[str, Float[Array, "_h _w _filters"]]:
        """Computes the features of `layers`, and nothing deeper than the deepest of them.

        Args:
          image: sRGB in [0, 1]; values outside are legal, as the optimization is not clamped.
          layers: their names; `relu4_2` means `conv4_2`.

        Returns:
          Each layer's responses after the ReLU, by the name that was given: [height / 2ᵏ, width / 2ᵏ, filters]
          after k poolings.

        Raises:
          JaxstyleError: there is no such layer.
        """
        canonical = {name: canonical_layer(name) for name in layers}
        wanted = set(canonical.values())
        features: dict[str, Array] = {}
        hidden = self.preprocess(image)[None]
        block = 0
        for layer in LAYERS:
            if len(features) == len(wanted):
                break
            if downsampling(layer) > block:
                block = downsampling(layer)
                hidden = pool(hidden, self.pooling)
            hidden = jax.nn.relu(self._convolved(getattr(self, layer), hidden))
            if layer in wanted:
                features[layer] = hidden[0].astype(jnp.promote_types(hidden.dtype, jnp.float32))
        return {name: features[layer] for name, layer in canonical.items()}

    def _convolved(self, convolution: Callable[[Array], Array], hidden: Array) -> Array:
        """A convolution, which pads by zeros, of what is padded otherwise: its border is cut off."""
        if self.padding == "zeros":
            return convolution(hidden)
        by = KERNEL_SIZE // 2
        padded = jnp.pad(hidden, ((0, 0), (by, by), (by, by), (0, 0)), mode=_PAD_MODES[self.padding])
        return convolution(padded)[:, by:-by, by:-by]

    def preprocess(self, image: Float[Array, "height width 3"]) -> Float[Array, "height width 3"]:
        """Brings an sRGB image into the colour order, scale and mean that the network was trained with."""
        facts = self.preprocessing
        pixels = image[..., ::-1] if facts.order == "bgr" else image
        mean, std = jnp.asarray([facts.mean, facts.std], jnp.float32).reshape(2, 1, 1, 3)
        return (pixels * facts.scale - mean) / std

    def _convolution(self, layer: str, kernel: np.ndarray, bias: np.ndarray, rngs: nnx.Rngs) -> nnx.Conv:
        return nnx.Conv(
            INPUTS[layer],
            FILTERS[layer],
            (KERNEL_SIZE, KERNEL_SIZE),
            padding=KERNEL_SIZE // 2,
            dtype=jnp.bfloat16 if self.precision == "bfloat16" else None,
            precision=jax.lax.Precision.HIGHEST if self.precision == "float32" else jax.lax.Precision.DEFAULT,
            kernel_init=lambda *_: jnp.asarray(kernel, jnp.float32),
            bias_init=lambda *_: jnp.asarray(bias, jnp.float32),
            rngs=rngs,
        )


def _check_option(name: str, found: str, allowed: tuple[str, ...]) -> None:
    if found not in allowed:
        raise JaxstyleError(f"unknown {name} '{found}'. Allowed: {', '.join(allowed)}")


def deepest(layers: Iterable[str]) -> str:
    """Returns the layer that the others can be computed on the way to.

    Raises:
      JaxstyleError: no layer is given.
    """
    names = [canonical_layer(layer) for layer in layers]
    if not names:
        raise JaxstyleError("no layer is asked for: the objective needs at least one content or style layer")
    return max(names, key=LAYERS.index)


def check_tileable(height: int, width: int, layer: str) -> None:
    """Checks that every pooling before `layer` divides an image's sides, so that circular padding leaves no border.

    Raises:
      JaxstyleError: one does not.
    """
    step = 2 ** downsampling(layer)
    if height % step or width % step:
        raise JaxstyleError(
            f"an image of {width}×{height} pixels cannot be tiled: with circular padding and {layer} both sides must "
            f"be multiples of {step}"
        )


def check_size(height: int, width: int, layer: str) -> None:
    """Checks that an image is large enough to have at least one position left at `layer`.

    Raises:
      JaxstyleError: a side is smaller than the poolings before the layer divide it by.
    """
    smallest = 2 ** downsampling(layer)
    if min(height, width) < smallest:
        raise JaxstyleError(
            f"an image of {width}×{height} pixels has nothing left at {layer}: both sides must be at least {smallest}"
        )
