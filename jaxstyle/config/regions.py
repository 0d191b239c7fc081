"""`[image.regions]`: which style goes where, and what stays as it is."""

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from jaxstyle.config.fields import Text, Weight
from jaxstyle.config.section import Section
from jaxstyle.errors import JaxstyleError, did_you_mean

if TYPE_CHECKING:
    from jaxstyle.config.image import Image, StyleImage

CONTENT_MASK, STYLE_MASK, KEEP_MASK = "mask ", "style mask ", "keep mask"
"""What masks are called in records; the first two with the region's name behind."""


class GuideRule(StrEnum):
    """How a mask goes down the network."""

    SIMPLE = "simple"
    ALL = "all"
    INSIDE = "inside"


GuidedKind = Literal["style", "means"]
GUIDED: tuple[GuidedKind, ...] = ("style", "means")
"""Terms that compare region by region."""


def _region_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise JaxstyleError(f"found '{name}'; allowed: a name of letters, digits, - and _")
    return name


RegionName = Annotated[str, AfterValidator(_region_name)]


class Region(Section):
    """A part of the result with a style of its own."""

    content: Text
    """The region's mask over the result: a grey image of any size, white where the region is; soft edges are kept."""
    style: Text | None = None
    """The region's mask over its style image; absent: all of the image."""
    weight: Weight = 1.0
    """The region's weight among the regions; the style term is their weighted mean."""
    content_weight: Weight | None = None
    """What multiplies the content term within the region. Absent in all regions: content is compared everywhere; given
    in one: in the regions alone, 1 where it is absent."""


Regions = dict[RegionName, Region]


def styles_of_region(name: str, styles: "tuple[StyleImage, ...]") -> "list[StyleImage]":
    """The style images that a region takes its style from: its own, else those that are no region's."""
    own = [style for style in styles if style.region == name]
    return own or [style for style in styles if style.region is None]


def compares_content_by_region(regions: Mapping[str, Region]) -> bool:
    """Whether the content term is guided."""
    return any(region.content_weight is not None for region in regions.values())


def mask_names(image: "Image") -> dict[str, str]:
    """The masks that are named, by what they are for."""
    content = {f"{CONTENT_MASK}{name}": region.content for name, region in image.regions.items()}
    style = {f"{STYLE_MASK}{name}": region.style for name, region in image.regions.items() if region.style}
    return {**content, **style, **({KEEP_MASK: image.keep} if image.keep else {})}


def region_problems(image: "Image") -> Iterator[tuple[tuple[int | str, ...], str]]:
    """Yields what cannot be, as key and message."""
    regions = image.regions
    if image.keep and image.content is None:
        yield ("image", "keep"), "there is no image.content to keep a part of"
    if not regions:
        for key in ("guides", "grow"):
            if getattr(image, key) != type(image).model_fields[key].default:
                yield ("image", key), f"found {getattr(image, key)}, but there are no image.regions"
    for index, style in enumerate(image.style):
        if style.region is not None and style.region not in regions:
            hint = did_you_mean(style.region, regions) or "."
            yield (
                ("image", "style", index, "region"),
                f"unknown region '{style.region}'{hint} Regions: {', '.join(regions) or 'none'}",
            )
    if not regions:
        return
    if not any(region.weight for region in regions.values()):
        yield ("image", "regions"), "every region has weight 0; allowed: some above 0"
    if image.content is None and compares_content_by_region(regions):
        yield ("image", "regions"), "content_weight is given, but there is no image.content"
    if image.style:
        yield from _style_problems(image)


def _style_problems(image: "Image") -> Iterator[tuple[tuple[int | str, ...], str]]:
    shared = []
    for name in image.regions:
        styles = styles_of_region(name, image.style)
        if not styles:
            missing = f'no style image: give one region = "{name}", or one no region'
            yield ("image", "regions", name), missing
        elif not any(style.weight for style in styles):
            yield ("image", "regions", name), "every style image of the region has weight 0; allowed: some above 0"
        if all(style.region is None for style in styles):
            shared.append(name)
    for name in shared:
        if len(shared) > 1 and image.regions[name].style is None:
            others = ", ".join(other for other in shared if other != name)
            needed = f"missing; the style image is also that of {others}, so that each needs a mask over it"
            yield ("image", "regions", name, "style"), f"{needed}, or a style image of its own"
    if not shared and any(style.region is None for style in image.style):
        yield ("image", "style"), "an image without a region, but every region has images of its own"


GuideGrowth = Annotated[int, Field(ge=-64, le=64)]
