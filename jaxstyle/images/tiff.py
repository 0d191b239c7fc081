"""TIFF → samples whose meaning is known: what its tags say of them is read here, or refused by name."""

import dataclasses
import io
import logging
import math
from collections.abc import Callable

import numpy as np
import tifffile
from PIL import Image

from jaxstyle.errors import JaxstyleError
from jaxstyle.images import tags as colour_tags
from jaxstyle.images.colour import D65
from jaxstyle.images.decoding import BANDS, open_image, orientation_of, raw_mode, samples_of
from jaxstyle.images.samples import FLOATING, Model, Samples, Tags, scaled

STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _SEPARATED, _YCBCR, _CIELAB, _ICCLAB = 0, 1, 2, 3, 5, 6, 8, 9
_MODELS = {
    _WHITE_IS_ZERO: Model.GREY,
    _BLACK_IS_ZERO: Model.GREY,
    _RGB: Model.RGB,
    _PALETTE: Model.GREY,  # of its index there is one
    _SEPARATED: Model.CMYK,
    _YCBCR: Model.RGB,
    _CIELAB: Model.LAB,
    _ICCLAB: Model.LAB,
}
"""By PhotometricInterpretation (TIFF 6.0, Sections 3 to 6, 16, 20, 21 and 23; ICCLab by Adobe's Technical Note)."""

_JPEG = (6, 7)
_INSTALL = "pip install 'jaxstyle[tiff]'"
_ASSOCIATED, _UNASSOCIATED = 1, 2

# tifffile logs what it finds odd; without any handler Python would print that to the terminal.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


@dataclasses.dataclass(frozen=True)
class _Layout:
    """What a page says of its samples.

    Attributes:
      photometric: the number.
      bits: of a sample.
      kind: "u", "i" or "f", as NumPy has it.
      alpha: which band is alpha; None without any.
      is_premultiplied: whether it is associated alpha.
      black: the level of no ink, or black.
      white: the level of all ink, or white.
    """

    photometric: int
    bits: int
    kind: str
    alpha: int | None
    is_premultiplied: bool
    black: int
    white: int

    @property
    def model(self) -> Model:
        return _MODELS[self.photometric]


def read_tiff(name: str, data: bytes, notes: list[str], check_size: Callable[[int, int], None]) -> tuple[Samples, int]:
    """Reads the first page.

    Args:
      name: of the image, for messages.
      data: the file.
      notes: what was done is appended.
      check_size: is asked before anything is decoded, with width and height.

    Returns:
      The samples, and the orientation that they still have.

    Raises:
      JaxstyleError: samples whose meaning is not known here, or that need a package to decode.
    """
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page, pages = file.pages[0], len(file.pages)
        if not isinstance(page, tifffile.TiffPage):
            raise JaxstyleError(f"{name}: this TIFF has no first page; save it as PNG")
        check_size(page.imagewidth, page.imagelength)
        if pages > 1:
            notes.append(f"first of {pages} frames")
        layout = _layout(name, page, pages, notes)
        orientation = orientation_of(page.tags.valueof("Orientation", default=1), notes)
        tags = _tags(page, layout, notes)
        is_pillows = layout.bits == 8 and page.compression in _JPEG
        is_pillows |= layout.photometric == _YCBCR and _is_subsampled(page)
        if not is_pillows and (levels := _levels(name, page)) is not None:
            return dataclasses.replace(_samples(name, page, layout, levels, notes), tags=tags), orientation
        samples = _by_pillow(name, data, page, layout, notes)
    if samples is None:
        lacking = "is not read; save it" if is_pillows else f"needs the package imagecodecs: {_INSTALL}, or save it"
        raise JaxstyleError(f"{name}: this TIFF ({_encoding(page)}) {lacking} as PNG")
    return dataclasses.replace(samples, tags=tags), 1  # Pillow turns TIFF itself


def _layout(name: str, page: tifffile.TiffPage, pages: int, notes: list[str]) -> _Layout:
    """What the tags say; refuses by name what is not read."""

    def refuse(found: str, advice: str = "save it as RGB with 8 or 16 bits") -> JaxstyleError:
        return JaxstyleError(f"{name}: this TIFF {found}; {advice}")

    if 50706 in page.tags:
        raise refuse("is a camera's raw file (DNG)", "develop it, and save the image as PNG or JPEG")
    if page.subfiletype & 1 and (pages > 1 or 330 in page.tags):
        raise refuse("begins with a thumbnail of the image", "save the image as PNG")
    photometric, bits, bands = _photometric(page, notes), page.bitspersample, page.samplesperpixel
    if photometric not in _MODELS or page.subfiletype & 4:
        raise refuse(f"holds {getattr(page.photometric, 'name', photometric)}, which is not read")
    if page.axes not in ("YX", "YXS", "SYX") or not isinstance(bits, int):
        raise refuse("is neither grey nor RGB" if isinstance(bits, int) else f"has bands of {bits} bits")
    kind = {"b": "u"}.get(page.dtype.kind, page.dtype.kind) if page.dtype else ""
    if kind not in ("u", "i", "f") or page.sampleformat not in (1, 2, 3):
        raise refuse(f"holds {page.dtype or 'samples of an unknown format'}")
    model = _MODELS[photometric]
    extra = bands - BANDS[model]
    if extra < 0:
        raise refuse(f"has {bands} bands where {model} has {BANDS[model]}")
    if photometric == _SEPARATED and page.tags.valueof("InkSet", default=1) != 1:
        raise refuse("holds inks that are not CMYK")
    meanings = ((0,) * extra + tuple(page.extrasamples))[-extra:] if extra else ()
    alpha = next((band for band, meaning in enumerate(meanings) if meaning in (_ASSOCIATED, _UNASSOCIATED)), None)
    is_premultiplied = alpha is not None and meanings[alpha] == _ASSOCIATED
    if is_premultiplied and photometric not in (_BLACK_IS_ZERO, _RGB):
        raise refuse("is premultiplied by alpha, which is read of grey and RGB alone")
    if left_out := extra - (alpha is not None):
        notes.append(f"{left_out} extra {'band' if left_out == 1 else 'bands'} left out, not alpha by TIFF's tags")
    if (model is Model.LAB or photometric in (_PALETTE, _YCBCR)) and kind != "u":
        raise refuse(f"holds {tifffile.PHOTOMETRIC(photometric).name} as {page.dtype}")
    if (model is Model.LAB and bits not in (8, 16)) or (photometric == _YCBCR and bits != 8):
        raise refuse(f"holds {tifffile.PHOTOMETRIC(photometric).name} in {bits} bits")
    black, white = 0, 2**bits - 1
    if kind == "i":
        if bits > 32:
            raise refuse(f"holds {page.dtype}")
        white = 2 ** (min(bits, 17) - 1) - 1  # 32 bits hold 16, as Pillow's mode I does
        notes.append(f"signed whole numbers taken as 0 to {white}")
    elif photometric == _SEPARATED and kind == "u":
        said = page.tags.valueof("DotRange", default=(black, white))
        dots = np.ravel(np.frombuffer(said, np.uint8) if isinstance(said, bytes) else said)
        black, white = int(dots[0]), int(dots[1])
        if white <= black or np.any(dots.reshape(-1, 2) != [black, white]):
            raise refuse(f"has inks of unlike range ({dots.tolist()})")
    return _Layout(
        photometric, bits, kind, None if alpha is None else BANDS[model] + alpha, is_premultiplied, black, white
    )


def _photometric(page: tifffile.TiffPage, notes: list[str]) -> int:
    """PhotometricInterpretation, or what libtiff takes for it where it is missing."""
    if "PhotometricInterpretation" in page.tags or page.compression in _JPEG:
        return int(page.photometric)
    found = _RGB if page.samplesperpixel >= 3 else _WHITE_IS_ZERO if page.compression in (2, 3, 4) else _BLACK_IS_ZERO
    notes.append(f"TIFF's PhotometricInterpretation is missing: taken as {tifffile.PHOTOMETRIC(found).name}")
    return found


def _is_subsampled(page: tifffile.TiffPage) -> bool:
    return page.tags.valueof("YCbCrSubSampling", default=(2, 2)) != (1, 1)


def _levels(name: str, page: tifffile.TiffPage) -> np.ndarray | None:
    """The samples `[height, width, bands]` as they stand; None if it takes imagecodecs to decode them."""
    segments = math.prod(page.chunked)
    if len(page.dataoffsets) < segments or 0 in (*page.dataoffsets[:segments], *page.databytecounts[:segments]):
        raise JaxstyleError(f"{name}: parts of this TIFF are missing: truncated or damaged; get it again")
    try:
        samples = page.asarray()
    except (ValueError, NotImplementedError, AttributeError) as error:
        if "imagecodecs" not in str(error):
            raise
        return None
    if samples.dtype == bool:
        samples = samples.view(np.uint8)
    samples = np.moveaxis(samples, 0, -1) if page.axes == "SYX" else samples
    return samples.reshape(*samples.shape[:2], -1)


def _encoding(page: tifffile.TiffPage) -> str:
    words = [getattr(page.compression, "name", str(page.compression)), f"{page.bitspersample} bits"]
    words += ["one band after the other"] if page.planarconfig == 2 else []
    return ", ".join([*words, f"predictor {int(page.predictor)}"] if page.predictor != 1 else words)


def _samples(name: str, page: tifffile.TiffPage, layout: _Layout, levels: np.ndarray, notes: list[str]) -> Samples:
    """What the levels mean."""
    if layout.kind == "i" and levels.min() < 0:
        found = f"signed whole numbers from {levels.min()}, below which black is not known"
        raise JaxstyleError(f"{name}: this TIFF holds {found}; save it with 8 or 16 bits, unsigned")
    bands, white, black = levels[..., : BANDS[layout.model]], layout.white, layout.black
    model, photometric = layout.model, layout.photometric
    if photometric == _PALETTE:
        model, colour = Model.RGB, _of_palette(name, page, bands[..., 0])
    elif photometric == _YCBCR:
        colour = _of_ycbcr(page, bands)
    elif model is Model.LAB:
        colour = _lab(bands, white, is_icc=photometric == _ICCLAB)
    else:
        colour = scaled(bands, white, black=black)
        if photometric == _SEPARATED:
            colour = colour.clip(0, 1) if layout.kind == "u" else colour
        if layout.kind == "f":
            notes.append(FLOATING)
        if photometric == _WHITE_IS_ZERO:
            colour = 1 - colour
    alpha = None if layout.alpha is None else scaled(levels[..., layout.alpha], white)
    return Samples(colour, model, alpha, layout.is_premultiplied, bits=layout.bits)


def _of_palette(name: str, page: tifffile.TiffPage, index: np.ndarray) -> np.ndarray:
    colours = np.asarray(page.colormap).T if page.colormap is not None else np.empty((0, 3))
    if index.max() >= len(colours):
        raise JaxstyleError(f"{name}: its palette has no colour {index.max()}: damaged; get it again")
    if colours.max() > 255 and not (colours % 256).any():
        colours = colours // 256  # a palette of 8 bits, put into the upper half
    return scaled(colours, 65535 if colours.max() > 255 else 255)[index]


def _of_ycbcr(page: tifffile.TiffPage, levels: np.ndarray) -> np.ndarray:
    """YCbCr → RGB (TIFF 6.0, Section 21)."""
    red, green, blue = _fractions(page, "YCbCrCoefficients") or (0.299, 0.587, 0.114)
    limits = _fractions(page, "ReferenceBlackWhite") or (0, 255, 128, 255, 128, 255)
    reference, ranges = np.array(limits, np.float32).reshape(3, 2), np.array([1, 127 / 255, 127 / 255], np.float32)
    y, cb, cr = np.moveaxis((levels - reference[:, 0]) * (ranges / (reference[:, 1] - reference[:, 0])), -1, 0)
    r, b = y + (2 - 2 * red) * cr, y + (2 - 2 * blue) * cb
    return np.stack([r, (y - red * r - blue * b) / green, b], axis=-1).clip(0, 1).astype(np.float32)


def _fractions(page: tifffile.TiffPage, tag: str) -> list[float]:
    numbers = page.tags.valueof(tag, default=())
    pairs = list(zip(numbers[::2], numbers[1::2], strict=False))
    return [over / under for over, under in pairs] if all(under for _, under in pairs) else []


def _lab(levels: np.ndarray, white: int, *, is_icc: bool) -> np.ndarray:
    """L* from 0 to 100, a* and b*: signed in CIELab, with 128 in the middle in ICCLab, whose L* ends at FF00."""
    steps = 256 if white > 255 else 1
    lightness = levels[..., :1].astype(np.float32) * np.float32(100 / (65280 if is_icc and steps == 256 else white))
    colour = levels[..., 1:]
    if is_icc:
        chroma = colour.astype(np.float32) / steps - 128
    else:
        chroma = colour.view(f"i{colour.dtype.itemsize}").astype(np.float32) / steps
    return np.concatenate([lightness, chroma], axis=-1)


def _by_pillow(name: str, data: bytes, page: tifffile.TiffPage, layout: _Layout, notes: list[str]) -> Samples | None:
    """Lets Pillow decode what tifffile does not without imagecodecs, where Pillow is known to read all that is said."""
    if layout.photometric == _YCBCR and page.compression == 1:
        raise JaxstyleError(f"{name}: this TIFF holds subsampled YCbCr without compression; save it as RGB")
    is_simple = layout.bits <= 8 and layout.model is not Model.LAB and page.samplesperpixel == BANDS[layout.model]
    is_plain = page.planarconfig == 1 or is_simple
    is_deep = layout.photometric in (_BLACK_IS_ZERO, _RGB, _SEPARATED) and not layout.is_premultiplied
    if layout.kind != "u" or not is_plain or not (layout.bits <= 8 or (layout.bits in (12, 16) and is_deep)):
        return None
    try:
        image = open_image(data, notes)
    except Image.UnidentifiedImageError:
        return None
    samples = samples_of(name, image, raw=raw_mode(image), data=data, notes=notes)
    if layout.alpha is None:
        return dataclasses.replace(samples, alpha=None)
    return None if samples.alpha is None else samples


def _tags(page: tifffile.TiffPage, layout: _Layout, notes: list[str]) -> Tags:
    """The profile, else TIFF's own colorimetry (TIFF 6.0, Section 20), else EXIF's."""
    if page.iccprofile or layout.model is not Model.RGB:
        return Tags(page.iccprofile or None)
    chromaticities = _fractions(page, "PrimaryChromaticities")
    white = _fractions(page, "WhitePoint") or D65
    exif = page.tags.valueof("ExifTag", default=None)
    if "TransferFunction" in page.tags:
        notes.append("TIFF's TransferFunction not used")
    if len(chromaticities) == 6 and len(white) == 2:
        return Tags(space=colour_tags.chromatic_space("TIFF's PrimaryChromaticities", [*white, *chromaticities], notes))
    return Tags(space=colour_tags.exif_space(exif.get("ColorSpace") if isinstance(exif, dict) else None, None, notes))
