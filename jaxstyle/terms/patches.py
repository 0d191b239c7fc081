"""Patches of features: each is to be like the style's patch that it resembles most (CNNMRF)."""

import dataclasses
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxstyle.errors import JaxstyleError
from jaxstyle.paper.terms import Features, Image, LayerTerm

SIDE = 3
TINY = 1e-8


@dataclasses.dataclass(frozen=True)
class Patches(LayerTerm):
    """Mean (Ψ(x) − Ψ_nearest(style))² over all 3×3 patches, nearest by normalized cross-correlation.

    Differs from the authors' sum by the number of values. They take conv3_1 and conv4_1 with content at conv4_2, three
    sizes from coarse to fine, and the style also turned and scaled, which is not done here.

    Attributes:
      grid: the style's patches are taken at so many rows and columns, evenly spread; the authors take every second
        position of 384 pixels, 48 at conv3_1.

    References: Li & Wand, "Combining Markov Random Fields and Convolutional Neural Networks for Image Synthesis", CVPR
    2016, Eqs. 2 and 3.
    """

    kind: ClassVar[str] = "patches"
    source: ClassVar[Literal["style"]] = "style"
    one_source: ClassVar[bool] = True
    grid: int = 32

    def __post_init__(self) -> None:
        """Checks the grid."""
        if not 1 <= self.grid <= 128:
            raise JaxstyleError(f"grid: found {self.grid}; allowed: 1 to 128")

    def target(self, image: Image, features: Features) -> Float[Array, "patches values"]:
        """The style's patches, as many whatever its size."""
        rows, columns = (
            np.rint(np.linspace(0, side - SIDE, self.grid)).astype(int)
            for side in _large_enough(features[self.layer]).shape[:2]
        )
        all_patches = patches(features[self.layer])
        return all_patches[rows[:, None], columns[None]].reshape(self.grid**2, -1)

    def value(self, image: Image, features: Features, target: Array) -> Float[Array, ""]:
        """The mean squared difference to the nearest patches, which have no gradient."""
        own = patches(_large_enough(features[self.layer])).reshape(-1, target.shape[-1])
        norms = jnp.sqrt(jnp.sum(jnp.square(target), axis=-1, keepdims=True) + TINY)
        likeness = jnp.matmul(jax.lax.stop_gradient(own), (target / norms).T, precision=jax.lax.Precision.HIGHEST)
        return jnp.mean(jnp.square(own - target[jnp.argmax(likeness, axis=-1)]))


def patches(features: Float[Array, "height width channels"]) -> Float[Array, "rows columns values"]:
    """Every patch of 3×3 positions."""
    height, width, _ = features.shape
    rows, columns = height - SIDE + 1, width - SIDE + 1
    shifted = [features[y : y + rows, x : x + columns] for y in range(SIDE) for x in range(SIDE)]
    return jnp.concatenate(shifted, axis=-1)


def _large_enough(features: Float[Array, "height width channels"]) -> Float[Array, "height width channels"]:
    height, width, _ = features.shape
    if min(height, width) < SIDE:
        raise JaxstyleError(
            f"patches: features of {width}×{height} have no patch of {SIDE}×{SIDE}; allowed: a larger image.size, or "
            "shallower layers"
        )
    return features
