"""The terms that the loss is a sum of: each a small frozen object with a name, a target and a value.

A term is static: another one is another compiled program. Its target and its weight are arguments. The paper's two are
here, with total variation; those of other papers are in `jaxstyle.terms`, one to a file.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxstyle.paper.conventions import FORMULAS
from jaxstyle.paper.losses import total_variation
from jaxstyle.paper.statistics import mean_gram_matrix

Image: TypeAlias = Float[Array, "height width 3"]
Features: TypeAlias = Mapping[str, Float[Array, "..."]]
"""Responses after the ReLU [height, width, channels], by layer; and by their names the guides and draws of a term."""
Responses: TypeAlias = Float[Array, "height width channels"]
"""Those of one layer, or of a part of the image."""


class Guide(NamedTuple):
    """A region's mask in a layer, [height, width, 1]: a term finds it among the features by its name.

    Attributes:
      region: which.
      layer: as large as its features.
      normalized: whether its mean square is 1.
    """

    region: str
    layer: str
    normalized: bool = True

    @property
    def name(self) -> str:
        """What it is called among the features."""
        return f"{self.region}/{self.layer}" + ("" if self.normalized else "/plain")


@dataclasses.dataclass(frozen=True)
class Term:
    """A term of the loss. Inherit, give a `name` and a `value`, and what else it needs.

    Attributes:
      kind: what `[[loss.terms]]` calls it.
      source: which image the target is made from: the content, the style images (whose targets are blended), or none.
      one_source: whether targets of several style images cannot be averaged.
      sums_products: whether features count only by sums of products of responses over positions, divided by the number
        of positions, as in a Gram matrix. Several devices may then append rows of zeros.
    """

    kind: ClassVar[str] = ""
    source: ClassVar[Literal["content", "style"] | None] = None
    one_source: ClassVar[bool] = False
    sums_products: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """What records, reports and weights call it; different for every term of a loss."""
        return self.kind

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers whose features it reads; none for a term on the pixels."""
        return ()

    @property
    def guides(self) -> tuple[Guide, ...]:
        """The regions' guides that it reads with them."""
        return ()

    @property
    def block(self) -> int:
        """After how many steps its draws are other ones, and the optimizer begins afresh; 0: never."""
        return 0

    @property
    def drawn(self) -> tuple[str, ...]:
        """The names of what it draws at random; `target` and `value` find it by them among the features."""
        return ()

    def draws(self, block: int, filters: Mapping[str, int]) -> Mapping[str, np.ndarray]:
        """What is drawn for a block of steps, by the names of `drawn`.

        Args:
          block: which, from 0.
          filters: how many channels each layer has that it reads.
        """
        return {}

    def target(self, image: Image, features: Features) -> Any:
        """What the image is to be compared with, made once from a source image: any tree of arrays."""
        raise NotImplementedError

    def value(self, image: Image, features: Features, target: Any) -> Float[Array, ""]:
        """The term for a weight of 1.

        Args:
          image: sRGB in [0, 1], which it may exceed.
          features: of at least `layers`.
          target: of the source image; None without a source.
        """
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class LayerTerm(Term):
    """A term on the features of one layer.

    Attributes:
      layer: whose features it reads.
    """

    layer: str

    @property
    def name(self) -> str:
        """The kind and the layer, `style/conv1_1`."""
        return f"{self.kind}/{self.layer}"

    @property
    def layers(self) -> tuple[str, ...]:
        """The one."""
        return (self.layer,)


@dataclasses.dataclass(frozen=True)
class PositionTerm(LayerTerm):
    """A term that compares a layer with the content image's position by position: scale · Σ difference.

    An image may be computed in parts: the differences of its parts add up.
    """

    source: ClassVar[Literal["content"]] = "content"

    def difference(self, responses: Responses, target: Responses) -> Float[Array, ""]:
        """The sum over positions, to which positions where both are 0 add nothing."""
        raise NotImplementedError

    def scale(self, height: int, width: int, filters: int) -> float:
        """What the sum is multiplied by, for features of that shape."""
        raise NotImplementedError

    def target(self, image: Image, features: Features) -> Array:
        """P, the content image's features."""
        return features[self.layer]

    def value(self, image: Image, features: Features, target: Array) -> Float[Array, ""]:
        """scale · Σ difference."""
        return self.scale(*features[self.layer].shape) * self.difference(features[self.layer], target)


@dataclasses.dataclass(frozen=True)
class StatisticTerm(LayerTerm):
    """A term that compares a statistic of a layer with the style image's: one that follows from means over positions.

    An image may be computed in parts: the means of the whole follow from those of its parts.
    """

    source: ClassVar[Literal["style"]] = "style"

    def means(self, responses: Responses) -> Any:
        """Means over positions of what is 0 where all responses are 0: an array, or a tree of arrays."""
        raise NotImplementedError

    def statistic(self, means: Any) -> Any:
        """What the means make; by default themselves."""
        return means

    def distance(self, statistic: Any, target: Any) -> Float[Array, ""]:
        """The term for a weight of 1."""
        raise NotImplementedError

    def target(self, image: Image, features: Features) -> Any:
        """The style image's statistic; those of several images are averaged."""
        return self.statistic(self.means(features[self.layer]))

    def value(self, image: Image, features: Features, target: Any) -> Float[Array, ""]:
        """The distance of the image's statistic from the target."""
        return self.distance(self.statistic(self.means(features[self.layer])), target)


@dataclasses.dataclass(frozen=True)
class Content(PositionTerm):
    """The content loss of one layer (Eq. 1), as a convention scales it."""

    kind: ClassVar[str] = "content"
    convention: str = "paper"

    def difference(self, responses: Responses, target: Responses) -> Float[Array, ""]:
        """Σ (F − P)²."""
        return jnp.sum(jnp.square(responses - target))

    def scale(self, height: int, width: int, filters: int) -> float:
        """content_scale."""
        return FORMULAS[self.convention].content_scale(filters, height * width)


@dataclasses.dataclass(frozen=True)
class Style(StatisticTerm):
    """The style loss of one layer (Eq. 4), as a convention scales it."""

    kind: ClassVar[str] = "style"
    sums_products: ClassVar[bool] = True
    convention: str = "paper"

    def means(self, responses: Responses) -> Float[Array, "channels channels"]:
        """G / M, the Gram matrix divided by the image's own number of positions."""
        return mean_gram_matrix(responses)

    def distance(self, statistic: Array, target: Array) -> Float[Array, ""]:
        """style_scale · Σ (G/M − A/M)²."""
        scale = FORMULAS[self.convention].style_scale(target.shape[-1])
        return scale * jnp.sum(jnp.square(statistic - target))


@dataclasses.dataclass(frozen=True)
class TotalVariation(Term):
    """Total variation of the pixels."""

    kind: ClassVar[str] = "tv"

    def value(self, image: Image, features: Features, target: None) -> Float[Array, ""]:
        """½ Σ of squared differences of neighbours, in grey levels."""
        return total_variation(image)
