"""Linear matching of colours: an image's pixels brought to another's mean and covariance.

x′ = W (x − μ_s) + μ_t with W C_s Wᵀ = C_t, which leaves W free up to a rotation: three choices are here.

References: Gatys, Bethge, Hertzmann & Shechtman, arXiv 1606.05897; Gatys et al., CVPR 2017, Sec. 5; Pitié & Kokaram,
CVMP 2007.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jaxstyle.errors import JaxstyleError, did_you_mean

RIDGE = 1e-5
"""Added to the diagonal of a covariance, as in the authors' notebooks: that of a grey image, or of one colour, is
singular."""

Pixels = Float[np.ndarray, "height width 3"]
Matrix = Float[np.ndarray, "3 3"]


class Colours(NamedTuple):
    """Mean and covariance of an image's pixels, in float64."""

    mean: Float[np.ndarray, " 3"]
    covariance: Matrix


def colours_of(pixels: Pixels) -> Colours:
    """Mean and covariance over all pixels."""
    flat = pixels.reshape(-1, 3).astype(np.float64)
    return Colours(flat.mean(axis=0), np.cov(flat.T, bias=True))


def pooled(several: Sequence[Colours], weights: Sequence[float]) -> Colours:
    """Mean and covariance of several images' pixels together, each image counting by its weight."""
    shares = np.asarray(weights, np.float64) / np.sum(weights)
    seconds = np.stack([each.covariance + np.outer(each.mean, each.mean) for each in several])
    mean = shares @ np.stack([each.mean for each in several])
    return Colours(mean, np.tensordot(shares, seconds, axes=1) - np.outer(mean, mean))


def cholesky(source: Matrix, target: Matrix) -> Matrix:
    """L_t L_s⁻¹ of the Cholesky factors; depends on the order of the channels."""
    return np.linalg.solve(np.linalg.cholesky(source).T, np.linalg.cholesky(target).T).T


def pca(source: Matrix, target: Matrix) -> Matrix:
    """C_t^½ C_s^−½ of the symmetric roots; what the authors' notebooks use."""
    return symmetric_root(target) @ np.linalg.inv(symmetric_root(source))


def optimal_transport(source: Matrix, target: Matrix) -> Matrix:
    """Q⁻¹ (Q C_t Q)^½ Q⁻¹ with Q = C_s^½: the map that moves colours least in mean square (Monge and Kantorovich)."""
    root = symmetric_root(source)
    inverse = np.linalg.inv(root)
    return inverse @ symmetric_root(root @ target @ root) @ inverse


TRANSFORMS = {"cholesky": cholesky, "pca": pca, "optimal-transport": optimal_transport}
"""The choices of W, each of (C_s, C_t)."""


def match_colours(pixels: Pixels, source: Colours, target: Colours, transform: str) -> Pixels:
    """Pixels with `source`'s colours brought to `target`'s; float64, not clipped.

    Args:
      pixels: sRGB in [0, 1].
      source: of these pixels.
      target: what they are to have.
      transform: a key of `TRANSFORMS`.

    Returns:
      Pixels whose mean is the target's, and whose covariance is the target's up to `RIDGE`. An image without variance
      along some direction of colours gets none there: what is grey stays on a line.
    """
    if transform not in TRANSFORMS:
        hint = did_you_mean(transform, TRANSFORMS) or "."
        raise JaxstyleError(f"unknown transform '{transform}'{hint} Allowed: {', '.join(TRANSFORMS)}")
    ridge = RIDGE * np.eye(3)
    matrix = TRANSFORMS[transform](source.covariance + ridge, target.covariance + ridge)
    return (pixels.astype(np.float64) - source.mean) @ matrix.T + target.mean


def symmetric_root(matrix: Matrix) -> Matrix:
    """The symmetric square root of a positive definite matrix."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
