"""Writes image files: 8 or 16 bits, declared as sRGB, with the settings as text inside, whole or not at all."""

import functools
import io
import json
import os
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import ExifTags, Image, ImageCms, PngImagePlugin

from jaxstyle.errors import JaxstyleError, did_you_mean
from jaxstyle.files import write_atomically
from jaxstyle.images.reading import EXIF_ASCII

WRITABLE = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".tif": "TIFF", ".tiff": "TIFF", ".webp": "WebP"}
"""What is written, by the file name's suffix."""


def output_format(path: str | os.PathLike[str], *, bits: int = 8) -> str:
    """Returns the format that `write_image` would write, so that a wrong name is refused before a long run.

    Raises:
      JaxstyleError: the suffix is unknown, or the format cannot hold that many bits.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in WRITABLE:
        found = f"unknown image suffix '{suffix}'" if suffix else "the image's name has no suffix"
        raise JaxstyleError(f"{path}: {found}{did_you_mean(suffix, WRITABLE) or '.'} Allowed: {', '.join(WRITABLE)}")
    if bits not in (8, 16) or (bits == 16 and WRITABLE[suffix] not in ("PNG", "TIFF")):
        raise JaxstyleError(
            f"{path}: {WRITABLE[suffix]} cannot hold {bits} bits a channel; allowed: 8, and 16 with .png, .tif, .tiff"
        )
    return WRITABLE[suffix]


def write_image(
    path: str | os.PathLike[str],
    pixels: npt.ArrayLike,
    *,
    metadata: Mapping[str, str] | None = None,
    bits: int = 8,
    quality: int = 95,
) -> None:
    """Writes sRGB pixels to a file whose suffix says the format; the file appears whole or not at all.

    Args:
      path: ends in .png, .jpg, .jpeg, .tif, .tiff or .webp; missing folders are made.
      pixels: `[height, width, 3]`, sRGB; clipped to [0, 1] and rounded to the nearest level.
      metadata: text that travels in the file: PNG's text chunks, TIFF's image description, EXIF's user comment in JPEG
        and WebP.
      bits: per channel; 16 with PNG and TIFF only.
      quality: of JPEG and WebP, 1 to 100.

    Raises:
      JaxstyleError: an unknown suffix, bits that the format cannot hold, pixels that are no image, or a file that
        cannot be written.
    """
    path = Path(path)
    encode = {"PNG": _encode_png, "TIFF": _encode_tiff}.get(output_format(path, bits=bits), _encode_lossy)
    levels = _quantize(path, pixels, bits)
    try:
        data = encode(levels, dict(metadata or {}), quality=quality, format=WRITABLE[path.suffix.lower()])
    except (ValueError, OSError, struct.error) as error:
        raise JaxstyleError(f"{path}: cannot be encoded: {error}; .png takes any size and any metadata") from error
    write_atomically(path, data)


def encode_png(pixels: npt.ArrayLike) -> bytes:
    """Returns sRGB pixels, `[height, width, 3]` in [0, 1], as an 8-bit PNG file."""
    return _encode_png(_quantize(Path("image.png"), pixels, 8), {})


def encode_jpeg(pixels: npt.ArrayLike, *, quality: int = 90, metadata: Mapping[str, str] | None = None) -> bytes:
    """Returns sRGB pixels, `[height, width, 3]` in [0, 1], as a JPEG file."""
    return _encode_lossy(_quantize(Path("image.jpg"), pixels, 8), dict(metadata or {}), quality=quality, format="JPEG")


@functools.cache
def _srgb_profile() -> bytes:
    """Returns sRGB's ICC profile, with a fixed date, so that the same image gives the same file."""
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return data[:24] + struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + data[36:]  # the header's date and time (ICC.1, 7.2.1)


def _quantize(path: Path, pixels: npt.ArrayLike, bits: int) -> np.ndarray:
    """Returns `[height, width, 3]` whole numbers: clipped to [0, 1], rounded to the nearest level."""
    values = np.asarray(pixels)
    if values.ndim != 3 or values.shape[2] != 3 or 0 in values.shape or values.dtype.kind != "f":
        raise JaxstyleError(
            f"{path}: expected floating point [height, width, 3] in [0, 1]; found {values.dtype} {list(values.shape)}"
        )
    if not np.isfinite(values).all():
        raise JaxstyleError(f"{path}: the image holds NaN or infinity")
    levels = np.rint(values.clip(0, 1).astype(np.float64) * (2**bits - 1))
    return levels.astype(np.uint8 if bits == 8 else np.uint16)


def _encode_png(levels: np.ndarray, metadata: dict[str, str], **_: Any) -> bytes:
    """Encodes 8 bits with Pillow; 16 here, for Pillow has no such RGB mode (PNG specification, third edition)."""
    info = PngImagePlugin.PngInfo()
    info.add(b"sRGB", b"\0")
    for key, value in metadata.items():
        if not 0 < len(key) < 80 or not key.isascii() or not key.isprintable():
            raise ValueError(f"a PNG keyword is 1 to 79 printable ASCII characters, not {key!r}")
        info.add_itxt(key, value)
    if levels.dtype == np.uint8:
        stream = io.BytesIO()
        Image.fromarray(levels).save(stream, "PNG", pnginfo=info)
        return stream.getvalue()
    height, width = levels.shape[:2]
    rows = levels.astype(">u2").view(np.uint8).reshape(height, -1)
    rows[1:] -= rows[:-1].copy()  # filter 2, "up": the difference to the row above, modulo 256
    filtered = np.insert(rows, 0, 2, axis=1)
    chunks = [
        (b"IHDR", struct.pack(">2I5B", width, height, 16, 2, 0, 0, 0)),
        *((kind, body) for kind, body, *_ in info.chunks),
        (b"IDAT", zlib.compress(filtered.tobytes())),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def _encode_tiff(levels: np.ndarray, metadata: dict[str, str], **_: Any) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(
        stream,
        levels,
        photometric="rgb",
        compression="zlib",
        description=json.dumps(metadata) if metadata else "",
        metadata=None,
        software="jaxstyle",
        iccprofile=_srgb_profile(),
    )
    return stream.getvalue()


def _encode_lossy(levels: np.ndarray, metadata: dict[str, str], *, quality: int, format: str) -> bytes:
    exif = Image.Exif()
    if metadata:
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = EXIF_ASCII + json.dumps(metadata).encode()
    options = {"subsampling": 0} if format == "JPEG" else {"method": 6}  # full colour resolution; the smallest file
    stream = io.BytesIO()
    Image.fromarray(levels).save(stream, format, quality=quality, icc_profile=_srgb_profile(), exif=exif, **options)
    return stream.getvalue()
