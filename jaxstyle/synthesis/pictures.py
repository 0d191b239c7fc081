"""The images of an experiment by what they are for, and the sizes at which they are compared."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from jaxstyle.config import Experiment, SizeRule
from jaxstyle.config.words import style_role
from jaxstyle.images import Picture, area_shape, fit_shape, long_side_shape

_FINE = 10_000
"""Rows by which an aspect ratio is told."""


@dataclasses.dataclass(frozen=True)
class Pictures:
    """The pictures of an experiment, as they were read."""

    content: Picture | None
    style: tuple[Picture, ...]
    start: Picture | None
    masks: Mapping[str, Picture] = dataclasses.field(default_factory=dict)

    def by_role(self) -> dict[str, Picture]:
        """The pictures by what they are for: `content`, `style`, `style 2`, …, `start`, `mask NAME`, …."""
        style = {style_role(index): picture for index, picture in enumerate(self.style)}
        roles = {"content": self.content, **style, "start": self.start, **self.masks}
        return {role: picture for role, picture in roles.items() if picture is not None}


def result_shape(experiment: Experiment, pictures: Pictures, size: int) -> tuple[int, int]:
    """The (height, width) of a result of a size.

    It has the aspect ratio of the content, else the one that is asked for, else that of the first style image; its long
    side, or the side of a square of its area, is the size.
    """
    shape = (pictures.content or pictures.style[0]).pixels.shape[:2]
    if experiment.image.aspect is not None:
        shape = (_FINE, round(_FINE * experiment.image.aspect))
    return (area_shape if experiment.image.size_rule is SizeRule.AREA else long_side_shape)(shape, size)


def style_fit(experiment: Experiment, pictures: Pictures, index: int, size: int) -> dict[str, Any]:
    """How a style picture, by its place, is fitted to a result of a size, as `fit_style` takes it."""
    image = experiment.image
    scale = image.style[index].scale
    height, width = (max(1, round(side * scale)) for side in result_shape(experiment, pictures, size))
    return {"height": height, "width": width, "rule": str(image.style_size), "reduction": scale * size / image.size}


def style_shapes(experiment: Experiment, pictures: Pictures, size: int) -> tuple[tuple[int, int], ...]:
    """The (height, width) at which each style picture is measured for a result of a size."""
    return tuple(
        fit_shape(picture.pixels.shape, **style_fit(experiment, pictures, index, size))
        for index, picture in enumerate(pictures.style)
    )
