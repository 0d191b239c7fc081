"""VGG-19 and VGG-16 without classifiers, as a Flax NNX module: an image in, the features of some layers out."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

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
    Padding,
    Pooling,
    Precision,
    VGGLayout,
    canonical_layer,
    deepest,
    downsampling,
    refuse_unknown_layers,
)
from jaxstyle.network.winograd import MatrixConv

if TYPE_CHECKING:
    from jaxstyle.network.weights import Parameters, Preprocessing

CONVOLUTIONS = ("direct", "winograd")
WINOGRAD_FILTERS = 128
"""Layers with at least so many filters take Winograd's algorithm, where that is chosen."""


_PAD_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
"""By NumPy's names."""


def pool(features: Float[Array, "batch height width channels"], pooling: str) -> Float[Array, "batch h w channels"]:
    """Halves height and width (rounding down) by the average or the maximum of each 2×2 square."""
    window = nnx.avg_pool if pooling == "average" else nnx.max_pool
    return window(features, window_shape=(2, 2), strides=(2, 2), padding="VALID")


class VGG(nnx.Module):
    """The convolutional part of a VGG.

    Args:
      parameters: every layer's `kernel` [3, 3, inputs, filters] and `bias` [filters]; which layers there are decides
        whether it is VGG-19 or VGG-16 (`layers.NETWORKS`).
      preprocessing: the colour order, scale and mean that these parameters were trained with.
      pooling: `average`, as the paper synthesizes with, or `max`, as the network was trained.
      padding: what convolutions find beyond the border: `zeros`, as the network was trained, `reflect`, `replicate`, or
        `circular`, with which an image whose sides the poolings divide has no border.
      layers: the layers that will be asked for, by default all; what lies deeper than the deepest is not built.
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
        layers: Iterable[str] | None = None,
        convolution: str | None = None,
        precision: str = "float32",
    ):
        """Builds the convolutions as deep as asked."""
        prefers_winograd = jax.default_backend() in ("cpu", "gpu") and precision == "float32"
        convolution = convolution or ("winograd" if prefers_winograd else "direct")
        _check_option("pooling", pooling, Pooling)
        _check_option("padding", padding, Padding)
        _check_option("convolution", convolution, CONVOLUTIONS)
        _check_option("precision", precision, Precision)
        self.preprocessing = preprocessing
        self.pooling = pooling
        self.padding = padding
        self.precision = precision
        own = tuple(layer for layer in LAYERS if layer in parameters)
        wanted = own if layers is None else tuple(map(canonical_layer, layers))
        refuse_unknown_layers(VGGLayout(own), wanted)
        self.layers = own[: own.index(deepest(wanted)) + 1]
        unused = nnx.Rngs(0)  # a convolution asks for random numbers, though its parameters are given
        for layer in self.layers:
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
        for layer in self.layers:
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


@dataclasses.dataclass(frozen=True)
class VGGFeatures:
    """A `VGG` without its numbers, as an objective takes it: hashable, so that it is a static argument.

    Attributes:
      structure: `nnx.split`'s graph definition.
    """

    structure: nnx.GraphDef[VGG]

    def __call__(
        self, parameters: Any, image: Float[Array, "height width 3"], layers: Iterable[str]
    ) -> dict[str, Array]:
        """The features of `layers`."""
        return nnx.merge(self.structure, parameters)(image, layers)


def split(network: VGG) -> tuple[VGGFeatures, Any]:
    """A network as what is static of it, and its parameters."""
    structure, parameters = nnx.split(network)
    return VGGFeatures(structure), parameters


def _check_option(name: str, found: str, allowed: Iterable[str]) -> None:
    if found not in [*allowed]:
        raise JaxstyleError(f"unknown {name} '{found}'. Allowed: {', '.join(allowed)}")
