"""Sums over an image that an iterate depends on: full float32 on every device, where GPUs would take TF32."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

dot = functools.partial(jnp.vdot, precision=jax.lax.Precision.HIGHEST)
"""The inner product of two arrays."""


def norm(array: Float[Array, "..."]) -> Float[Array, ""]:
    """The Euclidean norm."""
    return jnp.sqrt(dot(array, array))


def is_representable(
    value: Float[Array, ""], grad: Float[Array, "..."], *, is_start: Bool[Array, ""]
) -> Bool[Array, ""]:
    """Whether loss and gradient are numbers that can be computed with: finite, and the gradient's norm too.

    A start whose gradient's norm is 0 though the gradient is not would otherwise count as a minimum.
    """
    length = norm(grad)
    vanishes = is_start & (length == 0) & jnp.any(grad != 0)
    return jnp.isfinite(value) & jnp.isfinite(length) & ~vanishes
