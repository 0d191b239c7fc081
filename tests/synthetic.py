"""Objectives with known minimizers, in the place of a network: hashable, with the same methods as `Objective`."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from jaxstyle.devices.sharding import Bands
from jaxstyle.optimizers import Settings, methods

SHAPE = (4, 5, 3)
MINIMIZER = np.linspace(0.2, 0.8, 60).reshape(SHAPE).astype(np.float32)
START = np.full(SHAPE, 0.5, np.float32)


@dataclasses.dataclass(frozen=True)
class Synthetic:
    """`scale` times a function of the distance to `MINIMIZER`; the problem is that image."""

    kind: str = "quadratic"
    scale: float = 1.0
    bands: Bands | None = None
    is_exact: bool = True

    @property
    def names(self):
        return ("content/conv1_1",)

    def loss(self, image, problem):
        away = image - problem
        curvatures = jnp.logspace(0, 2, away.size).reshape(away.shape)
        if self.kind == "quadratic":
            value = jnp.sum(curvatures * away**2)
        elif self.kind == "rosenbrock":
            flat = 5 * away.ravel() + 1
            value = jnp.sum(100 * (flat[1:] - flat[:-1] ** 2) ** 2 + (1 - flat[:-1]) ** 2)
        elif self.kind == "saddle":  # curves downwards at the start, as style does from noise
            value = jnp.sum((away**2 - 0.1) ** 2)
        elif self.kind == "wall":  # not a number where a pixel is just beyond its minimizer
            value = jnp.sum(curvatures * away**2) + 0 * jnp.sum(jnp.sqrt(away + 0.005))
        elif self.kind == "flat":
            value = 1.0 + 0 * jnp.sum(away)
        elif self.kind == "lying":  # the gradient points the wrong way
            value = jnp.sum(away**2) - 2 * jax.lax.stop_gradient(jnp.sum(away**2)) + 100
        elif self.kind == "not finite":
            value = jnp.sum(away) * jnp.nan
        else:
            raise ValueError(self.kind)
        value = self.scale * value
        return value, {"content/conv1_1": value}

    def value_and_grad(self, image, problem):
        return jax.value_and_grad(self.loss, has_aux=True)(image, problem)


def settings(method="lbfgs", iterations=100, tolerance=0.0, bounds=None, terms=None, **options):
    kind = methods.load(method)
    own = {key: value for key, value in options.items() if key in kind.__dataclass_fields__}
    return Settings(kind(**own), iterations, tolerance, bounds, terms)
