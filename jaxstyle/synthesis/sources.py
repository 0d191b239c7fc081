"""The images of an experiment by what they are for, and the sizes at which they are compared."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from jaxstyle.config import Experiment, SizeRule
from jaxstyle.config.words import style_role
from jaxstyle.images import LoadedImage, area_shape, fit_shape, long_side_shape

_FINE = 10_000
"""Rows by which an aspect ratio is told."""


@dataclasses.dataclass(frozen=True)
class SourceImages:
    """The images of an experiment, as they were read."""

    content: LoadedImage | None
    style: tuple[LoadedImage, ...]
    start: LoadedImage | None
    masks: Mapping[str, LoadedImage] = dataclasses.field(default_factory=dict)

    def by_role(self) -> dict[str, LoadedImage]:
        """The images by what they are for: `content`, `style`, `style 2`, …, `start`, `mask NAME`, …."""
        style = {style_role(index): image for index, image in enumerate(self.style)}
        roles = {"content": self.content, **style, "start": self.start, **self.masks}
        return {role: image for role, image in roles.items() if image is not None}


def result_shape(experiment: Experiment, images: SourceImages, size: int) -> tuple[int, int]:
    """The (height, width) of a result of a size.

    It has the aspect ratio of the content, else the one that is asked for, else that of the first style image; its long
    side, or the side of a square of its area, is the size.
    """
    shape = (images.content or images.style[0]).pixels.shape[:2]
    if experiment.image.aspect is not None:
        shape = (_FINE, round(_FINE * experiment.image.aspect))
    return (area_shape if experiment.image.size_rule is SizeRule.AREA else long_side_shape)(shape, size)


def style_fit(experiment: Experiment, images: SourceImages, index: int, size: int) -> dict[str, Any]:
    """How a style image, by its place, is fitted to a result of a size, as `fit_style` takes it."""
    image = experiment.image
    scale = image.style[index].scale
    height, width = (max(1, round(side * scale)) for side in result_shape(experiment, images, size))
    return {"height": height, "width": width, "rule": str(image.style_size), "reduction": scale * size / image.size}


def style_shapes(experiment: Experiment, images: SourceImages, size: int) -> tuple[tuple[int, int], ...]:
    """The (height, width) at which each style image is measured for a result of a size."""
    return tuple(
        fit_shape(image.pixels.shape, **style_fit(experiment, images, index, size))
        for index, image in enumerate(images.style)
    )
