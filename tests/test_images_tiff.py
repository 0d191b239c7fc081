"""TIFF: what its tags say of the samples is what is read, or is refused by name."""

import itertools
import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_files import (
    ADOBE_COLORANTS,
    P3_TO_SRGB,
    SRGB_COLORANTS,
    decode,
    encode,
    gamma_curve,
    in_srgb,
    lzw,
    rgb_profile,
    tiff,
)
from PIL import Image

from jaxstyle.errors import JaxstyleError
from jaxstyle.images import LoadedImage, read_image

try:
    import imagecodecs  # noqa: F401  # pyright: ignore[reportMissingImports]
except ImportError:
    HAS_IMAGECODECS = False
else:
    HAS_IMAGECODECS = True

LEVEL = 1 / 255
LEFT_OUT = "1 extra band left out, not alpha by TIFF's tags"


def read(tmp_path: Path, levels: np.ndarray, **options: Any) -> LoadedImage:
    """What is read of `[height, width, bands]` written by tifffile."""
    options = {"photometric": "rgb", "metadata": None, **options}
    if levels.shape[2] == 1:
        options.pop("planarconfig", None)
        levels = levels[..., 0]
    elif options.get("planarconfig") == "separate":
        levels = np.moveaxis(levels, -1, 0)
    tifffile.imwrite(tmp_path / "a.tif", levels, **options)
    return read_image(tmp_path / "a.tif")


def values(bands: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((6, 9, bands))


def as_type(parts: np.ndarray, dtype: str) -> np.ndarray:
    """Parts of white as samples of a type."""
    kind = np.dtype(dtype)
    return parts.astype(kind) if kind.kind == "f" else np.rint(parts * np.iinfo(kind).max).astype(kind)


# What tags say


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_white_is_zero(tmp_path: Path, dtype: str):
    grey = values(1)
    image = read(tmp_path, as_type(1 - grey, dtype), photometric="miniswhite")
    np.testing.assert_allclose(image.pixels, np.broadcast_to(grey, (6, 9, 3)), rtol=0, atol=LEVEL / 2)


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("photometric", [0, 1])
def test_grey_of_a_few_bits(tmp_path: Path, bits: int, photometric: int):
    levels = np.arange(2 * 7).reshape(2, 7) % 2**bits
    digits = np.unpackbits(levels.astype(np.uint8)[..., None], axis=-1)[..., 8 - bits :].reshape(2, -1)
    tags = {256: 7, 257: 2, 258: bits, 259: 1, 262: photometric, 277: 1, 278: 2}
    (tmp_path / "a.tif").write_bytes(tiff(tags, np.packbits(digits, axis=1).tobytes()))
    parts = levels / (2**bits - 1)
    wanted = 1 - parts if photometric == 0 else parts
    np.testing.assert_allclose(read_image(tmp_path / "a.tif").pixels[..., 0], wanted, rtol=0, atol=1e-6)


WHITE_TO_RED = np.array([[100, 0, 0], [0, 0, 0], [53.39, 0, 0], [54.29, 80.81, 69.89], [87.82, -79.27, 80.99]])
"""L*, a*, b* relative to D50 of sRGB's white, black, middle grey, red and green (B. Lindbloom)."""
RED_IN_SRGB = np.array([[1, 1, 1], [0, 0, 0], [0.5, 0.5, 0.5], [1, 0, 0], [0, 1, 0]])


@pytest.mark.parametrize("photometric", ["cielab", "icclab"])
@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize("planarconfig", ["contig", "separate"])
def test_lab(tmp_path: Path, photometric: str, dtype: str, planarconfig: str):
    """CIELab's a* and b* are signed, ICCLab's have 128 in the middle (Adobe's TIFF Technical Notes)."""
    step = 1 if dtype == "u1" else 256
    white = {"u1": 255, "u2": 65280 if photometric == "icclab" else 65535}[dtype]
    chroma = np.rint((WHITE_TO_RED[:, 1:] + (128 if photometric == "icclab" else 0)) * step).astype(int) % (256 * step)
    levels = np.concatenate([np.rint(WHITE_TO_RED[:, :1] * white / 100).astype(int), chroma], axis=1)
    levels = np.stack([levels] * 2).astype(dtype)
    image = read(tmp_path, levels, photometric=photometric, planarconfig=planarconfig)
    # Half a step of 8-bit a* and b* moves the least channel of a saturated colour by up to ten levels.
    np.testing.assert_allclose(image.pixels, [RED_IN_SRGB] * 2, rtol=0, atol=10 * LEVEL if step == 1 else 0.004)
    assert image.notes == ("converted from L*a*b* to sRGB",)


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
@pytest.mark.parametrize("planarconfig", ["contig", "separate"])
@pytest.mark.parametrize("bands", [1, 3])
def test_premultiplied_alpha_is_not_straight(tmp_path: Path, dtype: str, planarconfig: str, bands: int):
    photometric = "rgb" if bands == 3 else "minisblack"
    colour, alpha = values(bands), np.linspace(0.1, 1, 9)[None, :, None] * np.ones((6, 1, 1))
    alpha[0] = 0
    wanted = np.broadcast_to(colour * alpha + 1 - alpha, (6, 9, 3))
    for meaning, stored in (("unassalpha", colour), ("assocalpha", colour * alpha)):
        levels = as_type(np.concatenate([stored, alpha], axis=2), dtype)
        options = {"photometric": photometric, "planarconfig": planarconfig, "extrasamples": [meaning]}
        image = read(tmp_path, levels, **options)
        np.testing.assert_allclose(image.pixels, wanted, rtol=0, atol=1.5 * LEVEL if dtype == "u1" else 2e-4)
        assert image.notes[-1] == "alpha composited on white"


def test_colour_brighter_than_its_alpha_is_noted(tmp_path: Path):
    levels = as_type(np.concatenate([np.full((2, 2, 3), 0.8), np.full((2, 2, 1), 0.5)], axis=2), "u2")
    image = read(tmp_path, levels, extrasamples=["assocalpha"])
    np.testing.assert_array_equal(image.pixels, 1)
    assert image.notes[0] == "colour brighter than its alpha, though marked as premultiplied: cut"


def test_an_image_of_nothing_but_transparency_is_refused(tmp_path: Path):
    levels = as_type(np.concatenate([values(3), np.zeros((6, 9, 1))], axis=2), "u1")
    with pytest.raises(JaxstyleError, match=r"a\.tif: is transparent everywhere"):
        read(tmp_path, levels, extrasamples=["unassalpha"])


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
@pytest.mark.parametrize("planarconfig", ["contig", "separate"])
@pytest.mark.parametrize(
    ("bands", "photometric"), [(1, "minisblack"), (3, "rgb"), (4, "separated")], ids=["grey", "RGB", "CMYK"]
)
def test_an_unspecified_band_is_left_out(tmp_path: Path, dtype: str, planarconfig: str, bands: int, photometric: str):
    options = {"photometric": photometric, "planarconfig": planarconfig}
    levels = as_type(values(bands + 1), dtype)
    image = read(tmp_path, levels, extrasamples=["unspecified"], **options)
    np.testing.assert_array_equal(image.pixels, read(tmp_path, levels[..., :bands], **options).pixels)
    assert LEFT_OUT in image.notes
    assert "alpha composited on white" not in image.notes


def test_alpha_is_found_behind_another_band(tmp_path: Path):
    levels = as_type(np.dstack([values(3), values(1, 2), np.full((6, 9), 0.25)]), "u2")
    image = read(tmp_path, levels, extrasamples=["unspecified", "unassalpha"])
    np.testing.assert_allclose(image.pixels, 0.25 * values(3) + 0.75, rtol=0, atol=1e-4)
    assert image.notes == (LEFT_OUT, "alpha composited on white")


@pytest.mark.parametrize("compression", [1, 5])
def test_a_band_without_a_meaning_is_left_out(tmp_path: Path, compression: int):
    """Four bands of RGB and no ExtraSamples, by tifffile or by Pillow."""
    levels = as_type(values(4), "u1")
    tags = {256: 9, 257: 6, 258: struct.pack("<4H", *[8] * 4), 259: compression, 262: 2, 277: 4, 278: 6}
    pixels = levels.tobytes() if compression == 1 else lzw(levels.tobytes())
    (tmp_path / "a.tif").write_bytes(tiff(tags, pixels).replace(struct.pack("<HH", 258, 7), struct.pack("<HH", 258, 3)))
    data = bytearray((tmp_path / "a.tif").read_bytes())
    place = data.index(struct.pack("<HHI", 258, 3, 8))
    data[place + 4 : place + 8] = struct.pack("<I", 4)
    (tmp_path / "a.tif").write_bytes(data)
    image = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.pixels, levels[..., :3] / np.float32(255))
    assert image.notes == (LEFT_OUT,)


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
@pytest.mark.parametrize("planarconfig", ["contig", "separate"])
@pytest.mark.parametrize("with_alpha", [False, True])
def test_cmyk_is_ink(tmp_path: Path, dtype: str, planarconfig: str, with_alpha: bool):
    inks = values(4)
    wanted = (1 - inks[..., :3]) * (1 - inks[..., 3:])
    options: dict[str, Any] = {"photometric": "separated", "planarconfig": planarconfig}
    if with_alpha:
        inks, wanted = np.dstack([inks, np.full((6, 9), 0.5)]), 0.5 * wanted + 0.5
        options["extrasamples"] = ["unassalpha"]
    image = read(tmp_path, as_type(inks, dtype), **options)
    np.testing.assert_allclose(image.pixels, wanted, rtol=0, atol=1.5 * LEVEL if dtype == "u1" else 1e-4)
    assert "converted from CMYK without a profile" in image.notes


def test_the_range_of_the_dots(tmp_path: Path):
    """DotRange: which levels are no ink and all ink."""
    levels = np.full((2, 2, 4), 0, np.uint8) + np.array([16, 128, 235, 0], np.uint8)
    image = read(tmp_path, levels, photometric="separated", extratags=[(336, "B", 2, (16, 235), True)])
    np.testing.assert_allclose(image.pixels[0, 0], [1, 1 - 112 / 219, 0], atol=1e-6)


@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_the_profile_of_one_band_after_the_other(tmp_path: Path, dtype: str):
    profile = rgb_profile("Adobe-like", ADOBE_COLORANTS, gamma_curve(2.2))
    image = read(tmp_path, as_type(values(3), dtype), planarconfig="separate", iccprofile=profile)
    levels = as_type(values(3), dtype) / np.iinfo(dtype).max
    np.testing.assert_allclose(image.pixels, in_srgb(levels**2.19921875, ADOBE_COLORANTS), rtol=0, atol=2e-3)
    assert image.notes == ("converted from RGB with ICC profile 'Adobe-like' to sRGB",)


def chromaticities(*numbers: float) -> list[tuple]:
    """WhitePoint and PrimaryChromaticities as tags."""
    parts = [part for number in numbers for part in (round(10_000 * number), 10_000)]
    return [(318, "2I", 2, tuple(parts[:4]), True), (319, "2I", 6, tuple(parts[4:]), True)]


def test_tiffs_own_chromaticities(tmp_path: Path):
    """ImageMagick writes sRGB's into every file; others are converted."""
    srgb = chromaticities(0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
    image = read(tmp_path, as_type(values(3), "u2"), extratags=srgb)
    np.testing.assert_allclose(image.pixels, values(3), rtol=0, atol=1e-4)
    assert image.notes == ()
    wide = chromaticities(0.3127, 0.3290, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)
    image = read(tmp_path, as_type(values(3), "u2"), extratags=wide)
    np.testing.assert_allclose(image.pixels, encode(decode(values(3)) @ P3_TO_SRGB.T), rtol=0, atol=1e-3)
    assert image.notes == ("converted from TIFF's PrimaryChromaticities to sRGB",)
    no_white = [(318, "2I", 2, (0, 0, 0, 0), True), *wide[1:]]
    image = read(tmp_path, as_type(values(3), "u2"), extratags=no_white)
    assert image.notes == ("converted from TIFF's PrimaryChromaticities to sRGB",)


def test_floating_point_with_a_profile(tmp_path: Path):
    image = read(tmp_path, values(3).astype("f4"), iccprofile=rgb_profile("x", SRGB_COLORANTS, gamma_curve(1)))
    np.testing.assert_allclose(image.pixels, encode(values(3)), rtol=0, atol=2e-3)


@pytest.mark.parametrize(("dtype", "white"), [("i1", 127), ("i2", 32767), ("i4", 65535)])
def test_signed_numbers(tmp_path: Path, dtype: str, white: int):
    levels = np.rint(values(3) * white).astype(dtype)
    image = read(tmp_path, levels)
    np.testing.assert_allclose(image.pixels, levels / white, rtol=0, atol=1e-6)
    assert image.notes == (f"signed whole numbers taken as 0 to {white}",)
    levels[2, 3] = -5
    with pytest.raises(JaxstyleError, match=r"a\.tif: this TIFF holds signed whole numbers from -5"):
        read(tmp_path, levels)


@pytest.mark.parametrize("dtype", ["u4", "u8"])
def test_white_of_long_whole_numbers(tmp_path: Path, dtype: str):
    levels = (values(1) * np.iinfo(dtype).max).astype(dtype)
    image = read(tmp_path, levels, photometric="minisblack")
    np.testing.assert_allclose(image.pixels[..., :1], values(1), rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", ["f2", "f8"])
def test_other_floating_point(tmp_path: Path, dtype: str):
    np.testing.assert_allclose(read(tmp_path, values(3).astype(dtype)).pixels, values(3), rtol=0, atol=1e-3)


@pytest.mark.parametrize("shift", [0, 8])
@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_palettes(tmp_path: Path, shift: int, dtype: str):
    """Colours of 16 bits, or of 8 in the upper half of them, as Pillow writes."""
    colours = np.random.default_rng(0).integers(0, 65536 >> shift, (3, 2 ** (8 * np.dtype(dtype).itemsize)))
    index = np.random.default_rng(1).integers(0, colours.shape[1], (6, 9, 1)).astype(dtype)
    image = read(tmp_path, index, photometric="palette", colormap=(colours << shift).astype(np.uint16))
    wanted = np.moveaxis(colours[:, index[..., 0]], 0, -1) / (65535 >> shift)
    np.testing.assert_allclose(image.pixels, wanted, rtol=0, atol=1e-6)


def ycbcr_of(rgb: np.ndarray) -> np.ndarray:
    """TIFF 6.0, Section 21, with Rec. 601's coefficients."""
    y = rgb @ [0.299, 0.587, 0.114]
    cb, cr = (rgb[..., 2] - y) / 1.772, (rgb[..., 0] - y) / 1.402
    return np.rint(np.stack([255 * y, 255 * cb + 128, 255 * cr + 128], axis=-1)).astype(np.uint8)


@pytest.mark.parametrize("planarconfig", ["contig", "separate"])
def test_ycbcr(tmp_path: Path, planarconfig: str):
    rgb = 0.1 + 0.8 * values(3)
    image = read(tmp_path, ycbcr_of(rgb), photometric="ycbcr", planarconfig=planarconfig)
    np.testing.assert_allclose(image.pixels, rgb, rtol=0, atol=2.5 * LEVEL)  # three roundings, times up to 1.8


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_jpeg_in_tiff(tmp_path: Path, mode: str):
    flat = Image.new("RGB", (32, 16), (200, 120, 40)).convert(mode)
    flat.save(tmp_path / "a.tif", compression="jpeg", quality=100)
    wanted = np.asarray(flat.convert("RGB"), np.float32) / 255
    np.testing.assert_allclose(read_image(tmp_path / "a.tif").pixels, wanted, rtol=0, atol=3 * LEVEL)


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "tiff_adobe_deflate"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "CMYK", "P", "I;16"])
def test_what_pillow_compresses(tmp_path: Path, compression: str, mode: str):
    rgb = Image.fromarray(as_type(values(3), "u1"))
    if mode == "I;16":
        image = Image.fromarray(as_type(values(1), "u2")[..., 0])
        wanted = np.broadcast_to(np.asarray(image)[..., None] / 65535, (6, 9, 3))
    else:
        image = rgb.convert(mode)
        wanted = np.asarray(image.convert("RGB")) / 255
    image.save(tmp_path / "a.tif", compression=compression)
    np.testing.assert_allclose(read_image(tmp_path / "a.tif").pixels, wanted, rtol=0, atol=1.01 * LEVEL)


# Refusals


@pytest.mark.parametrize(
    ("options", "dtype", "bands", "reason"),
    [
        ({"photometric": "cielab"}, "f4", 3, "holds CIELAB as float32"),
        ({"photometric": "ycbcr"}, "u2", 3, "holds YCBCR in 16 bits"),
        ({"photometric": "cfa"}, "u2", 1, "holds CFA, which is not read"),
        ({"photometric": "minisblack"}, "c8", 1, "holds complex64"),
        ({"photometric": "minisblack"}, "i8", 1, "holds int64"),
        (
            {"photometric": "separated", "extratags": [(332, "H", 1, 2, True)]},
            "u1",
            4,
            "holds inks that are not CMYK",
        ),
        ({"photometric": "separated", "extrasamples": ["assocalpha"]}, "u1", 5, "is premultiplied by alpha"),
        ({"photometric": "miniswhite", "extrasamples": ["assocalpha"]}, "u1", 2, "is premultiplied by alpha"),
        ({"extratags": [(50706, "B", 4, (1, 4, 0, 0), True)]}, "u1", 3, r"is a camera's raw file \(DNG\); develop it"),
    ],
)
def test_what_is_not_read_is_refused_by_name(tmp_path: Path, options: dict, dtype: str, bands: int, reason: str):
    levels = (np.ones((6, 7, bands)) * 0.5).astype(dtype)
    with pytest.raises(JaxstyleError, match=rf"a\.tif: this TIFF {reason}"):
        read(tmp_path, levels, **options)


def test_too_few_bands(tmp_path: Path):
    tifffile.imwrite(tmp_path / "a.tif", as_type(values(3), "u1"), photometric="rgb")
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as file:
        file.pages.first.tags["PhotometricInterpretation"].overwrite(5)
    with pytest.raises(JaxstyleError, match=r"this TIFF has 3 bands where CMYK has 4"):
        read_image(tmp_path / "a.tif")


def test_a_thumbnail_is_not_the_image(tmp_path: Path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(as_type(values(3), "u1"), photometric="rgb", subfiletype=1)
        file.write(np.zeros((60, 90, 3), np.uint8), photometric="rgb")
    with pytest.raises(JaxstyleError, match="begins with a thumbnail of the image; save the image as PNG"):
        read_image(tmp_path / "a.tif")


@pytest.mark.skipif(HAS_IMAGECODECS, reason="imagecodecs decodes it")
@pytest.mark.parametrize(
    ("bits", "planar", "predictor", "said"),
    [(16, 2, 1, "LZW, 16 bits, one band after the other"), (32, 1, 3, "LZW, 32 bits, predictor 3")],
)
def test_what_needs_imagecodecs_says_so(tmp_path: Path, bits: int, planar: int, predictor: int, said: str):
    levels = as_type(values(1), "u2" if bits == 16 else "f4")
    tags = {256: 9, 257: 6, 258: bits, 259: 5, 262: 1, 277: 1, 278: 6, 284: planar, 317: predictor}
    tags |= {339: 1 if bits == 16 else 3}
    (tmp_path / "a.tif").write_bytes(tiff(tags, lzw(levels.tobytes())))
    with pytest.raises(JaxstyleError) as refusal:
        read_image(tmp_path / "a.tif")
    assert f"this TIFF ({said}) needs the package imagecodecs: pip install 'jaxstyle[tiff]'" in str(refusal.value)
    assert "damaged" not in str(refusal.value)


def test_a_strip_that_is_missing_is_damage(tmp_path: Path):
    tifffile.imwrite(
        tmp_path / "a.tif", as_type(values(3), "u2"), photometric="rgb", rowsperstrip=2, compression="zlib"
    )
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as file:
        tag = file.pages.first.tags["StripByteCounts"]
        tag.overwrite([0, *tag.value[1:]])
    with pytest.raises(JaxstyleError, match="truncated or damaged"):
        read_image(tmp_path / "a.tif")


# Whatever is written


class Case(NamedTuple):
    photometric: str
    dtype: str
    extra: tuple[str, ...]
    planarconfig: str
    compression: str | None
    layout: dict[str, Any]
    size: tuple[int, int]
    seed: int


BANDS = {"minisblack": 1, "miniswhite": 1, "rgb": 3, "palette": 1, "separated": 4, "cielab": 3, "icclab": 3, "ycbcr": 3}

CASES = st.builds(
    Case,
    photometric=st.sampled_from([*BANDS]),
    dtype=st.sampled_from(["u1", "u2", "u4", "i1", "i2", "f2", "f4", "f8"]),
    extra=st.lists(st.sampled_from(["unspecified", "assocalpha", "unassalpha"]), max_size=2).map(tuple),
    planarconfig=st.sampled_from(["contig", "separate"]),
    compression=st.sampled_from([None, "zlib", "lzma", "lzw"]),
    layout=st.fixed_dictionaries(
        {"byteorder": st.sampled_from("<>"), "bigtiff": st.booleans()},
        optional={"rowsperstrip": st.integers(1, 9), "tile": st.sampled_from([(16, 16), (32, 16)])},
    ),
    size=st.tuples(st.integers(2, 21), st.integers(2, 21)),
    seed=st.integers(0, 5),
)


def refused(case: Case) -> bool:
    """What is not read, whatever it holds."""
    is_lab = case.photometric in ("cielab", "icclab")
    associated = next((meaning for meaning in case.extra if meaning != "unspecified"), "") == "assocalpha"
    return (
        (is_lab and case.dtype not in ("u1", "u2"))
        or (case.photometric == "ycbcr" and case.dtype != "u1")
        or (associated and case.photometric not in ("minisblack", "rgb"))
    )


def not_pillows(case: Case) -> bool:
    """What Pillow has no mode for, even without further bands; and big-endian BigTIFF, which it does not open."""
    has_no_mode = case.photometric == "icclab" or (case.dtype == "u2" and case.photometric in ("miniswhite", "cielab"))
    return has_no_mode or (case.layout.get("bigtiff", False) and case.layout["byteorder"] == ">")


def drawn(case: Case) -> tuple[np.ndarray, np.ndarray | None]:
    """Samples, and the palette of those that are indices."""
    generator = np.random.default_rng(case.seed)
    parts = generator.random((*case.size, BANDS[case.photometric] + len(case.extra)))
    if "assocalpha" in case.extra and not refused(case):
        place = BANDS[case.photometric] + next(at for at, it in enumerate(case.extra) if it != "unspecified")
        parts[..., : BANDS[case.photometric]] *= parts[..., place : place + 1]
    palette = None
    levels = as_type(parts, case.dtype)
    if case.photometric == "palette":
        palette = generator.integers(0, 65536, (3, 256)).astype(np.uint16)
    return levels, palette


def meant(case: Case, levels: np.ndarray, palette: np.ndarray | None) -> np.ndarray:
    """What the samples mean, in float64, by TIFF 6.0."""
    bands = BANDS[case.photometric]
    stored, white = (
        levels[..., :bands].astype(np.float64),
        float(np.iinfo(levels.dtype).max) if levels.dtype.kind != "f" else 1,
    )
    parts = stored / white
    alpha = next((at for at, meaning in enumerate(case.extra) if meaning != "unspecified"), None)
    opacity = 1.0 if alpha is None else levels[..., bands + alpha, None].astype(np.float64) / white
    if alpha is not None and case.extra[alpha] == "assocalpha":
        parts = np.divide(parts, opacity, out=np.zeros_like(parts), where=opacity > 0).clip(0, 1)
    if case.photometric == "miniswhite":
        parts = 1 - parts
    elif case.photometric == "palette":
        parts = np.moveaxis(palette[:, levels[..., 0]], 0, -1) / 65535  # pyright: ignore[reportOptionalSubscript]
    elif case.photometric == "separated":
        parts = (1 - parts[..., :3]) * (1 - parts[..., 3:])
    elif case.photometric == "ycbcr":
        y, cb, cr = np.moveaxis((stored - [0, 128, 128]) / 255, -1, 0)
        parts = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], axis=-1).clip(0, 1)
    elif case.photometric in ("cielab", "icclab"):
        step = 1 if levels.dtype.itemsize == 1 else 256
        lightness = stored[..., 0] / (65280 if step == 256 and case.photometric == "icclab" else white) * 100
        chroma = stored[..., 1:] / step
        chroma = chroma - 128 if case.photometric == "icclab" else (chroma + 128) % 256 - 128
        y = (lightness + 16) / 116
        f = np.stack([y + chroma[..., 0] / 500, y, y - chroma[..., 1] / 200], axis=-1)
        xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * [0.9642, 1, 0.8249]
        parts = encode(xyz @ np.linalg.inv(SRGB_COLORANTS).T)
    return np.broadcast_to(parts * opacity + 1 - opacity, (*levels.shape[:2], 3))


def write(path: Path, case: Case, levels: np.ndarray, palette: np.ndarray | None) -> None:
    bands = levels.shape[2]
    laid = np.moveaxis(levels, -1, 0) if case.planarconfig == "separate" else levels
    options: dict[str, Any] = {"photometric": case.photometric, "metadata": None, **case.layout}
    if bands > 1:
        options["planarconfig"] = case.planarconfig
    if case.extra:
        options["extrasamples"] = list(case.extra)
    if palette is not None:  # tifffile writes none beside other bands
        options |= {
            "photometric": "minisblack",
            "extratags": [(320, "H", palette.size, palette.ravel().tolist(), True)],
        }
    if case.compression == "lzw":
        options = {key: value for key, value in options.items() if key not in ("tile", "rowsperstrip")}
    else:
        options["compression"] = case.compression
    tifffile.imwrite(path, laid if bands > 1 else levels[..., 0], **options)
    with tifffile.TiffFile(path, mode="r+") as file:
        page = file.pages.first
        if palette is not None:
            page.tags["PhotometricInterpretation"].overwrite(3)
        if case.compression == "lzw":
            strips = [
                file.filehandle.read_array("u1", count=int(size), offset=int(at)).tobytes()
                for at, size in zip(page.dataoffsets, page.databytecounts, strict=True)
            ]
            places, encoded = [], [lzw(b"".join(strips))] if case.planarconfig == "contig" else [*map(lzw, strips)]
            file.filehandle.seek(0, 2)
            for strip in encoded:
                places.append(file.filehandle.tell())
                file.filehandle.write(strip + bytes(len(strip) % 2))
            page.tags["Compression"].overwrite(5)
            page.tags["StripOffsets"].overwrite(places)
            page.tags["StripByteCounts"].overwrite([*map(len, encoded)])


def check(path: Path, case: Case) -> bool:
    """Whether what was meant was read, or it was refused as it should be."""
    if case.photometric == "palette":
        case = case._replace(dtype="u1")
    levels, palette = drawn(case)
    write(path, case, levels, palette)
    try:
        image = read_image(path)
    except JaxstyleError as error:
        refusal = str(error)
    else:
        refusal = ""
    if refused(case):
        assert "this TIFF" in refusal
        return False
    if refusal:  # Pillow decodes a part of what tifffile leaves to imagecodecs
        assert case.compression == "lzw"
        assert "needs the package imagecodecs" in refusal
        assert not HAS_IMAGECODECS
        assert case.dtype not in ("u1", "u2") or case.extra or case.planarconfig == "separate" or not_pillows(case)
        return False
    # Alpha of 8 bits multiplies rounding; Lab's matrices have seven digits, and float16 three.
    atol = {"f2": 2e-3}.get(case.dtype, 2e-4) if case.dtype not in ("u1", "i1") else 1e-3
    if case.photometric in ("cielab", "icclab"):
        atol = 3e-3
    if case.compression == "lzw" and not HAS_IMAGECODECS and case.dtype == "u1":
        atol = 1.5 * LEVEL  # Pillow divides by alpha, and holds palettes, with 8 bits
    np.testing.assert_allclose(image.pixels, meant(case, levels, palette), rtol=0, atol=atol)
    return True


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=CASES)
def test_what_is_written_is_read_or_refused_by_name(tmp_path: Path, case: Case):
    check(tmp_path / "a.tif", case)


@pytest.mark.parametrize("byteorder", "<>")
def test_bigtiff_in_either_order(tmp_path: Path, byteorder: str):
    layout = {"byteorder": byteorder, "bigtiff": True}
    plain, packed = (Case("minisblack", "u1", (), "contig", how, layout, (5, 7), 0) for how in (None, "lzw"))
    assert check(tmp_path / "a.tif", plain)
    assert check(tmp_path / "a.tif", packed) == (byteorder == "<" or HAS_IMAGECODECS)


@pytest.mark.parametrize("photometric", BANDS)
def test_what_tifffile_leaves_to_imagecodecs(tmp_path: Path, photometric: str):
    """Pillow decodes a part of it; all of that means the same."""
    kinds = itertools.product(
        ["u1", "u2"], [(), ("unspecified",), ("unassalpha",), ("assocalpha",)], ["contig", "separate"]
    )
    cases = [Case(photometric, *kind, "lzw", {"byteorder": "<>"[at % 2]}, (5, 7), 0) for at, kind in enumerate(kinds)]
    done = [check(tmp_path / "a.tif", case) for case in cases]
    assert any(done) or photometric == "icclab"
