"""ICC profiles → conversions to sRGB: those of a matrix and curves in floating point, those of tables by LittleCMS."""

import dataclasses
import io
import struct

import numpy as np
from PIL import Image, ImageCms

from jaxstyle.images.colour import Convert, encode, from_pcs, lightness_to_light, through_matrix

_NUMBERS = {0: 1, 1: 3, 2: 4, 3: 5, 4: 7}
"""How many numbers a parametric curve of each kind has."""


@dataclasses.dataclass(frozen=True)
class Profile:
    """A profile made ready.

    Attributes:
      name: its own description of itself.
      convert: values → sRGB; None if it is for other colours than asked.
      bits: with how many the conversion computes; None for floating point.
    """

    name: str
    convert: Convert | None
    bits: int | None = None


def read_profile(data: bytes, model: str) -> Profile | None:
    """Reads a profile for values of one kind.

    Perceptual intent, as LittleCMS reads it: tables where the profile has them, else matrix and curves.

    Args:
      data: the profile.
      model: "grey", "RGB" or "CMYK".

    Returns:
      The profile, or None if it is broken.
    """
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(data))
        name = ImageCms.getProfileDescription(opened).strip() or "unnamed"
        kind, connection = data[16:20], data[20:24]
        tags = _tags(data)
        if kind != {"grey": b"GRAY", "RGB": b"RGB ", "CMYK": b"CMYK"}.get(model):
            return Profile(name, None)
        if not {b"A2B0", b"D2B0"} & tags.keys():
            if {b"rTRC", b"rXYZ"} <= tags.keys() and connection == b"XYZ ":
                return Profile(name, _by_matrix(tags))
            if b"kTRC" in tags:
                return Profile(name, _by_grey_curve(tags, connection))
        try:
            return Profile(name, _by_tables(opened, model), bits=8)
        except ImageCms.PyCMSError:  # a link between devices, say
            return Profile(name, None)
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError, KeyError, struct.error):
        return None


def _tags(data: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", data, 128)
    entries = [struct.unpack_from(">4s2I", data, 132 + 12 * index) for index in range(min(count, 1000))]
    return {name: data[start : start + size] for name, start, size in entries}


def _by_matrix(tags: dict[bytes, bytes]) -> Convert:
    curves = [_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC")]
    columns = [_fixed(tags[name][8:20]) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]

    def linear(values: np.ndarray) -> np.ndarray:
        return np.stack([curve(values[..., band]) for band, curve in enumerate(curves)], axis=-1)

    return through_matrix(linear, from_pcs() @ np.array(columns).T)


def _by_grey_curve(tags: dict[bytes, bytes], connection: bytes) -> Convert:
    curve = _curve(tags[b"kTRC"])

    def convert(values: np.ndarray) -> np.ndarray:
        light = curve(values)
        if connection == b"Lab ":
            light = lightness_to_light((100 * light + 16) / 116)
        return np.repeat(encode(light.clip(0, 1)).astype(np.float32), 3, axis=-1)

    return convert


def _by_tables(profile: ImageCms.ImageCmsProfile, model: str) -> Convert:
    mode = "L" if model == "grey" else model
    transform = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB")

    def convert(values: np.ndarray) -> np.ndarray:
        levels = np.rint(values * 255).astype(np.uint8)
        image = Image.frombytes(mode, (levels.shape[1], levels.shape[0]), levels.tobytes())
        converted = ImageCms.applyTransform(image, transform)
        return np.asarray(converted, np.float32) / np.float32(255)

    return convert


def _curve(tag: bytes) -> Convert:
    """A curve from values to light (ICC.1, 10.6 and 10.18)."""
    if tag[:4] == b"curv":
        (count,) = struct.unpack_from(">I", tag, 8)
        table = np.frombuffer(tag, ">u2", count, 12)
        if count == 0:
            return lambda values: values
        if count == 1:
            return _parametric(0, [float(table[0]) / 256])
        levels, light = np.linspace(0, 1, count), table / 65535
        return lambda values: np.interp(values, levels, light)
    if tag[:4] == b"para":
        (kind,) = struct.unpack_from(">H", tag, 8)
        return _parametric(kind, _fixed(tag[12 : 12 + 4 * _NUMBERS[kind]]))
    raise ValueError("a curve of an unknown kind")


def _parametric(kind: int, numbers: list[float]) -> Convert:
    """Y = (aX + b)^g + e from d on, cX + f below it (ICC.1, Table 68)."""
    g, a, b = numbers[:3] if kind else (numbers[0], 1.0, 0.0)
    c = d = e = f = 0.0
    if kind in (1, 2):
        d = -b / a if a else 0.0
        e = f = numbers[3] if kind == 2 else 0.0
    elif kind in (3, 4):
        c, d = numbers[3:5]
        e, f = numbers[5:] if kind == 4 else (0.0, 0.0)

    def curve(values: np.ndarray) -> np.ndarray:
        return np.where(values >= d, np.maximum(a * values + b, 0) ** g + e, c * values + f).clip(0, 1)

    return curve


def _fixed(data: bytes) -> list[float]:
    """Numbers of 16 bits before and 16 after the point."""
    return [value / 65536 for (value,) in struct.iter_unpack(">i", data)]
