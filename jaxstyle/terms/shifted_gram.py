"""Gram matrices of responses and their shifted copies: regular patterns and long-range structure."""

import dataclasses
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle.errors import JaxstyleError
from jaxstyle.paper.terms import Features, Image, LayerTerm


@dataclasses.dataclass(frozen=True)
class ShiftedGram(LayerTerm):
    """1/(4 N²) Σ (G_δ − A_δ)² for a shift δ to the right and one down, as Eq. 4 of the 2016 paper has it for δ = 0.

    G_δ[i, j] = 1/M Σ_k F_i(k) F_j(k + δ) over the M positions that have a shifted one. It goes beside the style term.
    The authors take several shifts, powers of two, in each of the layers of a texture: one term each.

    Attributes:
      shift: in positions of the layer.

    References: Berger & Memisevic, "Incorporating Long-Range Consistency in CNN-based Texture Generation", ICLR 2017
    (arXiv 1606.01286), Eqs. 4 to 6.
    """

    kind: ClassVar[str] = "shifted-gram"
    source: ClassVar[Literal["style"]] = "style"
    shift: int = 8

    def __post_init__(self) -> None:
        """Checks the shift."""
        if not 1 <= self.shift <= 4096:
            raise JaxstyleError(f"shift: found {self.shift}; allowed: 1 to 4096")

    @property
    def name(self) -> str:
        """The kind, the shift and the layer."""
        return f"{self.kind}/{self.shift}/{self.layer}"

    def target(self, image: Image, features: Features) -> Float[Array, "2 channels channels"]:
        """A_δ of the style image, across and down; those of several are averaged."""
        return shifted_gram_matrices(features[self.layer], self.shift)

    def value(self, image: Image, features: Features, target: Array) -> Float[Array, ""]:
        """Both directions' squared differences."""
        own = shifted_gram_matrices(features[self.layer], self.shift)
        return jnp.sum(jnp.square(own - target)) / (4 * own.shape[-1] ** 2)


def shifted_gram_matrices(
    features: Float[Array, "height width channels"], shift: int
) -> Float[Array, "2 channels channels"]:
    """Mean products of responses and those `shift` positions to the right, and below."""
    height, width, _ = features.shape
    if shift >= min(height, width):
        raise JaxstyleError(
            f"shifted-gram: a shift of {shift} leaves nothing of features of {width}×{height}; allowed: a smaller "
            "shift, a larger image.size, or shallower layers"
        )
    pairs = (features[:, :-shift], features[:, shift:]), (features[:-shift], features[shift:])
    return jnp.stack([_mean_products(*pair) for pair in pairs])


def _mean_products(first: Array, second: Array) -> Array:
    height, width, _ = first.shape
    # Flattened to rows: contracted over two axes, the transpose takes XLA's CPU backend twice as long.
    first, second = (array.reshape(-1, array.shape[-1]) for array in (first, second))
    sums = jnp.matmul(first.T, second, precision=jax.lax.Precision.HIGHEST)
    return sums / (height * width)
