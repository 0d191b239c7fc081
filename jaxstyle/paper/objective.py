"""Eq. 7: the loss is the weighted sum of its terms; and the one function that is optimized, image → loss, gradient.

Static, so that another one is another compiled program: the network's structure, the terms, the image's size, and the
devices that it is spread over. Traced, and free to vary: the network's parameters, the targets and the weights. All
traced arrays travel in one `Problem`; none is captured in a closure.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxstyle.devices import deterministic
from jaxstyle.devices.sharding import Bands, even, spread, store, unstore
from jaxstyle.paper.terms import Features, Guide, Image, Term

Values: TypeAlias = dict[str, Float[Array, ""]]
"""The weighted terms of the loss by name, `content/conv4_2`, `style/conv1_1`, `tv`; they sum to the loss."""
Targets: TypeAlias = dict[str, Any]
"""What each term compares the image with, by the term's name."""


FeatureFunction: TypeAlias = Callable[[Any, Image, Iterable[str]], dict[str, Array]]
"""(parameters, image, layers) → features by layer; hashable, for it decides the compiled program."""

KEEP, KEPT = "keep", "keep/image"
"""Among the guides: where the image stays unchanged, [height, width, 1], and what it is there."""
_NONE: Mapping[str, Array] = MappingProxyType({})
NORM_FLOOR = 1e-8
"""Added to the sum of a gradient's absolute values before it divides, as in neural-style."""


class Problem(NamedTuple):
    """Everything traced that the loss depends on besides the image.

    Attributes:
      parameters: the network's.
      targets: of every term that has a source.
      weights: of every term: α times the layer's own for content, β w_l for style.
      guides: the regions' by name; what is kept, if anything is; and what terms have drawn at random.
    """

    parameters: Any
    targets: Targets
    weights: dict[str, Float[Array, ""]]
    guides: dict[str, Array] = {}  # noqa: RUF012  (never changed)


@runtime_checkable
class LossFunction(Protocol):
    """All that an optimizer needs of an objective: hashable, for it is a static argument of compiled programs."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the loss's terms."""
        ...

    @property
    def bands(self) -> Bands | None:
        """Where the image lies, if on several devices."""
        ...

    @property
    def is_exact(self) -> bool:
        """Whether the gradient is the loss's own; if not, no step is judged by the loss, and the last is the result."""
        ...

    def value_and_grad(self, image: Array, problem: Any) -> tuple[tuple[Array, Values], Array]:
        """Returns ((loss, weighted terms), gradient with respect to the image)."""
        ...


@runtime_checkable
class InParts(Protocol):
    """What computes an objective's terms without the features of the whole image at once; hashable."""

    def values(self, objective: "Objective", image: Image, problem: Problem) -> Values:
        """The weighted terms."""
        ...

    def targets(self, objective: "Objective", image: Image, parameters: Any, guides: Mapping[str, Array]) -> Targets:
        """The targets that an image gives."""
        ...


@dataclasses.dataclass(frozen=True)
class Objective:
    """The total loss (Eq. 7) with its gradient; hashable, so that it is a static argument of a jitted function.

    Attributes:
      network: what gives features, without its parameters.
      terms: what the loss is the sum of.
      bands: where the image lies, if on several devices; images and targets as high as one are then as `sharding`
        stores them, but for images that are measured.
      normalizes: whether each term's gradient with respect to its features is divided by the sum of its absolute
        values, as by neural-style's `-normalize_gradients`. The sum of such gradients is that of no function.
      parts: what computes the terms part by part of the image, if they are not computed at once.
    """

    network: FeatureFunction
    terms: tuple[Term, ...]
    bands: Bands | None = None
    normalizes: bool = False
    parts: InParts | None = None

    def loss(self, image: Image, problem: Problem) -> tuple[Float[Array, ""], Values]:
        """L_total = α L_content + β L_style (Eq. 7), and whatever other terms there are.

        Args:
          image: sRGB in [0, 1].
          problem: parameters, targets and weights.

        Returns:
          The sum over the terms of weight · value, and each of the addends.
        """
        if self.bands is not None:
            image = unstore(self.bands, image, self.bands.height)
        image = self._kept(image, problem.guides)
        values = self.parts.values(self, image, problem) if self.parts else self._values(image, problem)
        return jnp.sum(jnp.stack(list(values.values()))), values

    def _values(self, image: Image, problem: Problem) -> Values:
        """The weighted terms."""
        features = self.features(image, problem.parameters, problem.guides)
        values: Values = {}
        for term in self.terms:
            own = self._read_by(term, features)
            target = self._own(term, problem.targets.get(term.name), image, own)
            weight = problem.weights[term.name]
            if self.normalizes:
                own |= {layer: with_unit_gradient(own[layer], weight) for layer in term.layers}
            values[term.name] = weighted(term, weight, image, own, target)
        return values

    def value_and_grad(self, image: Image, problem: Problem) -> tuple[tuple[Float[Array, ""], Values], Image]:
        """Returns ((loss, weighted terms), gradient with respect to the image), in one pass over the network."""
        return jax.value_and_grad(self.loss, has_aux=True)(image, problem)

    def features(self, image: Image, parameters: Any, guides: Mapping[str, Array] = _NONE) -> dict[str, Array]:
        """The features of every layer that a term reads; and the guides and draws that go with them."""
        found = self.network(parameters, image, self.layers)
        own = {it.name: unstore(self.bands, guides[it.name], found[it.layer].shape[0]) for it in self.guides}
        return {**found, **own, **{name: guides[name] for term in self.terms for name in term.drawn}}

    def only(self, source: str) -> "Objective":
        """The terms whose target is of that source, for which less of the network may be computed."""
        return dataclasses.replace(self, terms=tuple(term for term in self.terms if term.source == source))

    @property
    def is_exact(self) -> bool:
        """Whether the gradient is the loss's own."""
        return not self.normalizes

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers that the terms read, each once."""
        return tuple(dict.fromkeys(layer for term in self.terms for layer in term.layers))

    @property
    def guides(self) -> tuple[Guide, ...]:
        """The guides that the terms read, each once."""
        return tuple(dict.fromkeys(guide for term in self.terms for guide in term.guides))

    def draws(self, block: int, filters: Mapping[str, int]) -> dict[str, np.ndarray]:
        """What the terms draw at random for a block of steps."""
        return {name: array for term in self.terms for name, array in term.draws(block, filters).items()}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the terms."""
        return tuple(term.name for term in self.terms)

    def _kept(self, image: Image, guides: Mapping[str, Array]) -> Image:
        """The image with what is to stay in its place, so that nothing there has a gradient."""
        if KEEP not in guides:
            return image
        mask, kept = (unstore(self.bands, guides[name], image.shape[0]) for name in (KEEP, KEPT))
        return (1 - mask) * image + mask * kept

    def _read_by(self, term: Term, features: Features) -> dict[str, Array]:
        """What a term reads, spread evenly over the devices where it does not mind rows of zeros."""
        own = {name: features[name] for name in (*term.layers, *(guide.name for guide in term.guides))}
        if term.sums_products:
            return {layer: even(self.bands, of_layer) for layer, of_layer in own.items()}
        return {**own, **{name: features[name] for name in term.drawn}}

    def _own(self, term: Term, target: Any, image: Image, features: Features) -> Any:
        """A term's target as the term made it: of the height that it has on one device."""
        if self.bands is None or term.source is None:
            return target
        made = jax.eval_shape(term.target, image, features)
        return jax.tree.map(lambda array, own: unstore_like(self.bands, array, own), target, made)


def unstore_like(bands: Bands | None, stored: Array, own: jax.ShapeDtypeStruct) -> Array:
    """A stored array at its own height, if it is as high as an image."""
    return stored if stored.ndim < 3 else unstore(bands, stored, own.shape[-3])


def gated(counts: Bool[Array, ""], array: Array) -> Array:
    """The array itself, whose gradient is 0 where it does not count, whatever is computed with it."""
    return jnp.where(counts, array, jax.lax.stop_gradient(array))


def weighted(term: Term, weight: Float[Array, ""], image: Image, features: Features, target: Any) -> Float[Array, ""]:
    """A term times its weight; where that is 0, neither value nor gradient depends on the term, not even as 0 · ∞."""
    counts = weight != 0
    own = {layer: gated(counts, of_layer) for layer, of_layer in features.items()}
    value = term.value(gated(counts, image), own, target)
    return jnp.where(counts, weight * value, 0.0)


@jax.custom_vjp
def with_unit_gradient(features: Float[Array, "height width channels"], weight: Float[Array, ""]) -> Array:
    """The features themselves; the gradient g that comes back to them becomes weight · g / Σ|g|.

    g is that of the weighted term; it is divided as if its weight were 1.

    References: neural-style, `ContentLoss` and `StyleLoss` with `-normalize_gradients`. Differs from neural-style-pt,
    whose flag acts on the gradient of the scalar loss: it squares the weights, and nothing else.
    """
    return features


def _forward(features: Array, weight: Array) -> tuple[Array, Array]:
    return features, weight


def _backward(weight: Array, gradient: Array) -> tuple[Array, Array]:
    size = jnp.sum(jnp.abs(gradient))
    scale = weight / jnp.where(size > 0, size + NORM_FLOOR * weight, 1.0)
    return scale * gradient, jnp.zeros_like(weight)


with_unit_gradient.defvjp(_forward, _backward)


@jax.jit(static_argnames="objective", compiler_options=deterministic.options())
def compute_targets(
    objective: Objective, image: Image, parameters: Any, guides: Mapping[str, Array] = _NONE
) -> Targets:
    """The targets that an image gives, of every term that has a source; with the guides over that image."""
    image = spread(objective.bands, image)
    if objective.parts:
        found = objective.parts.targets(objective, image, parameters, guides)
    else:
        features = objective.features(image, parameters, guides)
        found = {
            term.name: term.target(image, objective._read_by(term, features)) for term in objective.terms if term.source
        }
    return spread(objective.bands, jax.tree.map(lambda array: _stored(objective.bands, array), found))


def _stored(bands: Bands | None, array: Array) -> Array:
    return array if array.ndim < 3 else store(bands, array)


@jax.jit(static_argnames="objective", compiler_options=deterministic.options())
def evaluate(objective: LossFunction, image: Image, problem: Any) -> tuple[tuple[Float[Array, ""], Values], Image]:
    """The jitted loss and gradient: ((loss, weighted terms), gradient with respect to the image)."""
    return objective.value_and_grad(image, problem)
