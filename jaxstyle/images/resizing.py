"""Resizes images, and brings a style image to the size that goes with its content."""

import numpy as np
from jaxtyping import Float, Float32
from PIL import Image

from jaxstyle.errors import JaxstyleError, did_you_mean

STYLE_SIZES = ("content", "cover", "long-side", "area", "own")
"""The rules of `fit_style`."""


def long_side_shape(shape: tuple[int, ...], size: int) -> tuple[int, int]:
    """The (height, width) of an image whose long side becomes `size`: the same aspect ratio, at least one pixel."""
    height, width = shape[:2]
    scale = size / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def area_shape(shape: tuple[int, ...], size: int | float) -> tuple[int, int]:
    """The (height, width) of an image whose area becomes that of a square of side `size`: the same aspect ratio."""
    height, width = shape[:2]
    scale = size / np.sqrt(height * width)
    return max(1, round(float(height * scale))), max(1, round(float(width * scale)))


def resize_to(
    pixels: Float[np.ndarray, "old_height old_width 3"], height: int, width: int
) -> Float32[np.ndarray, "height width 3"]:
    """Resamples to exactly `height` by `width` with an antialiased Lanczos filter, clipped to [0, 1]."""
    return _resample(pixels, height, width).clip(0, 1)  # Lanczos overshoots at edges


def resize_long_side(
    pixels: Float[np.ndarray, "old_height old_width 3"], size: int
) -> Float32[np.ndarray, "height width 3"]:
    """Resamples so that the long side is exactly `size` pixels; keeps the aspect ratio, and at least one pixel."""
    return resize_to(pixels, *long_side_shape(pixels.shape, size))


def carry_to(
    pixels: Float[np.ndarray, "old_height old_width 3"], height: int, width: int
) -> Float32[np.ndarray, "height width 3"]:
    """Resamples an image that is still being optimized: as `resize_to`, but what lies outside [0, 1] survives."""
    return _resample(pixels, height, width)


def fit_shape(shape: tuple[int, ...], *, height: int, width: int, rule: str, reduction: float = 1.0) -> tuple[int, int]:
    """The (height, width) that `fit_style` gives a style image of some shape.

    Raises:
      JaxstyleError: an unknown rule.
    """
    match rule:
        case "content" | "cover":
            return height, width
        case "long-side":
            return long_side_shape(shape, max(height, width))
        case "area":
            return area_shape(shape, float(np.sqrt(height * width)))
        case "own":
            return long_side_shape(shape, max(1, round(max(shape[:2]) * reduction)))
    raise JaxstyleError(
        f"unknown style size '{rule}'{did_you_mean(rule, STYLE_SIZES) or '.'} Allowed: {', '.join(STYLE_SIZES)}"
    )


def fit_style(
    pixels: Float[np.ndarray, "old_height old_width 3"],
    *,
    height: int,
    width: int,
    rule: str,
    reduction: float = 1.0,
) -> Float32[np.ndarray, "new_height new_width 3"]:
    """Brings a style image to the size that goes with a content image of `height` by `width`.

    Args:
      pixels: the style image.
      height: of the content.
      width: of the content.
      rule: `content`, exactly the content's size, so the aspect ratio changes (as in the paper); `cover`, the content's
        size filled without distortion, the middle kept; `long-side`, the content's long side, the style's own aspect
        ratio; `area`, the content's number of pixels, likewise; `own`, as it is.
      reduction: of the content, against the size at which it is wanted in the end; `own` takes the same.

    Raises:
      JaxstyleError: an unknown rule.

    References: Gatys et al., CVPR 2016, Sec. 2.3: the style image is resized to the size of the content image.
    """
    new_height, new_width = fit_shape(pixels.shape, height=height, width=width, rule=rule, reduction=reduction)
    if rule != "cover":
        return resize_to(pixels, new_height, new_width)
    return _resample(pixels, new_height, new_width, box=_cover_box(pixels.shape, height, width)).clip(0, 1)


def fit_mask(
    mask: Float[np.ndarray, "old_height old_width"],
    shape: tuple[int, ...],
    *,
    height: int,
    width: int,
    rule: str,
    reduction: float = 1.0,
) -> Float32[np.ndarray, "new_height new_width"]:
    """Brings a mask over an image of that shape to where `fit_style` brings the image; linear, so that 0 stays 0.

    Args:
      mask: of any size; stretched over the image.
      shape: the image's.
      height: as for `fit_style`.
      width: likewise.
      rule: likewise.
      reduction: likewise.
    """
    new_height, new_width = fit_shape(shape, height=height, width=width, rule=rule, reduction=reduction)
    box = None
    if rule == "cover":
        left, top, right, bottom = _cover_box(shape, height, width)
        down, across = (own / of_image for own, of_image in zip(mask.shape, shape[:2], strict=True))
        box = (left * across, top * down, right * across, bottom * down)
    elif mask.shape == (new_height, new_width):
        return mask.astype(np.float32, copy=False)
    linear = Image.Resampling.BILINEAR
    image = Image.fromarray(np.ascontiguousarray(mask, dtype=np.float32))
    return np.asarray(image.resize((new_width, new_height), linear, box=box)).clip(0, 1)


def _cover_box(shape: tuple[int, ...], height: int, width: int) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of the middle of an image that has the aspect ratio of `height` by `width`."""
    old_height, old_width = shape[:2]
    scale = min(old_height / height, old_width / width)
    top, left = (old_height - height * scale) / 2, (old_width - width * scale) / 2
    return left, top, old_width - left, old_height - top


def _resample(
    pixels: np.ndarray, height: int, width: int, *, box: tuple[float, float, float, float] | None = None
) -> np.ndarray:
    """Resamples each channel in floating point, so 16 bits survive; `box` is left, top, right, bottom of the source."""
    if pixels.shape[:2] == (height, width):
        return pixels.astype(np.float32, copy=False)
    channels = [Image.fromarray(np.ascontiguousarray(pixels[..., channel], dtype=np.float32)) for channel in range(3)]
    resized = [channel.resize((width, height), Image.Resampling.LANCZOS, box=box) for channel in channels]
    return np.stack([np.asarray(channel) for channel in resized], axis=-1)
