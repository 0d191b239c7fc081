"""`[image]`: the images, their sizes, and their parts."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from jaxstyle.config.fields import LongSide, Number, Scales, Text, Tile, Weight
from jaxstyle.config.options import ScaleRule, SizeRule, StyleSize, TileRule
from jaxstyle.config.regions import GuideGrowth, GuideRule, RegionName, Regions
from jaxstyle.config.section import Section


class StyleImage(Section):
    """One style image and its part in the blend."""

    image: Text
    """An image's path, or a name of the image registry."""
    weight: Weight = 1.0
    """The image's weight among the style images."""
    scale: Number = Field(default=1.0, ge=0.0625, le=16)
    """How many times as large the image is made as `style_size` says: 2 shows the style's patterns twice as large."""
    region: RegionName | None = None
    """The region of `image.regions` that takes its style from this image; absent: every region without one of its
    own."""


def _style_images(value: Any) -> Any:
    """Turns one image, or a list with plain names in it, into a list of tables."""
    images = value if isinstance(value, list | tuple) else [value]
    return tuple({"image": image} if isinstance(image, str) else image for image in images)


StyleImages = Annotated[
    tuple[StyleImage, ...],
    BeforeValidator(_style_images, json_schema_input_type=Text | StyleImage | list[Text | StyleImage]),
]


class Image(Section):
    """The images and their size."""

    content: Text | None = None
    """The content image: a path relative to this file, or a name of the image registry such as "paper:neckarfront".
    Absent: no content term, as in texture synthesis."""
    style: StyleImages = ()
    """The style image: a path relative to this file, or a name of the image registry; or a list of images, each
    with a weight if wanted: [{ image = "a.jpg", weight = 2.0 }, "b.jpg"]. Absent: no style term, as in the content
    reconstructions of Fig. 1."""
    size: LongSide = 512
    """The long side of the result in pixels. About 512 in the paper."""
    size_rule: SizeRule = Field(default=SizeRule.LONG_SIDE, strict=False)
    """What `size` and `scales` mean: the "long-side", or with "area" the side of a square of as many pixels, as in the
    authors' notebooks of 2017."""
    aspect: Number | None = Field(default=None, ge=0.125, le=8)
    """Width over height of the result in texture synthesis; absent: that of the first style image."""
    scales: Scales = ScaleRule.SINGLE
    """The long sides at which the image is optimized, one after another: "single", only `size` (the paper); "auto",
    from small to `size`, each √2 times the one before; "fast", the same with about as many steps at each and more
    content the smaller it is, for an image in a fraction of the time; or a rising list that ends with `size`."""
    tile: Tile = TileRule.AUTO
    """Whether images go through the network in tiles, which takes a fraction of the memory and gives the same loss and
    gradient up to rounding: "auto", where the image would not fit otherwise; 0, never; or the side of the tiles in
    pixels, a multiple of 4 from 16 on."""
    style_size: StyleSize = Field(default=StyleSize.CONTENT, strict=False)
    """How the style image is resized: "content" to exactly the content image's size (the paper, Sec. 2; without a
    content image its long side becomes `size`), "cover" to the smallest size that covers the content image without
    distortion, "long-side" to `size` as its long side, "area" to as many pixels as the content image, "own" not at
    all."""
    regions: Regions = Field(default_factory=dict)
    """Parts of the image with styles of their own, [image.regions.NAME], each with masks: `content`, over the result;
    `style`, over the style image, unless that has `region = "NAME"`; `weight`; `content_weight`."""
    guides: GuideRule = Field(default=GuideRule.SIMPLE, strict=False)
    """How masks go down the network: "simple" resizes them to each layer; "all" takes the neurons whose receptive
    field touches the region, "inside" those whose field lies in it, so that no style is learned across a border."""
    grow: GuideGrowth = 0
    """By how many neurons regions grow in each layer, or shrink if it is negative; the authors take 3 with "inside"."""
    keep: Text | None = None
    """A mask, white where the result is to be the content image unchanged."""
