"""Means and standard deviations of the filters' responses, the statistics of batch normalization."""

import dataclasses
from typing import ClassVar, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle.paper.statistics import mean
from jaxstyle.paper.terms import Features, Image, Responses, StatisticTerm

TINY = 1e-8
"""Added to a variance, so that the square root of a filter that never responds has a gradient."""


class Statistics(NamedTuple):
    """Each filter's mean response and standard deviation over positions."""

    mean: Float[Array, " channels"]
    deviation: Float[Array, " channels"]


@dataclasses.dataclass(frozen=True)
class Moments(StatisticTerm):
    """(1/N) Σ (μ − μ_style)² + (σ − σ_style)² over the N filters of a layer.

    References: Li, Wang, Liu & Hou, "Demystifying Neural Style Transfer", IJCAI 2017, Eq. 17.
    """

    kind: ClassVar[str] = "moments"

    def means(self, responses: Responses) -> tuple[Array, Array]:
        """Of responses and of their squares."""
        return mean(responses), mean(jnp.square(responses))

    def statistic(self, means: tuple[Array, Array]) -> Statistics:
        """σ² = mean F² − μ², which rounding may leave below 0."""
        own, squares = means
        return Statistics(own, jnp.sqrt(jnp.maximum(squares - jnp.square(own), 0) + TINY))

    def distance(self, statistic: Statistics, target: Statistics) -> Float[Array, ""]:
        """The mean squared difference of means, and of deviations."""
        return jnp.mean(jnp.square(statistic.mean - target.mean) + jnp.square(statistic.deviation - target.deviation))

    def target(self, image: Image, features: Features) -> Statistics:
        """As `statistic`, with less rounding: all responses are there."""
        return statistics(features[self.layer])

    def value(self, image: Image, features: Features, target: Statistics) -> Float[Array, ""]:
        """The distance, likewise."""
        return self.distance(statistics(features[self.layer]), target)


def statistics(features: Float[Array, "height width channels"]) -> Statistics:
    """Each filter's mean and standard deviation over positions."""
    own = mean(features)
    variance = mean(jnp.square(features - own[None, None]))
    return Statistics(own, jnp.sqrt(variance + TINY))
