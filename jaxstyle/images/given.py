"""What Python hands in as an image: arrays, Pillow's images, file objects, the bytes of a file."""

import dataclasses
import hashlib
from typing import Any

import numpy as np
from PIL import Image, ImageFile

from jaxstyle.errors import JaxstyleError
from jaxstyle.images.decoding import of_levels, read_exif, samples_of
from jaxstyle.images.reading import LoadedImage, check_size, image_of_bytes
from jaxstyle.images.samples import Model, Tags, on_white, upright
from jaxstyle.images.tags import space_of_info

ALLOWED = (
    "a path, a name such as paper:neckarfront, an array, an image of Pillow's, a file opened with 'rb', or its bytes"
)


def image_of(value: Any, name: str) -> LoadedImage:
    """Whatever Python has of an image.

    Args:
      value: an array, or what becomes one (JAX, PyTorch); an image of Pillow's; a file object; the bytes of a file.
      name: what to call it in messages and records.

    Raises:
      JaxstyleError: it is no image.
    """
    if isinstance(value, Image.Image):
        return _of_pillow(value, name)
    if hasattr(value, "read"):
        return image_of_bytes(_bytes_of(value, name), name)
    if isinstance(value, bytes | bytearray | memoryview):
        return image_of_bytes(bytes(value), name)
    if isinstance(value, np.ma.MaskedArray) and (masked := int(np.ma.getmaskarray(value).sum())):
        raise JaxstyleError(
            f"{name}: a masked array, {masked} of its values masked; allowed: values throughout (array.filled(…)), "
            "or an alpha channel, which is composited on white"
        )
    if hasattr(value, "__array__"):
        try:
            return image_of_array(np.asarray(value), name)
        except JaxstyleError:
            raise
        except Exception as error:  # a tensor on a GPU, a tracer: whatever the library raises
            reason = str(error).strip().partition("\n")[0]
            raise JaxstyleError(f"{name}: a {type(value).__name__} that NumPy cannot read: {reason}") from None
    raise JaxstyleError(f"{name}: found a {type(value).__name__}; allowed: {ALLOWED}")


def image_of_array(array: np.ndarray, name: str) -> LoadedImage:
    """An array as an image.

    Args:
      array: [height, width], or [height, width, bands] of 1 (grey), 2 (grey and alpha), 3 (RGB) or 4 bands (RGBA, not
        premultiplied); uint8, uint16, bool, or float in [0, 1]; sRGB.
      name: what to call it in messages and records.

    Raises:
      JaxstyleError: it is not an image.
    """
    bands = array[..., None] if array.ndim == 2 else array
    if bands.ndim != 3 or bands.shape[2] not in (1, 2, 3, 4) or 0 in bands.shape:
        raise JaxstyleError(
            f"{name}: an array of shape {array.shape}{_hint_of_shape(array)}; images are [height, width], "
            "or [height, width, bands] with 1 to 4 bands"
        )
    check_size(name, bands.shape[1], bands.shape[0])
    if bands.dtype.kind == "V" and bands.dtype.names is None and "float" in bands.dtype.name:
        bands = bands.astype(np.float32)  # bfloat16 and its like
    if bands.dtype.kind == "f":
        if not (bands.min() >= 0 and bands.max() <= 1):  # NaN fails both
            hint = "; divide by 255" if 1 < bands.max() <= 255 and bands.min() >= 0 else ""
            raise JaxstyleError(f"{name}: values from {bands.min()} to {bands.max()}{hint}; float images are in [0, 1]")
    elif bands.dtype not in (np.uint8, np.uint16, np.bool_):
        hint = "; array.astype(np.uint8)" if bands.dtype.kind in "iu" and _fits_a_byte(bands) else ""
        allowed = "uint8, uint16, bool, or float in [0, 1]"
        raise JaxstyleError(f"{name}: an array of type {array.dtype}{hint}; allowed: {allowed}")
    white = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}.get(bands.dtype, 1)
    model = Model.GREY if bands.shape[2] < 3 else Model.RGB
    notes: list[str] = []
    return _named(on_white(of_levels(bands, model, white), name, notes), name, notes)


def _named(pixels: np.ndarray, name: str, notes: list[str]) -> LoadedImage:
    return LoadedImage(pixels, name, hashlib.sha256(pixels.tobytes()).hexdigest(), tuple(notes))


def _hint_of_shape(array: np.ndarray) -> str:
    if array.ndim == 4 and len(array) == 1:
        return ", a batch of one (array[0])"
    if array.ndim == 3 and array.shape[0] in (1, 3, 4):
        return ", channels first (np.moveaxis(array, 0, -1))"
    return ""


def _fits_a_byte(array: np.ndarray) -> bool:
    return bool(array.min() >= 0 and array.max() <= 255)


def _bytes_of(stream: Any, name: str) -> bytes:
    """All that a file object holds, wherever it was read to: what was just saved to it stands at its end."""
    try:
        if hasattr(stream, "seekable") and stream.seekable():
            stream.seek(0)
        data = stream.read()
    except (OSError, ValueError, UnicodeDecodeError) as error:
        raise JaxstyleError(f"{name}: cannot be read: {error}; allowed: a file opened with 'rb'") from None
    if not isinstance(data, bytes | bytearray | memoryview):
        raise JaxstyleError(f"{name}: a file opened as text; allowed: one opened with 'rb'")
    return bytes(data)


def _of_pillow(image: Image.Image, name: str) -> LoadedImage:
    """An image of Pillow's: by its file if nothing of that has been decoded, for Pillow drops bits and tags."""
    if (data := _undecoded(image)) is not None:
        return image_of_bytes(data, name)
    notes: list[str] = []
    try:
        image.load()
        check_size(name, *image.size)
        if image.mode == "I":
            notes.append("32-bit whole numbers taken as 0 to 65535")
        samples = samples_of(name, image, raw="", data=None, notes=notes)
    except JaxstyleError:
        raise
    except Exception as error:  # Pillow raises anything, of a closed file an AssertionError
        reason = str(error).strip() or "its file is closed or damaged"
        raise JaxstyleError(f"{name}: Pillow cannot give this image's pixels: {reason}") from None
    orientation, space = read_exif(image, notes)
    tags = Tags(image.info.get("icc_profile") or None, space_of_info(image.info, notes) or space)
    pixels = upright(on_white(dataclasses.replace(samples, tags=tags), name, notes), orientation)
    return _named(pixels, name, notes)


def _undecoded(image: Image.Image) -> bytes | None:
    """The file of an image that was opened at its first frame, and neither decoded nor closed."""
    if not isinstance(image, ImageFile.ImageFile) or not image.tile or getattr(image, "tell", int)() != 0:
        return None
    stream: Any = image.fp
    try:
        place = stream.tell()
        stream.seek(0)
        data = stream.read()
        stream.seek(place)
    except (AttributeError, OSError, ValueError):
        return None
    return data
