"""Targets, and the one function that is optimized: picture → total loss, its terms, its gradient.

What is static (decides the compiled program): the network's structure, which layers are read, the convention, whether
a total variation is added, the picture's size, and the devices that it is spread over. What is traced (varies freely
without a new compilation): the network's parameters, the targets, and every weight. All traced arrays travel in one
`Problem`; none is captured in a closure.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxstyle.losses import FORMULAS, total_variation
from jaxstyle.sharding import Bands, even, spread, store, unstore
from jaxstyle.statistics import mean_gram_matrix
from jaxstyle.vgg import VGG19, deepest

Terms: TypeAlias = dict[str, Float[Array, ""]]
"""The weighted terms of the loss, `content/conv4_2`, `style/conv1_1`, `tv`; they sum to the loss."""


class Targets(NamedTuple):
    """What the picture's features are compared with.

    Attributes:
      content: each content layer's features of the content picture (P in Eq. 1).
      style: each style layer's Gram matrix of the style picture, divided by its number of positions (A / M in Eq. 4).
    """

    content: dict[str, Array]
    style: dict[str, Array]


class Coefficients(NamedTuple):
    """The weights of the terms.

    Attributes:
      content: α times each content layer's own weight.
      style: β times each style layer's own weight, β·w_l.
      tv: the weight of the total variation.
    """

    content: dict[str, Float[Array, ""]]
    style: dict[str, Float[Array, ""]]
    tv: Float[Array, ""]


class Problem(NamedTuple):
    """Everything traced that the loss depends on besides the picture."""

    parameters: Any
    targets: Targets
    coefficients: Coefficients


@runtime_checkable
class LossFunction(Protocol):
    """All that an optimizer needs of an objective: hashable, for it is a static argument of compiled programs."""

    @property
    def terms(self) -> tuple[str, ...]:
        """The names of the loss's terms."""
        ...

    @property
    def bands(self) -> Bands | None:
        """Where the picture lies, if on several devices."""
        ...

    def value_and_grad(self, image: Array, problem: Any) -> tuple[tuple[Array, Terms], Array]:
        """Returns ((loss, terms), gradient with respect to the picture)."""
        ...


@dataclasses.dataclass(frozen=True)
class Objective:
    """The total loss of Eq. 7 with its gradient; hashable, so that it is a static argument of a jitted function.

    Attributes:
      network: the structure of the VGG-19 (`nnx.split`'s graph definition).
      content_layers: layers of the content term, canonical names; may be empty.
      style_layers: layers of the style term; may be empty.
      convention: a key of `losses.FORMULAS`.
      with_tv: whether the total variation is part of the program.
      bands: where the picture lies, if on several devices; pictures and content targets are then as `sharding` stores
        them, but for those that are measured.
    """

    network: nnx.GraphDef[VGG19]
    content_layers: tuple[str, ...]
    style_layers: tuple[str, ...]
    convention: str
    with_tv: bool = False
    bands: Bands | None = None

    def loss(self, image: Float[Array, "height width 3"], problem: Problem) -> tuple[Float[Array, ""], Terms]:
        """Computes α L_content + β L_style (Eq. 7) and the terms it is the sum of.

        Args:
          image: sRGB in [0, 1].
          problem: parameters, targets and coefficients.
        """
        formula = FORMULAS[self.convention]
        if self.bands is not None:
            image = unstore(self.bands, image, self.bands.height)
        features = self.features(image, problem.parameters)
        targets, coefficients = problem.targets, problem.coefficients
        terms: Terms = {}
        for layer in self.content_layers:
            target = unstore(self.bands, targets.content[layer], features[layer].shape[0])
            term = functools.partial(formula.content, target=target)
            terms[f"content/{layer}"] = _weighed(term, features[layer], coefficients.content[layer])
        for layer in self.style_layers:
            term = functools.partial(formula.style, target=targets.style[layer])
            terms[f"style/{layer}"] = _weighed(term, even(self.bands, features[layer]), coefficients.style[layer])
        if self.with_tv:
            terms["tv"] = _weighed(total_variation, image, coefficients.tv)
        return jnp.sum(jnp.stack(list(terms.values()))), terms

    def value_and_grad(
        self, image: Float[Array, "height width 3"], problem: Problem
    ) -> tuple[tuple[Float[Array, ""], Terms], Float[Array, "height width 3"]]:
        """Returns ((loss, terms), gradient with respect to the picture), in one pass over the network."""
        return jax.value_and_grad(self.loss, has_aux=True)(image, problem)

    def features(self, image: Float[Array, "height width 3"], parameters: Any) -> dict[str, Array]:
        """The features of every layer that the objective reads."""
        layers = {*self.content_layers, *self.style_layers}
        return nnx.merge(self.network, parameters)(image, layers)

    def content_alone(self) -> "Objective":
        """The content term without the others, for which less of the network is computed."""
        return dataclasses.replace(self, style_layers=(), with_tv=False)

    @property
    def terms(self) -> tuple[str, ...]:
        """The names of the loss's terms."""
        content = tuple(f"content/{layer}" for layer in self.content_layers)
        style = tuple(f"style/{layer}" for layer in self.style_layers)
        return content + style + (("tv",) if self.with_tv else ())

    @property
    def deepest_layer(self) -> str:
        """The layer that decides how much of the network is computed."""
        return deepest((*self.content_layers, *self.style_layers))


def _weighed(term: Callable[[Array], Array], features: Array, weight: Float[Array, ""]) -> Float[Array, ""]:
    """A term times its weight; where that is 0, neither value nor gradient depends on the term, not even as 0 · ∞."""
    counts = weight != 0
    value = term(jnp.where(counts, features, jax.lax.stop_gradient(features)))  # the same: it gates the gradient
    return jnp.where(counts, weight * value, 0.0)


@jax.jit(static_argnames="objective")
def measure(objective: Objective, image: Float[Array, "height width 3"], parameters: Any) -> Targets:
    """Computes one picture's content and style statistics, the targets that it would give."""
    features = objective.features(spread(objective.bands, image), parameters)
    targets = Targets(
        content={layer: store(objective.bands, features[layer]) for layer in objective.content_layers},
        style={layer: mean_gram_matrix(even(objective.bands, features[layer])) for layer in objective.style_layers},
    )
    return spread(objective.bands, targets)


@jax.jit(static_argnames="objective")
def evaluate(
    objective: LossFunction, image: Float[Array, "height width 3"], problem: Any
) -> tuple[tuple[Float[Array, ""], Terms], Float[Array, "height width 3"]]:
    """The jitted loss and gradient: ((loss, terms), gradient with respect to the picture)."""
    return objective.value_and_grad(image, problem)
