"""What a file's samples mean → float32 sRGB on white. Every image goes through here, whatever it was read from."""

import dataclasses
from enum import StrEnum

import numpy as np
from jaxtyping import Float32, Shaped

from jaxstyle.errors import JaxstyleError
from jaxstyle.images.colour import Convert, Space, by_rows, changes, lab_to_srgb
from jaxstyle.images.icc import read_profile

FLOATING = "floating point taken as sRGB in [0, 1]"
"""The note of floating point without a profile: nothing in such a file says what it means."""


class Model(StrEnum):
    """What the bands of a colour are."""

    GREY = "grey"
    RGB = "RGB"
    CMYK = "CMYK"
    LAB = "Lab"


@dataclasses.dataclass(frozen=True)
class Tags:
    """What a file says of its colours, the best first.

    Attributes:
      profile: an ICC profile.
      space: what the values are if there is no profile of use; None for sRGB.
    """

    profile: bytes | None = None
    space: Space | None = None


@dataclasses.dataclass(frozen=True)
class Samples:
    """An image as its file holds it, in numbers whose meaning is known.

    Attributes:
      colour: 0 to 1 from black to white or from no ink to all; L* from 0 to 100, a* and b*.
      model: what the bands are.
      alpha: 0 to 1 from transparent to opaque.
      is_premultiplied: whether the colour was multiplied by alpha.
      tags: what the file says of its colours.
      bits: of a sample in the file.
    """

    colour: Float32[np.ndarray, "height width bands"]
    model: Model
    alpha: Float32[np.ndarray, "height width"] | None = None
    is_premultiplied: bool = False
    tags: Tags = Tags()
    bits: int = 8


def scaled(levels: Shaped[np.ndarray, "*shape"], white: int, *, black: int = 0) -> Float32[np.ndarray, "*shape"]:
    """Levels as parts of white; floating point is that already."""
    if levels.dtype.kind == "f":
        return levels.astype(np.float32)
    kind = np.float32 if levels.dtype.itemsize <= 2 else np.float64
    return ((levels.astype(kind) - kind(black)) / kind(white - black)).astype(np.float32)


def on_white(samples: Samples, name: str, notes: list[str]) -> Float32[np.ndarray, "height width 3"]:
    """Converts to sRGB and composites on white.

    Args:
      samples: what was read.
      name: of the image, for messages.
      notes: what was done is appended.

    Raises:
      JaxstyleError: values outside their range, or nothing but transparency.
    """
    if samples.model is not Model.LAB:
        _check_range(name, samples.colour)
    alpha = _opacity(samples, name)
    colour = samples.colour
    if alpha is not None and samples.is_premultiplied:
        colour = _straight(colour, alpha, samples.bits, notes)
    rgb = _in_srgb(colour, samples, notes)
    if alpha is not None:
        rgb = rgb * alpha + (1 - alpha)
        notes.append("alpha composited on white")
    return np.ascontiguousarray(np.broadcast_to(rgb, (*rgb.shape[:2], 3)), dtype=np.float32)


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turns and mirrors: orientations 5 to 8 exchange rows and columns, then either may run backwards."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    down, across = (-1 if orientation in (3, 4, 7, 8) else 1), (-1 if orientation in (2, 3, 6, 7) else 1)
    return np.ascontiguousarray(pixels[::down, ::across])


def _check_range(name: str, values: np.ndarray) -> None:
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= 1):  # NaN fails both
        raise JaxstyleError(
            f"{name}: its values run from {low:g} to {high:g} of white's; floating point must be sRGB in [0, 1], "
            "32-bit whole numbers 0 to 65535: scale it, or save it with 8 or 16 bits"
        )


def _opacity(samples: Samples, name: str) -> np.ndarray | None:
    """Alpha `[height, width, 1]` where anything is transparent."""
    if samples.alpha is None:
        return None
    _check_range(f"{name}: alpha", samples.alpha)
    if samples.alpha.max() == 0:
        raise JaxstyleError(f"{name}: is transparent everywhere; save it without its alpha channel")
    return samples.alpha[..., None] if samples.alpha.min() < 1 else None


def _straight(colour: np.ndarray, alpha: np.ndarray, bits: int, notes: list[str]) -> np.ndarray:
    if (colour > alpha + 1.5 / (2 ** min(bits, 16) - 1)).any():
        notes.append("colour brighter than its alpha, though marked as premultiplied: cut")
    return np.minimum(colour / np.where(alpha > 0, alpha, 1), 1)


def _in_srgb(colour: np.ndarray, samples: Samples, notes: list[str]) -> np.ndarray:
    """Grey or RGB in sRGB: by the profile, else by the space, else as it is."""
    model, tags = samples.model, samples.tags
    if model is Model.LAB:
        notes.append("converted from L*a*b* to sRGB")
        return by_rows(lab_to_srgb, colour)
    if tags.profile is not None:
        profile = read_profile(tags.profile, model)
        if profile is not None and profile.convert is not None:
            if model is not Model.CMYK and not changes(profile.convert, colour.shape[2]):
                return colour
            if profile.bits is not None and samples.bits > profile.bits:
                notes.append(f"read with 8 of its {samples.bits} bits a channel")
            notes.append(f"converted from {model} with ICC profile '{profile.name}' to sRGB")
            return by_rows(profile.convert, colour)
        notes.append(
            f"ICC profile '{profile.name}' does not fit {model} and was ignored"
            if profile
            else "broken ICC profile ignored"
        )
    if model is Model.CMYK:
        notes.append("converted from CMYK without a profile")
        return by_rows(lambda inks: (1 - inks[..., :3]) * (1 - inks[..., 3:]), colour)
    if tags.space is not None and changes(convert := _in_space(tags.space), colour.shape[2]):
        cut = ", what is brighter than white cut" if tags.space.is_hdr else ""
        notes.append(f"converted from {tags.space.name} to sRGB{cut}")
        return by_rows(convert, colour)
    return colour


def _in_space(space: Space) -> Convert:
    convert = space.to_srgb()
    return lambda values: convert(np.broadcast_to(values, (*values.shape[:-1], 3)))
