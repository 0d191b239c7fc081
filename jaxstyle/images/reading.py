"""Reads picture files: whatever a file holds comes out as one kind of array.

Grey, palette, CMYK, 16 bits, transparency, an ICC profile, an EXIF rotation: every step that changed what the picture
looks like is written down in `Picture.notes`.
"""

import dataclasses
import hashlib
import io
import json
import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from jaxtyping import Float32
from PIL import ExifTags, Image, ImageCms, ImageFile, PngImagePlugin, TiffImagePlugin

from jaxstyle.errors import JaxstyleError, did_you_mean

READABLE = ("PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP", "PPM", "AVIF", "JPEG2000")
"""Pillow's decoders that are used; EPS and the like, which start other programs, are not."""

MIN_SIDE = 2
"""One pixel wide is a line, without texture. What the deepest layer needs depends on `size`, which is known later."""

MAX_PIXELS = 100_000_000
"""More than most cameras' pictures, and 1.2 GB as float32: a file that claims to be larger is refused undecoded."""

EXIF_ASCII = b"ASCII\0\0\0"
"""The character code that opens an EXIF user comment."""

_FLOATING = "floating point taken as sRGB in [0, 1]"
_SWAPPED = {"16B": "16L", "16L": "16B", "16N": "16B" if sys.byteorder == "little" else "16L"}
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

# tifffile logs what it finds odd; without any handler Python would print that to the terminal.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture that was read from a file.

    Attributes:
      pixels: float32, sRGB in [0, 1].
      path: where it was read.
      sha256: of the file's bytes.
      notes: what was done to the file's content on the way, in words; empty for a plain RGB picture.
    """

    pixels: Float32[np.ndarray, "height width 3"]
    path: str
    sha256: str
    notes: tuple[str, ...] = ()


def read_picture(path: str | os.PathLike[str]) -> Picture:
    """Reads a picture file of any accepted kind as sRGB in [0, 1].

    Args:
      path: a PNG, JPEG, TIFF, WebP, GIF, BMP, PPM, AVIF or JPEG 2000 file.

    Returns:
      The picture, rotated as its EXIF says, on white where it was transparent, converted to sRGB by its ICC profile.

    Raises:
      JaxstyleError: there is no such file, or it is not a picture that can be used; the message says what to do.
    """
    path = Path(path)
    data = _read_bytes(path)
    notes: list[str] = []
    with _decoding(path, data):
        try:
            image = Image.open(io.BytesIO(data), formats=READABLE)
        except Image.UnidentifiedImageError:
            if not data.startswith(_TIFF_STARTS):
                raise
            samples = _read_tiff(path, data, notes)
        else:
            _check_size(path, *image.size)
            samples = _read_tiff(path, data, notes) if _is_planar(image) else _decode(image, data, notes)
        _check_range(path, samples)
    pixels = _on_white(samples, notes)
    return Picture(pixels, str(path), hashlib.sha256(data).hexdigest(), tuple(notes))


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """Returns the text that `write_picture` put into a file; empty where there is none.

    Raises:
      JaxstyleError: there is no such file, or it is not a picture.
    """
    path = Path(path)
    data = _read_bytes(path)
    with _decoding(path, data):
        image = Image.open(io.BytesIO(data), formats=READABLE)
        if isinstance(image, PngImagePlugin.PngImageFile):
            return {str(key): str(value) for key, value in image.text.items()}
        if image.format == "TIFF":
            text = image.getexif().get(ExifTags.Base.ImageDescription, "")
        else:
            comment = image.getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment, b"")
            text = bytes(comment).removeprefix(EXIF_ASCII)
    try:
        found = json.loads(text)
    except ValueError:
        return {}  # another program's words
    return {key: str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def _read_bytes(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise JaxstyleError(f"{path}: is a folder; name a picture file in it")
        if path.exists() and not path.is_file():
            raise JaxstyleError(f"{path}: is not a regular file; name a picture file")
        data = path.read_bytes()
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise JaxstyleError(f"{path}: there is no such file, and no folder {path.parent}") from None
        near = did_you_mean(path.name, sorted(os.listdir(path.parent)))
        raise JaxstyleError(f"{path}: there is no such file{near}") from None
    except OSError as error:
        raise JaxstyleError(f"{path}: cannot be read: {error.strerror}; check the file's permissions") from error
    if not data:
        raise JaxstyleError(f"{path}: the file is empty; get it again")
    return data


@contextmanager
def _decoding(path: Path, data: bytes) -> Iterator[None]:
    """Turns whatever a decoder raises into one clear error, and keeps its warnings off the terminal."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except JaxstyleError:
        raise
    except Image.UnidentifiedImageError:
        found = "text" if b"\0" not in data[:512] and data[:512].isascii() else f"{data[:8]!r} …"
        kinds = "PNG, JPEG, TIFF, WebP, GIF, BMP, PPM, AVIF, JPEG 2000"
        raise JaxstyleError(
            f"{path}: is not a picture that can be read (it holds {found}); accepted: {kinds}"
        ) from None
    except Image.DecompressionBombError:
        raise JaxstyleError(f"{path}: has more than {MAX_PIXELS:,} pixels; make it smaller first") from None
    except Exception as error:  # on damaged bytes decoders raise anything: struct.error, IndexError, MemoryError …
        reason = "truncated or damaged, or of an unusual kind; get it again, or save it as PNG"
        raise JaxstyleError(f"{path}: cannot be decoded ({error}): {reason}") from error


def _check_size(path: Path, width: int, height: int) -> None:
    found = f"{path}: is {width}×{height} pixels"
    if min(width, height) < MIN_SIDE:
        raise JaxstyleError(f"{found}; each side needs at least {MIN_SIDE}")
    if width * height > MAX_PIXELS:
        raise JaxstyleError(
            f"{found}, {width * height:,} in all; at most {MAX_PIXELS:,} are read: make it smaller first"
        )


def _check_range(path: Path, samples: np.ndarray) -> None:
    low, high = samples.min(), samples.max()
    if not (low >= 0 and high <= 1):  # NaN fails both
        raise JaxstyleError(
            f"{path}: its values run from {low:g} to {high:g} of white's; floating point must be sRGB in [0, 1], "
            "32-bit whole numbers 0 to 65535: scale it, or save it with 8 or 16 bits"
        )


def _on_white(samples: np.ndarray, notes: list[str]) -> np.ndarray:
    """Returns contiguous float32 RGB; an even number of bands ends with alpha, which is composited on white."""
    if samples.shape[2] % 2 == 0:
        samples, alpha = samples[..., :-1], samples[..., -1:]
        if alpha.min() < 1:
            samples = samples * alpha + (1 - alpha)
            notes.append("alpha composited on white")
    return np.ascontiguousarray(np.broadcast_to(samples, (*samples.shape[:2], 3)), dtype=np.float32)


def _decode(image: ImageFile.ImageFile, data: bytes, notes: list[str]) -> np.ndarray:
    """Returns float32 `[height, width, bands]`, white at 1: grey, grey and alpha, RGB, or RGB and alpha."""
    if (frames := getattr(image, "n_frames", 1)) > 1:
        notes.append(f"first of {frames} frames")
    raw = _raw_mode(image)  # Pillow forgets it on loading, which it does when PNG's EXIF is asked for
    orientation = _orientation(image, notes)
    samples = _samples(image, raw, data, notes)
    return samples if image.format == "TIFF" else _rotate(samples, orientation)  # Pillow turns TIFF itself


def _samples(image: ImageFile.ImageFile, raw: str, data: bytes, notes: list[str]) -> np.ndarray:
    profile, key = _foreign_profile(image, notes), image.info.get("transparency")
    if profile is None and image.mode in ("I", "I;16", "I;16B", "I;16L", "I;16N", "F"):
        if image.mode == "F":
            notes.append(_FLOATING)
        white = 4095 if raw == "I;12" else 1 if image.mode == "F" else 65535
        return _scaled(np.asarray(image)[..., None], white, key)
    if profile is None and re.fullmatch(r"RGB[AX]?;16[BLN]", raw):
        return _scaled(_sixteen_bits(image, data), 65535, key)
    if "16" in raw:
        notes.append("read with 8 of its 16 bits a channel")
    shallow = image
    if image.mode.startswith("I"):
        shallow = Image.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8))
    colour = np.asarray(_to_rgb(shallow, profile, notes))
    if not shallow.has_transparency_data:
        return _scaled(colour, 255)
    return _scaled(np.dstack([colour, np.asarray(shallow.convert("RGBA").getchannel("A"))]), 255)


def _raw_mode(image: ImageFile.ImageFile) -> str:
    """Returns Pillow's name of how the samples lie in the file, such as `RGB;16B`."""
    args = image.tile[0].args if image.tile else ""
    return str(args[0] if isinstance(args, tuple) and args else args)


def _is_planar(image: ImageFile.ImageFile) -> bool:
    """Says whether a TIFF holds one colour after the other in more than 8 bits, which Pillow 13 reads wrongly."""
    return (
        isinstance(image, TiffImagePlugin.TiffImageFile)
        and image.tag_v2.get(TiffImagePlugin.PLANAR_CONFIGURATION) == 2
        and max(image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (1,))) > 8
    )


def _sixteen_bits(image: ImageFile.ImageFile, data: bytes) -> np.ndarray:
    """Returns all 16 bits of an RGB or RGBA picture.

    Pillow has no such mode: it unpacks the high byte of each sample and drops the low one. Unpacked as if the bytes
    lay in the opposite order the low byte is what it keeps, so two passes give everything.
    """
    low = Image.open(io.BytesIO(data), formats=READABLE)
    raw = _raw_mode(low)
    swapped = raw[:-3] + _SWAPPED[raw[-3:]]
    low.tile = [
        tile._replace(args=(swapped, *tile.args[1:]) if isinstance(tile.args, tuple) else swapped) for tile in low.tile
    ]
    return np.asarray(image).astype(np.uint16) << 8 | np.asarray(low)


def _scaled(samples: np.ndarray, white: int, transparent: Any = None) -> np.ndarray:
    """Divides by the level of white; alpha is appended where PNG names one level or colour as transparent."""
    scaled = samples.astype(np.float32) / np.float32(white)
    if transparent is None:
        return scaled
    return np.dstack([scaled, (samples != transparent).any(2)]).astype(np.float32)


def _foreign_profile(image: Image.Image, notes: list[str]) -> ImageCms.ImageCmsProfile | None:
    """Returns the picture's ICC profile unless it is broken, or sRGB's, which needs no conversion."""
    if image.mode == "LAB":
        return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    if not (data := image.info.get("icc_profile")):
        return None
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        return None if "srgb" in _profile_name(profile).lower() else profile
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        notes.append("broken ICC profile ignored")
        return None


def _profile_name(profile: ImageCms.ImageCmsProfile) -> str:
    return ImageCms.getProfileDescription(profile).strip() or "unnamed"


def _to_rgb(image: Image.Image, profile: ImageCms.ImageCmsProfile | None, notes: list[str]) -> Image.Image:
    """Converts an 8-bit picture of any mode to RGB, through its ICC profile where there is one."""
    colour = image.mode
    if colour not in ("L", "LA", "CMYK", "LAB"):
        image = image.convert("RGBA").convert("RGB") if image.has_transparency_data else image.convert("RGB")
    elif colour == "LA":
        image = image.getchannel("L")
    if profile is not None:
        try:
            target = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(image, profile, target, outputMode="RGB")
            if converted is not None:
                notes.append(f"converted from {colour} with ICC profile '{_profile_name(profile)}' to sRGB")
                return converted
        except ImageCms.PyCMSError:
            notes.append(f"ICC profile '{_profile_name(profile)}' does not fit {colour} and was ignored")
    if colour == "CMYK":
        notes.append("converted from CMYK without a profile")
    return image.convert("RGB")


def _orientation(image: Image.Image, notes: list[str]) -> int:
    """Returns EXIF's orientation, 1 (upright) where there is none."""
    try:
        return _noted_orientation(image.getexif().get(ExifTags.Base.Orientation, 1), notes)
    except Exception:  # Pillow's EXIF reader raises anything; a picture is not refused for its remarks
        notes.append("broken EXIF ignored")
        return 1


def _noted_orientation(value: Any, notes: list[str]) -> int:
    if value not in range(2, 9):
        return 1
    notes.append(f"rotated by EXIF orientation {value}")
    return int(value)


def _rotate(samples: np.ndarray, orientation: int) -> np.ndarray:
    """Turns and mirrors: orientations 5 to 8 exchange rows and columns, then either may run backwards."""
    if orientation >= 5:
        samples = samples.swapaxes(0, 1)
    down, across = (-1 if orientation in (3, 4, 7, 8) else 1), (-1 if orientation in (2, 3, 6, 7) else 1)
    return samples[::down, ::across]


def _read_tiff(path: Path, data: bytes, notes: list[str]) -> np.ndarray:
    """Reads the TIFF files that Pillow does not: floating point colour, and 16 bits one colour after the other."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages[0]
        if not isinstance(page, tifffile.TiffPage) or page.axes not in ("YX", "YXS", "SYX") or page.samplesperpixel > 4:
            raise JaxstyleError(f"{path}: this TIFF's first page is neither grey nor RGB; save it as RGB")
        _check_size(path, page.imagewidth, page.imagelength)
        samples = page.asarray()
        orientation = _noted_orientation(page.tags.valueof("Orientation", default=1), notes)
        if "InterColorProfile" in page.tags and b"sRGB" not in page.tags["InterColorProfile"].value:
            notes.append("ICC profile ignored")
    if samples.dtype.kind not in "uf":
        raise JaxstyleError(f"{path}: this TIFF holds {samples.dtype}; save it with 8 or 16 bits")
    if samples.dtype.kind == "f":
        notes.append(_FLOATING)
    white = 1 if samples.dtype.kind == "f" else np.iinfo(samples.dtype).max
    samples = np.moveaxis(samples, 0, -1) if page.axes == "SYX" else samples
    return _rotate(_scaled(samples.reshape(*samples.shape[:2], -1), white), orientation)
