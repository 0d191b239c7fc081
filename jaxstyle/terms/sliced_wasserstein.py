"""The sliced Wasserstein distance: whole distributions of features, compared along random directions."""

import dataclasses
from typing import ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxstyle.errors import JaxstyleError
from jaxstyle.paper.terms import Features, Image, LayerTerm
from jaxstyle.terms.histogram import ordered, quantiles


class Slices(NamedTuple):
    """Unit directions, and the quantiles of the style's responses along each."""

    directions: Float[Array, "channels directions"]
    quantiles: Float[Array, "bins directions"]


@dataclasses.dataclass(frozen=True)
class SlicedWasserstein(LayerTerm):
    """Mean over directions v of mean (sort(F v) − sort(F_style v))², for N random unit vectors v.

    Differs from the authors', who draw new directions for each evaluation: here a seed draws them once, so that the
    loss is one function, which L-BFGS needs. They take the twelve layers conv1_1 to conv4_4.

    Attributes:
      directions: how many for each filter of the layer; the authors take 1.
      bins: how many quantiles of the style's projections are kept, so that images of different sizes compare.
      seed: of the directions.

    References: Heitz, Vanhoey, Chambon & Belcour, "A Sliced Wasserstein Loss for Neural Texture Synthesis", CVPR 2021,
    Eqs. 5 to 7.
    """

    kind: ClassVar[str] = "sliced-wasserstein"
    source: ClassVar[Literal["style"]] = "style"
    directions: int = 1
    bins: int = 1024
    seed: int = 0

    def __post_init__(self) -> None:
        """Checks the numbers."""
        for name, least, most in (("directions", 1, 16), ("bins", 2, 65536), ("seed", 0, 2**32 - 1)):
            if not least <= getattr(self, name) <= most:
                raise JaxstyleError(f"{name}: found {getattr(self, name)}; allowed: {least} to {most}")

    def target(self, image: Image, features: Features) -> Slices:
        """Directions, and the style's quantiles along them; those of several images are averaged."""
        filters = features[self.layer].shape[-1]
        vectors = np.random.default_rng(self.seed).standard_normal((filters, self.directions * filters))
        directions = jnp.asarray(vectors / np.linalg.norm(vectors, axis=0), features[self.layer].dtype)
        return Slices(directions, quantiles(_projected(features[self.layer], directions), self.bins))

    def value(self, image: Image, features: Features, target: Slices) -> Float[Array, ""]:
        """The mean squared difference of sorted projections."""
        own = _projected(features[self.layer], target.directions)
        return jnp.mean(jnp.square(own - quantiles(target.quantiles, own.shape[0])))


def _projected(
    features: Float[Array, "height width channels"], directions: Float[Array, "channels directions"]
) -> Float[Array, "positions directions"]:
    """The responses along each direction, in order."""
    return ordered(jnp.matmul(features, directions, precision=jax.lax.Precision.HIGHEST))
