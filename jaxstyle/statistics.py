"""Statistics of features: pure functions, named as in the paper.

Products are full float32: by default JAX rounds their factors to TF32 (10 bits) on recent GPUs.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


@jax.custom_vjp
def gram_matrix(features: Float[Array, "height width channels"]) -> Float[Array, "channels channels"]:
    """Inner products of the filters' responses over positions (Eq. 3).

    The gradient is one product with F, as in Eq. 6. Automatic differentiation makes two, one for each factor of the
    Gram matrix, and a twentieth of an evaluation went into the second.

    Args:
      features: responses after the ReLU.

    Returns:
      G[i, j] = Σ_k F[i, k] F[j, k], k running over positions; not divided by anything.

    References: Gatys et al., CVPR 2016, Sec. 2.2.
    """
    responses = features.reshape(-1, features.shape[-1])
    return jnp.matmul(responses.T, responses, precision=jax.lax.Precision.HIGHEST)


def _pull_back(features: Array, cotangent: Float[Array, "channels channels"]) -> tuple[Array]:
    return (jnp.matmul(features, cotangent + cotangent.T, precision=jax.lax.Precision.HIGHEST),)


gram_matrix.defvjp(lambda features: (gram_matrix(features), features), _pull_back)


def mean_gram_matrix(features: Float[Array, "height width channels"]) -> Float[Array, "channels channels"]:
    """The Gram matrix divided by the number of positions M, so that pictures of different sizes compare.

    Args:
      features: responses after the ReLU.

    Returns:
      G / M, the raw second moments of the filters' responses.
    """
    height, width, _ = features.shape
    return gram_matrix(features) / (height * width)


def blend(statistics: Float[Array, "pictures ..."], weights: Float[Array, " pictures"]) -> Float[Array, "..."]:
    """The weighted mean of several style pictures' statistics.

    Args:
      statistics: one statistic of each picture, stacked.
      weights: how much each picture counts; only their ratios matter.
    """
    return jnp.tensordot(weights / weights.sum(), statistics, axes=1, precision=jax.lax.Precision.HIGHEST)
