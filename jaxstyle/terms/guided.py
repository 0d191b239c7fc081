"""Spatial control: a term on the features of one region, each response multiplied by the region's guide."""

import dataclasses
from typing import Any

from jaxtyping import Array, Float

from jaxstyle.paper.terms import Content, Features, Guide, Image, LayerTerm, Term


@dataclasses.dataclass(frozen=True)
class Guided(Term):
    """A term with T ∘ F in the place of F, where T is a region's guide in the layer.

    Of the style term that makes the guided Gram matrix (1/M) Σ_k T²_k F_ik F_jk. Guides of terms on the style are
    normalized to mean T² = 1, so that it is the second moment of the responses within the region, however large that
    is. Of the content term it makes T² (F − P)², with T as it is.

    Attributes:
      term: what is compared.
      region: where.

    References: Gatys et al., CVPR 2017, Sec. 4, Eqs. 1–3; their `GuidedGram` and `MSEGuided`.
    """

    term: LayerTerm
    region: str

    @property
    def kind(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The term's."""
        return self.term.kind

    @property
    def source(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The term's."""
        return self.term.source

    @property
    def name(self) -> str:
        """The term and the region, `style/conv1_1/sky`."""
        return f"{self.term.name}/{self.region}"

    @property
    def layers(self) -> tuple[str, ...]:
        """The term's."""
        return self.term.layers

    @property
    def guides(self) -> tuple[Guide, ...]:
        """The region's in that layer."""
        return (Guide(self.region, self.term.layer, normalized=not isinstance(self.term, Content)),)

    def target(self, image: Image, features: Features) -> Any:
        """The term's, of what the guide leaves of a source image."""
        return self.term.target(image, self.guided(features))

    def value(self, image: Image, features: Features, target: Any) -> Float[Array, ""]:
        """The term's, of what the guide leaves of the image."""
        return self.term.value(image, self.guided(features), target)

    def guided(self, features: Features) -> Features:
        """T ∘ F, in the place of F."""
        (guide,) = self.guides
        return {self.term.layer: features[guide.layer] * features[guide.name]}


def plain(term: Term) -> Term:
    """The term that a guided one guides; any other is its own."""
    return term.term if isinstance(term, Guided) else term
