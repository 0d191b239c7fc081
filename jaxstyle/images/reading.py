"""Reads image files: whatever a file holds comes out as one kind of array.

Grey, palette, CMYK, 16 bits, transparency, an ICC profile, an EXIF rotation: every step that changed what the image
looks like is written down in `LoadedImage.notes`.
"""

import dataclasses
import hashlib
import io
import json
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from PIL import ExifTags, Image, PngImagePlugin

from jaxstyle.errors import JaxstyleError, did_you_mean
from jaxstyle.images.decoding import READABLE, open_image, read_samples
from jaxstyle.images.kinds import ACCEPTED, foreign_kind, is_accepted
from jaxstyle.images.samples import on_white, upright
from jaxstyle.images.tiff import STARTS as TIFF_STARTS
from jaxstyle.images.tiff import read_tiff

MIN_SIDE = 2
"""One pixel wide is a line, without texture. What the deepest layer needs depends on `size`, which is known later."""

MAX_PIXELS = 100_000_000
"""More than most cameras' images, and 1.2 GB as float32: a file that claims to be larger is refused undecoded."""

EXIF_ASCII = b"ASCII\0\0\0"
"""The character code that opens an EXIF user comment."""


@dataclasses.dataclass(frozen=True)
class LoadedImage:
    """An image that was read from a file.

    Attributes:
      pixels: float32, sRGB in [0, 1].
      path: where it was read.
      sha256: of the file's bytes.
      notes: what was done to the file's content on the way, in words; empty for a plain RGB image.
    """

    pixels: Float32[np.ndarray, "height width 3"]
    path: str
    sha256: str
    notes: tuple[str, ...] = ()


def read_image(path: str | os.PathLike[str]) -> LoadedImage:
    """Reads an image file of any accepted kind as sRGB in [0, 1].

    Args:
      path: a PNG, JPEG, TIFF, WebP, GIF, BMP, PPM, AVIF or JPEG 2000 file.

    Returns:
      The image, rotated as its EXIF says, on white where it was transparent, converted to sRGB as its profile or its
      colour tags say.

    Raises:
      JaxstyleError: there is no such file, or it is not an image that can be used; the message says what to do.
    """
    path = Path(path)
    return image_of_bytes(_read_bytes(path), str(path))


def image_of_bytes(data: bytes, name: str) -> LoadedImage:
    """Reads the content of an image file, as `read_image` does.

    Args:
      data: the file.
      name: what to call it in messages and records.

    Raises:
      JaxstyleError: it is not an image that can be used.
    """
    if not data:
        raise JaxstyleError(f"{name}: the file is empty; get it again")
    notes: list[str] = []
    with _decoding(name, data):
        if data.startswith(TIFF_STARTS):
            samples, orientation = read_tiff(name, data, notes, lambda *size: check_size(name, *size))
        else:
            image = open_image(data, notes)
            check_size(name, *image.size)
            samples, orientation = read_samples(name, image, data, notes)
    pixels = upright(on_white(samples, name, notes), orientation)
    return LoadedImage(pixels, name, hashlib.sha256(data).hexdigest(), tuple(notes))


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """Returns the text that `write_image` put into a file; empty where there is none.

    Raises:
      JaxstyleError: there is no such file, or it is not an image.
    """
    path = Path(path)
    data = _read_bytes(path)
    with _decoding(str(path), data):
        image = Image.open(io.BytesIO(data), formats=READABLE)
        check_size(str(path), *image.size)  # what follows a PNG's pixels is read after these
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
            raise JaxstyleError(f"{path}: is a folder; name an image file in it")
        if path.exists() and not path.is_file():
            raise JaxstyleError(f"{path}: is not a regular file; name an image file")
        data = path.read_bytes()
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise JaxstyleError(f"{path}: there is no such file, and no folder {path.parent}") from None
        if path.is_symlink():
            raise JaxstyleError(f"{path}: is a link to {os.readlink(path)}, which is not there") from None
        near = did_you_mean(path.name, sorted(os.listdir(path.parent)))
        if "*" in path.name:
            near = "; a pattern of several images is for [sweep] (docs/folders.md)"
        raise JaxstyleError(f"{path}: there is no such file{near}") from None
    except OSError as error:
        raise JaxstyleError(f"{path}: cannot be read: {error.strerror}; check the file's permissions") from error
    return data


@contextmanager
def _decoding(name: str, data: bytes) -> Iterator[None]:
    """Turns whatever a decoder raises into one clear error, and keeps its warnings off the terminal."""
    if kind := foreign_kind(data):
        raise JaxstyleError(f"{name}: is {kind[0]}, which is not read; {kind[1]}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except JaxstyleError:
        raise
    except Image.DecompressionBombError:
        raise JaxstyleError(f"{name}: has more than {MAX_PIXELS:,} pixels; make it smaller first") from None
    except Exception as error:  # on damaged bytes decoders raise anything: struct.error, IndexError, MemoryError …
        if isinstance(error, Image.UnidentifiedImageError) and not is_accepted(data):
            found = "text" if b"\0" not in data[:512] and data[:512].isascii() else f"{data[:8]!r} …"
            raise JaxstyleError(
                f"{name}: is not an image that can be read (it holds {found}); accepted: {ACCEPTED}"
            ) from None
        found = "its header is broken" if isinstance(error, Image.UnidentifiedImageError) else error
        reason = "truncated or damaged, or of an unusual kind; get it again, or save it as PNG"
        raise JaxstyleError(f"{name}: cannot be decoded ({found}): {reason}") from error


def check_size(name: str, width: int, height: int) -> None:
    """Refuses images that are too small or too large.

    Raises:
      JaxstyleError: a side is below `MIN_SIDE`, or there are more than `MAX_PIXELS`.
    """
    found = f"{name}: is {width}×{height} pixels"
    if min(width, height) < MIN_SIDE:
        raise JaxstyleError(f"{found}; each side needs at least {MIN_SIDE}")
    if width * height > MAX_PIXELS:
        raise JaxstyleError(
            f"{found}, {width * height:,} in all; at most {MAX_PIXELS:,} are read: make it smaller first"
        )
