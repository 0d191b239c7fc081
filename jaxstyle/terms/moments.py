"""Means and standard deviations of the filters' responses, the statistics of batch normalization."""

import dataclasses
from typing import ClassVar, Literal, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle.paper.statistics import mean
from jaxstyle.paper.terms import Features, Image, LayerTerm

TINY = 1e-8
"""Added to a variance, so that the square root of a filter that never responds has a gradient."""


class Statistics(NamedTuple):
    """Each filter's mean response and standard deviation over positions."""

    mean: Float[Array, " channels"]
    deviation: Float[Array, " channels"]


@dataclasses.dataclass(frozen=True)
class Moments(LayerTerm):
    """(1/N) Σ (μ − μ_style)² + (σ − σ_style)² over the N filters of a layer.

    References: Li, Wang, Liu & Hou, "Demystifying Neural Style Transfer", IJCAI 2017, Eq. 17.
    """

    kind: ClassVar[str] = "moments"
    source: ClassVar[Literal["style"]] = "style"

    def target(self, image: Image, features: Features) -> Statistics:
        """The style image's statistics; those of several are averaged."""
        return statistics(features[self.layer])

    def value(self, image: Image, features: Features, target: Statistics) -> Float[Array, ""]:
        """The mean squared difference of means, and of deviations."""
        own = statistics(features[self.layer])
        return jnp.mean(jnp.square(own.mean - target.mean) + jnp.square(own.deviation - target.deviation))


def statistics(features: Float[Array, "height width channels"]) -> Statistics:
    """Each filter's mean and standard deviation over positions."""
    own = mean(features)
    variance = mean(jnp.square(features - own[None, None]))
    return Statistics(own, jnp.sqrt(variance + TINY))
