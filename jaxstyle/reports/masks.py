"""Masks as a report shows them: over the image that they are of, which is dimmed where they are black."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float32

from jaxstyle.config.regions import CONTENT_MASK, KEEP_MASK, STYLE_MASK
from jaxstyle.config.words import style_role
from jaxstyle.images import fit_mask

DIMMED = 0.2
"""What is left of an image outside of a mask."""

Pixels = Float32[np.ndarray, "height width 3"]


def base_role(role: str, experiment: Mapping[str, Any]) -> str | None:
    """The role of the image that a mask is over, of a recorded experiment; None of what is no mask."""
    if role == KEEP_MASK or role.startswith(CONTENT_MASK):
        return "content"
    if not role.startswith(STYLE_MASK):
        return None
    name = role.removeprefix(STYLE_MASK)
    image = experiment.get("image")
    styles = image.get("style", ()) if isinstance(image, Mapping) else ()
    regions = [style.get("region") if isinstance(style, Mapping) else None for style in styles]
    wanted = name if name in regions else None
    return style_role(regions.index(wanted)) if wanted in regions else None


def overlay(image: Pixels, mask: Pixels) -> Pixels:
    """The image with everything outside of a mask, of any size, dimmed and grey."""
    height, width = image.shape[:2]
    inside = fit_mask(mask.mean(axis=-1), image.shape, height=height, width=width, rule="content")[..., None]
    outside = DIMMED * image.mean(axis=-1, keepdims=True)
    return (inside * image + (1 - inside) * outside).astype(np.float32)
