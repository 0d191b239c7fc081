"""Histograms of responses: each filter's distribution, which a Gram matrix leaves open between mean and variance."""

import dataclasses
from typing import ClassVar, Literal

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle.errors import JaxstyleError
from jaxstyle.paper.terms import Features, Image, LayerTerm


@dataclasses.dataclass(frozen=True)
class Histogram(LayerTerm):
    """1/(N M) Σ (O − R(O))², where R brings each filter's responses to the style's histogram; R has no gradient.

    The responses of a filter, sorted, are compared with as many quantiles of the style's, so that images of different
    sizes compare. Differs from the authors' ‖O − R(O)‖² by the number of responses, so that a weight does not depend on
    the size. They take conv1_1 and conv4_1, beside a Gram loss of all layers and total variation.

    Attributes:
      bins: how many quantiles of the style's responses are kept; the authors' histograms have 256 bins.

    References: Risser, Wilmot & Barnes, "Stable and Controllable Neural Texture Synthesis and Style Transfer Using
    Histogram Losses", arXiv 1701.08893, Eqs. 6 and 7.
    """

    kind: ClassVar[str] = "histogram"
    source: ClassVar[Literal["style"]] = "style"
    bins: int = 256

    def __post_init__(self) -> None:
        """Checks the bins."""
        if not 2 <= self.bins <= 65536:
            raise JaxstyleError(f"bins: found {self.bins}; allowed: 2 to 65536")

    def target(self, image: Image, features: Features) -> Float[Array, "bins channels"]:
        """The style's quantiles; those of several images are averaged."""
        return quantiles(ordered(features[self.layer]), self.bins)

    def value(self, image: Image, features: Features, target: Array) -> Float[Array, ""]:
        """The mean squared difference of sorted responses; sorting only permutes, so its gradient is 2 (O − R(O))."""
        own = ordered(features[self.layer])
        return jnp.mean(jnp.square(own - quantiles(target, own.shape[0])))


def ordered(features: Float[Array, "height width channels"]) -> Float[Array, "positions channels"]:
    """Each filter's responses from the lowest to the highest."""
    return jnp.sort(features.reshape(-1, features.shape[-1]), axis=0)


def quantiles(ordered: Float[Array, "positions channels"], count: int) -> Float[Array, "count channels"]:
    """So many values, at the probabilities (k + ½) / count, of columns in order; between two, linear."""
    positions = ordered.shape[0]
    places = jnp.clip((jnp.arange(count) + 0.5) * (positions / count) - 0.5, 0, positions - 1)
    below = jnp.floor(places).astype(int)
    share = (places - below)[:, None].astype(ordered.dtype)
    return ordered[below] * (1 - share) + ordered[jnp.minimum(below + 1, positions - 1)] * share
