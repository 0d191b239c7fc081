"""The white noise that a seed names: the same bits whatever jax's settings and version are."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxstyle.devices.jax_settings import pinned

GENERATOR = "threefry2x32"
_NEAR = (2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503)
_NEAR = (*_NEAR, -0.00417768164, 0.246640727, 1.50140941)
_FAR = (-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613)
_FAR = (*_FAR, 0.00943887047, 1.00167406, 2.83297682)


@pinned()
def standard_normal(seed: int, shape: tuple[int, ...]) -> Float[np.ndarray, "..."]:
    """Standard normal numbers in float32.

    They are those of `jax.random.normal(jax.random.key(seed), shape)` with the settings that jax has had by default
    since version 0.5. What jax may choose otherwise is said here: the generator, the type, and the algorithm of erf⁻¹.

    Args:
      seed: at least 0, less than 2³².
      shape: of the result.
    """
    key = jax.random.wrap_key_data(jnp.asarray([0, seed], jnp.uint32), impl=GENERATOR)
    lowest = np.nextafter(np.float32(-1), np.float32(0))
    uniform = jax.random.uniform(key, shape, jnp.float32, lowest, np.float32(1))
    return np.float32(np.sqrt(2)) * np.asarray(_inverse_error_function(uniform))


@jax.jit
def _inverse_error_function(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """erf⁻¹ in single precision.

    References: Giles, Approximating the erfinv function, GPU Computing Gems, 2010, Table 5.
    """
    w = -jnp.log1p(-x * x)
    is_near = w < 5
    w = jnp.where(is_near, w - 2.5, jnp.sqrt(w) - 3)
    first, *others = ((np.float32(near), np.float32(far)) for near, far in zip(_NEAR, _FAR, strict=True))
    polynomial = jnp.where(is_near, *first)
    for coefficients in others:
        polynomial = jnp.where(is_near, *coefficients) + polynomial * w
    return polynomial * x
