"""Mean responses, the "guided sums" of spatial control: less of the texture than Gram matrices, more of its colours."""

import dataclasses
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle.paper.statistics import mean
from jaxstyle.paper.terms import Responses, StatisticTerm


@dataclasses.dataclass(frozen=True)
class Means(StatisticTerm):
    """(1/N) Σ (m − m_style)² of a layer's N filters, m = mean over positions; of T ∘ F where there are regions.

    The authors weigh it 1e9/N² alone with one style image, 1e8/N² with two, or 1e9/N² beside a plain Gram loss of
    1e3/N², in the convention `gatys-normalized` without its 1e9.

    References: Gatys et al., CVPR 2017, Sec. 4.2; `GuidedSums` in their NeuralImageSynthesis.
    """

    kind: ClassVar[str] = "means"

    def means(self, responses: Responses) -> Float[Array, " channels"]:
        """Each filter's mean response."""
        return mean(responses)

    def distance(self, statistic: Array, target: Array) -> Float[Array, ""]:
        """The mean squared difference."""
        return jnp.mean(jnp.square(statistic - target))
