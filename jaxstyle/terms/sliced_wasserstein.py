"""The sliced Wasserstein distance: whole distributions of features, compared along random directions."""

import dataclasses
from collections.abc import Mapping
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxstyle.errors import JaxstyleError
from jaxstyle.paper.terms import Features, Image, LayerTerm
from jaxstyle.terms.histogram import ordered, quantiles


@dataclasses.dataclass(frozen=True)
class SlicedWasserstein(LayerTerm):
    """Mean over directions v of mean (sort(F v) − sort(F_style v))², for N random unit vectors v.

    Directions are drawn anew for every block of steps, in which the loss is one function, as L-BFGS needs; a new block
    is a new function, so that the optimizer begins afresh. The authors draw for every evaluation, and call L-BFGS 64
    times for 64 steps. They take the twelve layers conv1_1 to conv4_4.

    Attributes:
      directions: how many for each filter of the layer; the authors take 1.
      bins: how many quantiles of the style's projections are kept, so that images of different sizes compare.
      seed: of the directions.
      block: so many steps have the same directions, at most; 0: all.

    References: Heitz, Vanhoey, Chambon & Belcour, "A Sliced Wasserstein Loss for Neural Texture Synthesis", CVPR 2021,
    Eqs. 5 to 7.
    """

    kind: ClassVar[str] = "sliced-wasserstein"
    source: ClassVar[Literal["style"]] = "style"
    directions: int = 1
    bins: int = 1024
    seed: int = 0
    block: int = 64  # pyright: ignore[reportIncompatibleMethodOverride]

    def __post_init__(self) -> None:
        """Checks the numbers."""
        limits = (("directions", 1, 16), ("bins", 2, 65536), ("seed", 0, 2**32 - 1), ("block", 0, 10**9))
        for name, least, most in limits:
            if not least <= getattr(self, name) <= most:
                raise JaxstyleError(f"{name}: found {getattr(self, name)}; allowed: {least} to {most}")

    def draws(self, block: int, filters: Mapping[str, int]) -> dict[str, np.ndarray]:
        """The directions, [channels, directions]."""
        channels = filters[self.layer]
        vectors = np.random.default_rng([self.seed, block]).standard_normal((channels, self.directions * channels))
        return {self.drawn[0]: (vectors / np.linalg.norm(vectors, axis=0)).astype(np.float32)}

    @property
    def drawn(self) -> tuple[str]:
        """The directions' name, the same for every term that draws the same."""
        return (f"{self.name}/directions/{self.directions}/{self.seed}",)

    def target(self, image: Image, features: Features) -> Float[Array, "bins directions"]:
        """The style's quantiles along the directions; those of several images are averaged."""
        return quantiles(_projected(features[self.layer], features[self.drawn[0]]), self.bins)

    def value(self, image: Image, features: Features, target: Array) -> Float[Array, ""]:
        """The mean squared difference of sorted projections."""
        own = _projected(features[self.layer], features[self.drawn[0]])
        return jnp.mean(jnp.square(own - quantiles(target, own.shape[0])))


def _projected(
    features: Float[Array, "height width channels"], directions: Float[Array, "channels directions"]
) -> Float[Array, "positions directions"]:
    """The responses along each direction, in order."""
    return ordered(jnp.matmul(features, directions, precision=jax.lax.Precision.HIGHEST))
