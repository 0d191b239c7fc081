"""`[colour]`: which colours the result has."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING

from pydantic import Field

from jaxstyle.config.section import Section

if TYPE_CHECKING:
    from jaxstyle.config.image import Image


class ColourMethod(StrEnum):
    """What becomes of the colours."""

    NONE = "none"
    LUMINANCE = "luminance"
    MATCH = "match"


class LuminanceRule(StrEnum):
    """How luminance is transferred alone."""

    MEAN_AND_DEVIATION = "mean-and-deviation"
    MEAN = "mean"
    AFTERWARDS = "afterwards"


class ColourTransform(StrEnum):
    """Which linear map brings colours to others."""

    CHOLESKY = "cholesky"
    PCA = "pca"
    OPTIMAL_TRANSPORT = "optimal-transport"


class ColourChange(StrEnum):
    """Whose colours are changed before the transfer."""

    STYLE = "style"
    CONTENT = "content"


class Colour(Section):
    """Which colours the result has: the style's as in the paper, or the content's."""

    method: ColourMethod = Field(default=ColourMethod.NONE, strict=False)
    """"none" as in the paper; "luminance" keeps the content's chroma and transfers luminance alone; "match" brings the
    colours of one image to the mean and covariance of the other's before the transfer."""
    luminance: LuminanceRule = Field(default=LuminanceRule.MEAN_AND_DEVIATION, strict=False)
    """With "luminance": images become grey, and the style gets the content's "mean-and-deviation" of luminance (Gatys
    et al. 2017), or its "mean" alone (their notebook); or "afterwards": everything in colour, and the result's
    luminance is put into the content in the end (neural-style's original colours)."""
    transform: ColourTransform = Field(default=ColourTransform.PCA, strict=False)
    """With "match": "cholesky", "pca" (symmetric roots, as in the authors' notebooks) or "optimal-transport" (colours
    move least)."""
    change: ColourChange = Field(default=ColourChange.STYLE, strict=False)
    """With "match": "style" gives the style images the content's colours, "content" the content the styles'."""


NOT_OF_COLOUR: Mapping[str, tuple[str, ...]] = {
    ColourMethod.NONE: ("luminance", "transform", "change"),
    ColourMethod.LUMINANCE: ("transform", "change"),
    ColourMethod.MATCH: ("luminance",),
}
"""The keys of `[colour]` that a method does not know."""


def colour_keys_left_behind(method: str) -> tuple[str, ...]:
    """The keys that go with another method of colour control when this one is chosen."""
    return NOT_OF_COLOUR.get(method, ())


def colour_problems(colour: Colour, image: "Image") -> Iterator[tuple[tuple[str, ...], str]]:
    """Yields what cannot be, as key and message."""
    if colour.method is not ColourMethod.NONE and image.content is None:
        yield ("colour", "method"), f'found "{colour.method}", but there is no image.content; allowed: none'
    for key in NOT_OF_COLOUR[colour.method]:
        if (value := getattr(colour, key)) != Colour.model_fields[key].default:
            methods = ", ".join(method for method, foreign in NOT_OF_COLOUR.items() if key not in foreign)
            choice = f"colour.method = {colour.method}, which has none; allowed with: {methods}"
            yield ("colour", key), f"found {value} with {choice}"
    if colour.method is ColourMethod.MATCH and not image.style:
        yield ("colour", "method"), 'found "match", but there is no image.style; allowed: none, luminance'
