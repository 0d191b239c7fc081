"""Total variation as other programs have it; `loss.tv_weight` is half the sum of squared differences."""

import dataclasses
from typing import ClassVar, Literal

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle.paper.terms import Features, Image, Term
from jaxstyle.units import LEVELS


@dataclasses.dataclass(frozen=True)
class Variation(Term):
    """Differences of neighbouring pixels.

    `absolute` is neural-style-pt's and neural-style-tf's: Σ |Δ| across and down in grey levels, with their weight of
    1e-3. It is not smooth where neighbours are equal.

    `nine-point` is style-transfer-pytorch's, with its weight of 2: twice the mean squared differences of pixels in
    [0, 1], across and down over 3, along both diagonals over 12, the border repeated.

    Attributes:
      rule: `absolute` or `nine-point`.

    References: neural-style-pt and neural-style-tf, `TVLoss`; Crowson, style-transfer-pytorch 0.3, `TVLoss`.
    """

    kind: ClassVar[str] = "variation"
    rule: Literal["absolute", "nine-point"] = "absolute"

    @property
    def name(self) -> str:
        """The kind and the rule."""
        return f"{self.kind}/{self.rule}"

    def value(self, image: Image, features: Features, target: None) -> Float[Array, ""]:
        """By the rule."""
        return absolute_variation(image) if self.rule == "absolute" else nine_point_variation(image)


def absolute_variation(image: Image) -> Float[Array, ""]:
    """Σ |Δ| in grey levels."""
    return LEVELS * (jnp.sum(jnp.abs(jnp.diff(image, axis=0))) + jnp.sum(jnp.abs(jnp.diff(image, axis=1))))


def nine_point_variation(image: Image) -> Float[Array, ""]:
    """2 · mean squared differences to the neighbours across and down (÷ 3) and along both diagonals (÷ 12)."""
    height, width, channels = image.shape
    padded = jnp.pad(image, ((1, 1), (1, 1), (0, 0)), mode="edge")
    straight = jnp.sum(jnp.square(jnp.diff(image, axis=0))) + jnp.sum(jnp.square(jnp.diff(image, axis=1)))
    falling, rising = padded[1:, 1:] - padded[:-1, :-1], padded[1:, :-1] - padded[:-1, 1:]
    diagonal = jnp.mean(jnp.square(falling)) + jnp.mean(jnp.square(rising))
    return 2 * (straight / (3 * height * width * channels) + diagonal / 12)
