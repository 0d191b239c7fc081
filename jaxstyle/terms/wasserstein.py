"""The 2-Wasserstein distance of features taken as Gaussians, the style loss of crowsonkb's style-transfer-pytorch."""

import dataclasses
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle.paper.statistics import mean, mean_gram_matrix
from jaxstyle.paper.terms import Responses, StatisticTerm

RIDGE = 1e-4
"""Added to the diagonal of a covariance, which has fewer positions than filters in deep layers."""
ITERATIONS = 12
"""Of Newton and Schulz's for a square root."""
_FULL = jax.lax.Precision.HIGHEST


class Gaussian(NamedTuple):
    """Mean and raw second moment of a layer's responses; both average linearly over images."""

    mean: Float[Array, " channels"]
    second: Float[Array, "channels channels"]

    @property
    def covariance(self) -> Float[Array, "channels channels"]:
        """S − μ μᵀ, with a small ridge."""
        return self.second - jnp.outer(self.mean, self.mean) + RIDGE * jnp.eye(self.mean.size, dtype=self.mean.dtype)


@dataclasses.dataclass(frozen=True)
class Wasserstein(StatisticTerm):
    """W₂² / N = mean (μ − μ_t)² + mean diag(C_t + C − 2 (C_t^½ C C_t^½)^½) of a layer with N filters.

    References: Crowson, style-transfer-pytorch 0.3, `StyleLossW2`; Olkin & Pukelsheim, Linear Algebra Appl. 48, 1982,
    for the distance; Higham, Functions of Matrices, 2008, Sec. 6.3, for the roots.
    """

    kind: ClassVar[str] = "wasserstein"

    def means(self, responses: Responses) -> Gaussian:
        """Mean and second moment."""
        return gaussian(responses)

    def distance(self, statistic: Gaussian, target: Gaussian) -> Float[Array, ""]:
        """The squared distance over the number of filters."""
        root = square_root(target.covariance)
        cross = square_root(_product(_product(root, statistic.covariance), root))
        means = jnp.mean(jnp.square(statistic.mean - target.mean))
        return means + jnp.mean(jnp.diagonal(target.covariance + statistic.covariance - 2 * cross))


def gaussian(features: Float[Array, "height width channels"]) -> Gaussian:
    """Mean and second moment over positions."""
    return Gaussian(mean(features), mean_gram_matrix(features))


@jax.custom_jvp
def square_root(matrix: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """The square root of a symmetric positive definite matrix, by twelve iterations of Newton and Schulz's."""
    norm = jnp.linalg.norm(matrix)
    identity = jnp.eye(matrix.shape[0], dtype=matrix.dtype)

    def step(_: Array, pair: tuple[Array, Array]) -> tuple[Array, Array]:
        root, inverse = pair
        half = (3 * identity - _product(inverse, root)) / 2
        return _product(root, half), _product(half, inverse)

    root, _ = jax.lax.fori_loop(0, ITERATIONS, step, (matrix / norm, identity))
    return root * jnp.sqrt(norm)


@square_root.defjvp
def _(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    """Solves R Ṙ + Ṙ R = Ȧ, the root's derivative, by the same number of iterations."""
    root = square_root(*primals)

    def operator(solution: Array) -> Array:
        return _product(root, solution) + _product(solution, root)

    def solve(_: object, right: Array) -> Array:
        return _solve(root, right)

    return root, jax.lax.custom_linear_solve(operator, tangents[0], solve, symmetric=True)


def _solve(root: Float[Array, "n n"], right: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """X of R X + X R = Q for a symmetric R."""
    norm = jnp.linalg.norm(root)
    identity = jnp.eye(root.shape[0], dtype=root.dtype)

    def step(_: Array, pair: tuple[Array, Array]) -> tuple[Array, Array]:
        scaled, solution = pair
        even = 3 * identity - _product(scaled, scaled)
        odd = _product(scaled, solution) - _product(solution, scaled)
        return _product(scaled, even) / 2, (_product(solution, even) - _product(scaled.T, odd)) / 2

    _, solution = jax.lax.fori_loop(0, ITERATIONS, step, (root / norm, right / norm))
    return solution / 2


def _product(first: Array, second: Array) -> Array:
    return jnp.matmul(first, second, precision=_FULL)
