"""Statistics of features: pure functions, named as in the paper.

Products are full float32: by default JAX rounds their factors to TF32 (10 bits) on recent GPUs.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_FULL = jax.lax.Precision.HIGHEST


@jax.custom_jvp
def gram_matrix(features: Float[Array, "height width channels"]) -> Float[Array, "channels channels"]:
    """Inner products of the filters' responses over positions (Eq. 3).

    Its derivative is written out so that the gradient is one product with F, as in Eq. 6. Automatic differentiation
    makes two, one for each factor, and a twentieth of an evaluation went into the second.

    Args:
      features: responses after the ReLU.

    Returns:
      G[i, j] = Σ_k F[i, k] F[j, k], k running over positions; not divided by anything.

    References: Gatys et al., CVPR 2016, Sec. 2.2.
    """
    responses = features.reshape(-1, features.shape[-1])
    return jnp.matmul(responses.T, responses, precision=_FULL)


@gram_matrix.defjvp
def _(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (features,), (change,) = primals, tangents
    # Flattened to rows: contracted over two axes, the transpose takes XLA's CPU backend twice as long.
    responses, changes = (array.reshape(-1, array.shape[-1]) for array in (features, change))
    half = jnp.matmul(responses.T, changes, precision=_FULL)
    return gram_matrix(features), half + half.T


def mean_gram_matrix(features: Float[Array, "height width channels"]) -> Float[Array, "channels channels"]:
    """The Gram matrix divided by the number of positions M, so that images of different sizes compare.

    Args:
      features: responses after the ReLU.

    Returns:
      G / M, the raw second moments of the filters' responses.
    """
    height, width, _ = features.shape
    return gram_matrix(features) / (height * width)


def mean(features: Float[Array, "height width channels"]) -> Float[Array, " channels"]:
    """Each filter's mean response over positions."""
    return jnp.mean(features, axis=(0, 1))


def blend(statistics: Float[Array, "images ..."], weights: Float[Array, " images"]) -> Float[Array, "..."]:
    """The weighted mean of several style images' statistics.

    Args:
      statistics: one statistic of each image, stacked.
      weights: how much each image counts; only their ratios matter.
    """
    return jnp.tensordot(weights / weights.sum(), statistics, axes=1, precision=_FULL)
