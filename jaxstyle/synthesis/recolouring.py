"""What `[colour]` asks for: the images as they go into the transfer, and the result as it comes out."""

import dataclasses
import hashlib
import json
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from jaxstyle.config import Colour, ColourChange, ColourMethod, LuminanceRule
from jaxstyle.images import LoadedImage, resize_to
from jaxstyle.images.luminance import (
    grey_image,
    luminance,
    match_mean_and_deviation,
    shift_mean,
    with_luminance,
)
from jaxstyle.images.matching import colours_of, match_colours, pooled

Sources = tuple[LoadedImage | None, tuple[LoadedImage, ...], LoadedImage | None]
"""The content image, the style images, and the image that the start is made of, if any."""


def recolour(
    colour: Colour,
    content: LoadedImage | None,
    styles: tuple[LoadedImage, ...],
    start: LoadedImage | None,
    weights: Sequence[float],
) -> Sources:
    """Returns the source images with the colours that they are compared in, clipped to [0, 1].

    Args:
      colour: what is asked for.
      content: as it was read.
      styles: likewise.
      start: likewise; as the content is, for the result of a smaller run is in the content's colours.
      weights: the style images', by which their colours are pooled.
    """
    if content is None or not _changes_sources(colour):
        return content, styles, start
    key = hashlib.sha256(
        json.dumps(
            [colour.model_dump(mode="json"), content.sha256, [style.sha256 for style in styles], list(weights)]
        ).encode()
    ).hexdigest()
    if colour.method is ColourMethod.LUMINANCE:
        levels = luminance(content.pixels)
        rule = shift_mean if colour.luminance is LuminanceRule.MEAN else match_mean_and_deviation
        return (
            _repainted(content, grey_image(levels), key),
            tuple(_repainted(style, grey_image(rule(luminance(style.pixels), levels)), key) for style in styles),
            start and _repainted(start, grey_image(luminance(start.pixels)), key),
        )
    own, of_styles = colours_of(content.pixels), [colours_of(style.pixels) for style in styles]
    if colour.change is ColourChange.CONTENT:
        target = pooled(of_styles, weights)
        return _repainted(content, match_colours(content.pixels, own, target, colour.transform), key), styles, start
    matched = (
        _repainted(style, match_colours(style.pixels, source, own, colour.transform), key)
        for style, source in zip(styles, of_styles, strict=True)
    )
    return content, tuple(matched), start


def finish(
    colour: Colour, content: LoadedImage | None, image: Float[np.ndarray, "height width 3"]
) -> Float[np.ndarray, "height width 3"]:
    """Returns an optimized image in the colours that are asked for: with `luminance`, the content's chroma.

    Where only luminance was transferred, the result's three channels differ by what the optimization left of them, and
    their mean is its luminance, as in the authors' notebook.

    Args:
      colour: what is asked for.
      content: as it was read.
      image: as it was optimized; of any size.
    """
    if content is None or colour.method is not ColourMethod.LUMINANCE:
        return image
    is_grey = colour.luminance is not LuminanceRule.AFTERWARDS
    levels = image.astype(np.float64).mean(axis=-1) if is_grey else luminance(image)
    return with_luminance(resize_to(content.pixels, *image.shape[:2]), levels).astype(np.float32).clip(0, 1)


def _changes_sources(colour: Colour) -> bool:
    is_afterwards = colour.method is ColourMethod.LUMINANCE and colour.luminance is LuminanceRule.AFTERWARDS
    return colour.method is not ColourMethod.NONE and not is_afterwards


def _repainted(image: LoadedImage, pixels: np.ndarray, key: str) -> LoadedImage:
    """The image with other pixels, and a checksum of its own: what is measured on it is kept by that."""
    return dataclasses.replace(
        image, pixels=pixels.astype(np.float32).clip(0, 1), sha256=f"{image.sha256}, recoloured {key}"
    )
