"""The Laplacian loss of Lapstyle: the content's edges, so that fine structure survives strong styles."""

import dataclasses
from typing import Any, ClassVar, Literal

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle.errors import JaxstyleError
from jaxstyle.paper.terms import Features, Image, Term
from jaxstyle.units import LEVELS

POOLS = (1, 2, 4, 8, 16, 32)


@dataclasses.dataclass(frozen=True)
class Laplacian(Term):
    """Mean squared difference of the image's and the content's Laplacians, after averaging squares of `pool` pixels.

    D(x) is the kernel (0 −1 0, −1 4 −1, 0 −1 0) on the pooled image in grey levels, summed over the colours, without
    padding; the term is mean (D(x) − D(content))². The authors' program (Lapstyle) uses a weight of 100 with a pool of
    4, beside content and style weights of 20 and 100 in the convention `neural-style`; or 100 and 1600 with pools of 4
    and 16.

    Attributes:
      pool: side of the averaged squares in pixels.

    References: Li, Xu, Nie & Liu, "Laplacian-Steered Neural Style Transfer", ACM MM 2017, Eqs. 4 and 5.
    """

    kind: ClassVar[str] = "laplacian"
    source: ClassVar[Literal["content"]] = "content"
    pool: int = 4

    def __post_init__(self) -> None:
        """Checks the pool."""
        if self.pool not in POOLS:
            raise JaxstyleError(f"pool: found {self.pool}; allowed: {', '.join(map(str, POOLS))}")

    @property
    def name(self) -> str:
        """The kind and the pool."""
        return f"{self.kind}/{self.pool}"

    def target(self, image: Image, features: Features) -> Array:
        """The content's Laplacian."""
        return laplacian(image, self.pool)

    def value(self, image: Image, features: Features, target: Any) -> Float[Array, ""]:
        """Mean squared difference of the Laplacians."""
        return jnp.mean(jnp.square(laplacian(image, self.pool) - target))


def laplacian(image: Image, pool: int) -> Float[Array, "rows columns"]:
    """The discrete Laplacian of the pooled image, in grey levels, summed over colours; rows that fill no square go.

    Args:
      image: sRGB in [0, 1].
      pool: side of the averaged squares in pixels.
    """
    height, width = (side // pool for side in image.shape[:2])
    if min(height, width) < 3:
        found, least = f"an image of {image.shape[1]}×{image.shape[0]} pixels", 3 * pool
        raise JaxstyleError(
            f"laplacian: {found} is too small for a pool of {pool}; both sides must be at least {least}"
        )
    squares = image[: height * pool, : width * pool].reshape(height, pool, width, pool, 3)
    grey = LEVELS * jnp.sum(jnp.mean(squares, axis=(1, 3)), axis=-1)
    return 4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
