"""Images as Pillow decodes them → samples whose meaning is known."""

import dataclasses
import io
import re
import struct
import sys
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageFile

from jaxstyle.errors import JaxstyleError
from jaxstyle.images import tags as colour_tags
from jaxstyle.images.colour import Space
from jaxstyle.images.samples import FLOATING, Model, Samples, Tags, scaled

READABLE = ("PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP", "PPM", "AVIF", "JPEG2000")
"""Pillow's decoders that are used; EPS and the like, which start other programs, are not."""

BANDS = {Model.GREY: 1, Model.RGB: 3, Model.CMYK: 4, Model.LAB: 3}

_SWAPPED = {"16B": "16L", "16L": "16B", "16N": "16B" if sys.byteorder == "little" else "16L"}


def open_image(data: bytes, notes: list[str]) -> ImageFile.ImageFile:
    """Opens a file's bytes without decoding them; of a PNG, those that decide its pixels."""
    if data.startswith(colour_tags.PNG):
        data = colour_tags.only_pixels(data, notes)
    return Image.open(io.BytesIO(data), formats=READABLE)


def read_samples(name: str, image: ImageFile.ImageFile, data: bytes, notes: list[str]) -> tuple[Samples, int]:
    """Decodes the first frame of a file.

    Args:
      name: of the image, for messages.
      image: opened, not yet decoded.
      data: the file.
      notes: what was done is appended.

    Returns:
      The samples, and EXIF's orientation.

    Raises:
      JaxstyleError: colours that are not read.
    """
    if (frames := getattr(image, "n_frames", 1)) > 1:
        notes.append(f"first of {frames} frames")
    raw, extent = raw_mode(image), _extent(image, data)  # Pillow forgets both on loading
    orientation, space = read_exif(image, notes)
    bits, last = 8, None
    match image.format:
        case "PNG":
            tags = colour_tags.png_tags(data, notes)
        case "AVIF":
            tags, bits = colour_tags.avif_tags(data, image.info.get("icc_profile"), notes)
        case "JPEG2000":
            tags, bits, last = colour_tags.jpeg2000_tags(name, data)
        case "BMP":
            tags = Tags(colour_tags.bmp_profile(data, notes))
        case _:
            tags = Tags(image.info.get("icc_profile"), space)
            if image.format == "PPM" and image.mode == "RGB" and _arguments(image)[1:2] > (255,):
                bits = 16
    samples = dataclasses.replace(samples_of(name, image, raw=raw, data=data, notes=notes), tags=tags)
    if samples.bits < bits:
        notes.append(f"read with {samples.bits} of its {bits} bits a channel")
    if last == colour_tags.UNSPECIFIED and samples.alpha is not None:
        samples = dataclasses.replace(samples, alpha=None)
        notes.append("a band that is neither colour nor alpha left out")
    samples = dataclasses.replace(samples, is_premultiplied=samples.is_premultiplied or last == 2)
    return _within(samples, extent), orientation


def samples_of(name: str, image: Image.Image, *, raw: str, data: bytes | None, notes: list[str]) -> Samples:
    """What an image of Pillow's holds, whatever its mode.

    Args:
      name: of the image, for messages.
      image: any.
      raw: how the samples lie in its file, in Pillow's words; empty if that is not known.
      data: its file, for the bits that Pillow drops.
      notes: what was done is appended.

    Raises:
      JaxstyleError: a mode that means no colour.
    """
    key, mode = _transparent_colour(image, raw), image.mode
    if data is not None and re.fullmatch(r"(RGB[AX]?|CMYK);16[BLN]", raw):
        return of_levels(_sixteen_bits(image, data), Model.CMYK if mode == "CMYK" else Model.RGB, 65535, key)
    if data is not None and raw == "LA;16B":
        return of_levels(_sixteen_bits_and_alpha(data), Model.GREY, 65535)
    if mode == "F":
        notes.append(FLOATING)
        return of_levels(np.asarray(image)[..., None], Model.GREY, 1)
    if mode.startswith("I"):
        return of_levels(np.asarray(image)[..., None], Model.GREY, 4095 if raw == "I;12" else 65535, key)
    if mode == "1":
        image = image.convert("L")
    elif mode in ("P", "PA"):
        image, key = image.convert("RGBA" if image.has_transparency_data else "RGB"), None
    elif mode in ("YCbCr", "HSV"):
        image = image.convert("RGB")
    levels = np.atleast_3d(np.asarray(image))
    if mode == "LAB":  # as in TIFF's CIELab
        chroma = np.ascontiguousarray(levels[..., 1:]).view(np.int8).astype(np.float32)
        return Samples(np.dstack([levels[..., 0] * np.float32(100 / 255), chroma]), Model.LAB)
    if mode == "RGBX":
        levels = levels[..., :3]
    model = {"L": Model.GREY, "R": Model.RGB, "C": Model.CMYK}.get(image.mode[0])
    if model is None:
        raise JaxstyleError(f"{name}: an image of Pillow's mode {mode}; allowed: {_MODES}")
    return dataclasses.replace(of_levels(levels, model, 255, key), is_premultiplied=mode in ("La", "RGBa"))


_MODES = "1, L, LA, P, PA, RGB, RGBA, RGBX, CMYK, YCbCr, LAB, HSV, I, I;16, F"


def of_levels(levels: np.ndarray, model: Model, white: int, key: np.ndarray | None = None) -> Samples:
    """Samples of levels `[height, width, bands]`; a band more than the colour's is alpha, `key` is transparent."""
    colour, alpha = scaled(levels[..., : BANDS[model]], white), None
    if levels.shape[2] > BANDS[model]:
        alpha = scaled(levels[..., -1], white)
    elif key is not None:
        alpha = (levels != key).any(2).astype(np.float32)
    return Samples(colour, model, alpha, bits=8 * levels.dtype.itemsize)


def _transparent_colour(image: Image.Image, raw: str) -> np.ndarray | None:
    """The level or colour that is transparent, as Pillow gives the levels: those of 2 and 4 bits spread to 8."""
    key = image.info.get("transparency")
    if not isinstance(key, int | tuple):
        return None
    if ";16" in raw or image.mode.startswith("I"):
        return np.atleast_1d(key)
    if image.mode == "1":
        return np.atleast_1d(255 if key else 0)
    bits = int(raw[-1]) if raw in ("L;2", "L;4") else 8
    return np.atleast_1d(key) % 2**bits * (255 // (2**bits - 1))


def read_exif(image: Image.Image, notes: list[str]) -> tuple[int, Space | None]:
    """Returns EXIF's orientation, 1 (upright) where there is none, and a photograph's space, None for sRGB."""
    said: list[str] = []
    try:
        exif = image.getexif()
        orientation = orientation_of(exif.get(ExifTags.Base.Orientation, 1), said)
        photograph = exif.get_ifd(ExifTags.IFD.Exif) if image.format in ("JPEG", "MPO", "WEBP") else None
        space = None
        if photograph and not image.info.get("icc_profile"):
            index = exif.get_ifd(ExifTags.IFD.Interop).get(1) if ExifTags.IFD.Interop in photograph else None
            space = colour_tags.exif_space(photograph.get(ExifTags.Base.ColorSpace), index, said)
    except Exception:  # Pillow's EXIF reader raises anything; an image is not refused for its remarks
        orientation, space, said = 1, None, ["broken EXIF ignored"]
    notes += said
    return orientation, space


def orientation_of(value: Any, notes: list[str]) -> int:
    """EXIF's orientation, noted if it is one that rotates or mirrors."""
    if value not in range(2, 9):
        return 1
    notes.append(f"rotated by EXIF orientation {value}")
    return int(value)


def raw_mode(image: Image.Image) -> str:
    """Returns Pillow's name of how the samples lie in the file, such as `RGB;16B`."""
    return str((*_arguments(image), "")[0])


def _arguments(image: Any) -> tuple[Any, ...]:
    """The arguments of Pillow's decoder, for a file that is not decoded yet."""
    args = image.tile[0].args if getattr(image, "tile", None) else ()
    return args if isinstance(args, tuple) else (args,)


def _extent(image: ImageFile.ImageFile, data: bytes) -> tuple[int, int, int, int] | None:
    """Where the first frame of an animation lies: left, top, right, bottom."""
    if image.format == "GIF" and image.tile:
        return image.tile[0].extents
    place = 12
    while image.format == "WEBP" and place + 24 <= len(data):
        name, size = struct.unpack_from("<4sI", data, place)
        if name == b"ANMF":
            left, top, width, height = (int.from_bytes(data[place + 8 + at :][:3], "little") for at in (0, 3, 6, 9))
            return 2 * left, 2 * top, 2 * left + width + 1, 2 * top + height + 1
        place += 8 + size + size % 2
    return None


def _within(samples: Samples, extent: tuple[int, int, int, int] | None) -> Samples:
    """Outside the first frame nothing was drawn, whatever the decoder fills it with."""
    shape = samples.colour.shape[:2]
    if extent is None or extent == (0, 0, shape[1], shape[0]):
        return samples
    left, top, right, bottom = extent
    alpha = np.zeros(shape, np.float32)
    alpha[top:bottom, left:right] = 1 if samples.alpha is None else samples.alpha[top:bottom, left:right]
    return dataclasses.replace(samples, alpha=alpha)


def _sixteen_bits(image: Image.Image, data: bytes) -> np.ndarray:
    """Returns all 16 bits of RGB, RGBA or CMYK.

    Pillow has no such modes: it unpacks the high byte of each sample and drops the low one. Unpacked as if the bytes
    lay in the opposite order the low byte is what it keeps, so two passes give everything.
    """
    low = open_image(data, [])
    raw = raw_mode(low)
    _set_raw_mode(low, raw[:-3] + _SWAPPED[raw[-3:]])
    return np.asarray(image).astype(np.uint16) << 8 | np.asarray(low)


def _sixteen_bits_and_alpha(data: bytes) -> np.ndarray:
    """Returns all 16 bits of PNG's grey and alpha: as many bytes as RGBA has, which Pillow unpacks as they are."""
    image = open_image(data, [])
    _set_raw_mode(image, "RGBA")
    return np.ascontiguousarray(np.asarray(image)).view(">u2")


def _set_raw_mode(image: Any, raw: str) -> None:
    image.tile = [
        tile._replace(args=(raw, *tile.args[1:]) if isinstance(tile.args, tuple) else raw) for tile in image.tile
    ]
