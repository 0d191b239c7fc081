"""What the numbers in a file say of its colours decides, and the best of several tags wins."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from image_files import (
    ADOBE_COLORANTS,
    BT2020_TO_SRGB,
    LINEAR,
    P3_COLORANTS,
    P3_TO_SRGB,
    SRGB_COLORANTS,
    SRGB_CURVE,
    box,
    cmyk_profile,
    decode,
    encode,
    gamma_curve,
    grey_profile,
    in_srgb,
    parametric_curve,
    png_chromaticities,
    png_chunk,
    png_gamma,
    png_profile,
    profile,
    raw_png,
    rgb_profile,
    table_curve,
)
from PIL import ExifTags, Image, ImageCms

from jaxstyle.errors import JaxstyleError
from jaxstyle.images import LoadedImage, colour, icc, read_image

DATA = Path(__file__).parent / "data"
LEVEL = 1 / 255
EXACT = 2e-4  # of profiles' numbers with 16 bits, and published matrices with four digits


def colours(levels: int = 256) -> np.ndarray:
    """Greys and colours `[8, 12, 3]`, whole levels."""
    samples = np.random.default_rng(5).integers(0, levels, (8, 12, 3))
    samples[0] = np.linspace(0, levels - 1, 12).astype(int)[:, None]
    return samples


def png(tmp_path: Path, extra: bytes, samples: np.ndarray | None = None, *, bits: int = 8) -> LoadedImage:
    samples = colours() if samples is None else samples
    (tmp_path / "a.png").write_bytes(raw_png(samples, {1: 0, 2: 4, 3: 2, 4: 6}[samples.shape[2]], extra, bits=bits))
    return read_image(tmp_path / "a.png")


# ICC profiles


def test_what_a_profile_is_called_decides_nothing():
    """Four files of the same bytes; profiles as phones and GIMP write them, with "sRGB" in their names."""
    levels = np.asarray(Image.open(DATA / "sRGB_IEC61966-2.1.png")) / 255
    plain, named_srgb, display_p3, linear = (
        read_image(DATA / f"{name}.png")
        for name in (
            "sRGB_IEC61966-2.1",
            "DCI-P3_D65_Gamut_with_sRGB_Transfer",
            "Display_P3",
            "GIMP_built-in_Linear_sRGB",
        )
    )
    np.testing.assert_array_equal(plain.pixels, levels.astype(np.float32))
    assert plain.notes == ()
    wide = encode(decode(levels) @ P3_TO_SRGB.T)
    assert np.abs(wide - levels).max() > 0.05
    for image in (named_srgb, display_p3):
        np.testing.assert_allclose(image.pixels, wide, rtol=0, atol=LEVEL / 2)
        assert image.notes[0].startswith("converted from RGB with ICC profile '")
    np.testing.assert_allclose(linear.pixels, encode(levels), rtol=0, atol=LEVEL / 4)


CURVES = {
    "gamma 2.2": (gamma_curve(2.2), lambda x: x ** (round(256 * 2.2) / 256)),
    "linear": (LINEAR, lambda x: x),
    "table": (table_curve(np.linspace(0, 1, 1024) ** 1.8), lambda x: x**1.8),
    "parametric 0": (parametric_curve(0, 1.8), lambda x: x**1.8),
    "parametric 1": (parametric_curve(1, 2, 1.25, -0.25), lambda x: np.where(x >= 0.2, (1.25 * x - 0.25) ** 2, 0)),
    "parametric 2": (
        parametric_curve(2, 2, 1, -0.1, 0.19),
        lambda x: np.where(x >= 0.1, (x - 0.1) ** 2, 0) + 0.19,
    ),
    "parametric 3": (parametric_curve(*SRGB_CURVE), decode),
    "parametric 4": (
        parametric_curve(4, 2, 0.9, 0, 0.5, 0.2, 0.19, 0.05),
        lambda x: np.where(x >= 0.2, (0.9 * x) ** 2 + 0.19, 0.5 * x + 0.05),
    ),
}


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("bits", [8, 16])
def test_a_matrix_and_curves_are_computed_as_the_profile_says(tmp_path: Path, curve: str, bits: int):
    samples = colours(2**bits)
    image = png(tmp_path, png_profile(rgb_profile("sRGB", ADOBE_COLORANTS, CURVES[curve][0])), samples, bits=bits)
    wanted = in_srgb(CURVES[curve][1](samples / (2**bits - 1)), ADOBE_COLORANTS)
    # Curves that rise steeply from black multiply the rounding of the profile's numbers.
    np.testing.assert_allclose(image.pixels, wanted, rtol=0, atol=10 * EXACT)
    assert np.mean(np.abs(image.pixels - wanted)) < EXACT
    assert image.notes == ("converted from RGB with ICC profile 'sRGB' to sRGB",)


@pytest.mark.parametrize("colorants", [SRGB_COLORANTS, ADOBE_COLORANTS, P3_COLORANTS])
@pytest.mark.parametrize("gamma", [1.0, 1.8, 2.2])
def test_littlecms_gives_the_same_to_a_level(colorants: np.ndarray, gamma: float):
    data = rgb_profile("any", colorants, gamma_curve(gamma))
    levels = colours().astype(np.uint8)
    source, target = ImageCms.ImageCmsProfile(io.BytesIO(data)), ImageCms.createProfile("sRGB")
    theirs = np.asarray(ImageCms.profileToProfile(Image.fromarray(levels), source, target)) / 255
    ours = icc.read_profile(data, "RGB")
    assert ours is not None
    assert ours.convert is not None
    np.testing.assert_allclose(ours.convert((levels / 255).astype(np.float32)), theirs, rtol=0, atol=1.01 * LEVEL)


@pytest.mark.parametrize("curve", [parametric_curve(*SRGB_CURVE), table_curve(decode(np.linspace(0, 1, 1024)))])
@pytest.mark.parametrize("bits", [8, 16])
def test_srgb_under_any_name_stays_what_it_is(tmp_path: Path, curve: bytes, bits: int):
    samples = colours(2**bits)
    image = png(tmp_path, png_profile(rgb_profile("Monitor 7", SRGB_COLORANTS, curve)), samples, bits=bits)
    np.testing.assert_array_equal(image.pixels, (samples.astype(np.float32) / np.float32(2**bits - 1)))
    assert image.notes == ()


def test_littlecms_own_srgb_stays_what_it_is(tmp_path: Path):
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = png(tmp_path, png_profile(data))
    np.testing.assert_array_equal(image.pixels, colours().astype(np.float32) / np.float32(255))
    assert image.notes == ()


@pytest.mark.parametrize("connection", [b"XYZ ", b"Lab "])
@pytest.mark.parametrize("bits", [8, 16])
def test_a_grey_profile(tmp_path: Path, connection: bytes, bits: int):
    samples = colours(2**bits)[..., :1]
    data = grey_profile("sRGB grey", gamma_curve(1.0 if connection == b"Lab " else 1.75), connection)
    image = png(tmp_path, png_profile(data), samples, bits=bits)
    values = samples / (2**bits - 1)
    f = (100 * values + 16) / 116  # with L*a*b* as the connection space the curve gives L*
    light = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) if connection == b"Lab " else values**1.75
    np.testing.assert_allclose(image.pixels, np.broadcast_to(encode(light), (8, 12, 3)), rtol=0, atol=EXACT)
    assert image.notes == ("converted from grey with ICC profile 'sRGB grey' to sRGB",)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "AVIF", "TIFF", "PNG", "JPEG2000"])
def test_every_format_that_holds_profiles_is_converted(tmp_path: Path, kind: str):
    data = rgb_profile("odd sRGB", P3_COLORANTS, LINEAR)
    flat = np.full((16, 16, 3), (200, 120, 40), np.uint8)
    stream = io.BytesIO()
    options = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}, "AVIF": {"quality": 100}}
    Image.fromarray(flat).save(stream, kind, icc_profile=data, **options.get(kind, {}))
    content = stream.getvalue()
    if kind == "JPEG2000":  # Pillow writes none
        plain = box(b"colr", b"\1\0\0", struct.pack(">I", 16))
        header = content.index(b"jp2h") - 4
        (size,) = struct.unpack_from(">I", content, header)
        inside = content[header + 8 : header + size].replace(plain, box(b"colr", b"\2\0\0", data))
        assert len(inside) > size
        content = content[:header] + box(b"jp2h", inside) + content[header + size :]
    (tmp_path / "a").write_bytes(content)
    image = read_image(tmp_path / "a")
    wanted = in_srgb(flat / 255, P3_COLORANTS)
    np.testing.assert_allclose(image.pixels, wanted, rtol=0, atol=3 * LEVEL)  # what the lossy ones lose
    assert image.notes == ("converted from RGB with ICC profile 'odd sRGB' to sRGB",)


def test_a_profile_in_a_bitmap(tmp_path: Path):
    data = rgb_profile("odd", P3_COLORANTS, LINEAR)
    flat = np.full((4, 4, 3), (200, 120, 40), np.uint8)
    header = struct.pack("<I2i2H6I", 124, 4, 4, 1, 24, 0, 48, 0, 0, 0, 0) + bytes(16) + b"DEBM"
    header = (header + bytes(36 + 12 + 4) + struct.pack("<2I", 124 + 48, len(data))).ljust(124, b"\0")
    body = header + flat[..., ::-1].tobytes() + data
    (tmp_path / "a.bmp").write_bytes(b"BM" + struct.pack("<3I", 14 + len(body), 0, 14 + 124) + body)
    np.testing.assert_allclose(
        read_image(tmp_path / "a.bmp").pixels, in_srgb(flat / 255, P3_COLORANTS), rtol=0, atol=EXACT
    )


@pytest.mark.parametrize("wide", [False, True])
def test_cmyk_by_the_tables_of_a_profile(tmp_path: Path, wide: bool):
    """At the tables' own points, which interpolation leaves alone: every combination of four inks, in L*a*b*."""
    inks = np.stack(np.meshgrid(*[[0, 1]] * 4, indexing="ij"), axis=-1)
    lab = [100, 0, 0] - inks @ np.array([[25, 15, 15], [30, -25, 5], [5, 2, -30], [40, 0, 0]])
    lab[..., 1:] *= 1 - inks[..., 3:]
    swatches = (inks.reshape(4, 4, 4) * (65535 if wide else 255)).astype(np.uint16 if wide else np.uint8)
    press = cmyk_profile("sRGB of a press", lab)
    tifffile.imwrite(tmp_path / "a.tif", swatches, photometric="separated", iccprofile=press)
    image = read_image(tmp_path / "a.tif")
    y = (lab[..., 0] + 16) / 116
    f = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], axis=-1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * [0.9642, 1, 0.8249]
    wanted = encode(xyz @ np.linalg.inv(SRGB_COLORANTS).T).reshape(4, 4, 3)
    np.testing.assert_allclose(image.pixels, wanted, rtol=0, atol=3 * LEVEL)  # L*, a*, b* of 8 bits
    assert image.notes[-1] == "converted from CMYK with ICC profile 'sRGB of a press' to sRGB"
    assert ("read with 8 of its 16 bits a channel" in image.notes) == wide


@pytest.mark.parametrize(
    ("data", "note"),
    [
        (b"nonsense" * 40, "broken ICC profile ignored"),
        (rgb_profile("cut", P3_COLORANTS, LINEAR)[:300], "broken ICC profile ignored"),
        (rgb_profile("odd", P3_COLORANTS, b"curv\0\0\0\0\0\0\xff\xff"), "broken ICC profile ignored"),
        (grey_profile("other", LINEAR), "ICC profile 'other' does not fit RGB and was ignored"),
        (profile("empty", b"RGB ", {}), "ICC profile 'empty' does not fit RGB and was ignored"),
    ],
)
def test_a_profile_of_no_use_is_noted_and_the_next_tag_taken(tmp_path: Path, data: bytes, note: str):
    image = png(tmp_path, png_profile(data))
    np.testing.assert_array_equal(image.pixels, colours().astype(np.float32) / np.float32(255))
    assert image.notes == (note,)
    image = png(tmp_path, png_profile(data) + png_gamma(1.0))
    np.testing.assert_allclose(image.pixels, encode(colours() / 255), rtol=0, atol=1e-5)
    assert image.notes == (note, "converted from PNG's gAMA 1 to sRGB")


def test_a_profile_for_other_bands_is_noted(tmp_path: Path):
    image = png(tmp_path, png_profile(rgb_profile("odd", P3_COLORANTS, LINEAR)), colours()[..., :1])
    assert image.notes == ("ICC profile 'odd' does not fit grey and was ignored",)


def test_transparency_is_no_light(tmp_path: Path):
    """Alpha is not put through the curve, and white is composited after it."""
    samples = np.dstack([colours(), np.full((8, 12), 102)])
    image = png(tmp_path, png_profile(rgb_profile("odd", SRGB_COLORANTS, LINEAR)), samples)
    wanted = 0.4 * encode(samples[..., :3] / 255) + 0.6
    np.testing.assert_allclose(image.pixels, wanted, rtol=0, atol=EXACT)


@pytest.mark.parametrize("bands", [1, 3])
def test_a_transparent_colour_of_16_bits_with_a_profile(tmp_path: Path, bands: int):
    samples = colours(65536)[..., :bands]
    key = samples[3, 4].astype(">u2").tobytes()
    data = rgb_profile("odd", SRGB_COLORANTS, LINEAR) if bands == 3 else grey_profile("odd", LINEAR)
    image = png(tmp_path, png_profile(data) + png_chunk(b"tRNS", key), samples, bits=16)
    wanted = np.broadcast_to(encode(samples / 65535), (8, 12, 3)).copy()
    wanted[3, 4] = 1
    np.testing.assert_allclose(image.pixels, wanted, rtol=0, atol=10 * EXACT)  # dark and linear: a steep curve


def test_a_large_image_is_converted_in_parts(monkeypatch: pytest.MonkeyPatch):
    values = np.random.default_rng(0).random((37, 11, 3), dtype=np.float32)
    whole = colour.by_rows(colour.encode, values)
    monkeypatch.setattr(colour, "PIXELS_AT_ONCE", 50)
    np.testing.assert_array_equal(colour.by_rows(colour.encode, values), whole)


# PNG's own tags

PNG_P3 = png_chunk(b"cICP", bytes([12, 13, 0, 1]))
SRGB_CHROMATICITIES = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
P3_CHROMATICITIES = (0.3127, 0.3290, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)


@pytest.mark.parametrize("bands", [1, 3])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("gamma", [1.0, 1 / 1.8, 1 / 2.6])
def test_gamma(tmp_path: Path, bands: int, bits: int, gamma: float):
    samples = colours(2**bits)[..., :bands]
    image = png(tmp_path, png_gamma(gamma), samples, bits=bits)
    wanted = encode((samples / (2**bits - 1)) ** (1 / round(gamma, 5)))
    np.testing.assert_allclose(image.pixels, np.broadcast_to(wanted, (8, 12, 3)), rtol=0, atol=1e-5)
    assert image.notes == (f"converted from PNG's gAMA {round(gamma, 5):g} to sRGB",)


def test_a_tenth_of_the_light(tmp_path: Path):
    image = png(tmp_path, png_gamma(1.0), np.full((2, 2, 3), 0.1 * 65535).astype(int), bits=16)
    np.testing.assert_allclose(image.pixels, 0.3492, atol=1e-4)


@pytest.mark.parametrize("extra", [png_gamma(0.45455), png_gamma(0.45455) + png_chromaticities(*SRGB_CHROMATICITIES)])
def test_the_gamma_that_stands_for_srgb_is_srgb(tmp_path: Path, extra: bytes):
    image = png(tmp_path, extra)
    np.testing.assert_array_equal(image.pixels, colours().astype(np.float32) / np.float32(255))
    assert image.notes == ()


def test_chromaticities(tmp_path: Path):
    image = png(tmp_path, png_gamma(0.45455) + png_chromaticities(*P3_CHROMATICITIES))
    np.testing.assert_allclose(image.pixels, encode(decode(colours() / 255) @ P3_TO_SRGB.T), rtol=0, atol=EXACT)
    assert image.notes == ("converted from PNG's cHRM to sRGB",)


def test_another_white_is_adapted(tmp_path: Path):
    """Chromaticities relative to D50: white stays white, as on any screen."""
    image = png(tmp_path, png_gamma(1.0) + png_chromaticities(0.3457, 0.3585, *P3_CHROMATICITIES[2:]))
    np.testing.assert_allclose(image.pixels[0], encode(colours()[0] / 255), rtol=0, atol=EXACT)


WINS = {
    "cICP before all": (PNG_P3 + png_profile(rgb_profile("x", ADOBE_COLORANTS, LINEAR)) + png_gamma(1.0), "P3"),
    "a profile before sRGB": (
        png_profile(rgb_profile("x", SRGB_COLORANTS, LINEAR)) + png_chunk(b"sRGB", b"\0"),
        "linear",
    ),
    "sRGB before gamma": (png_chunk(b"sRGB", b"\0") + png_gamma(1.0) + png_chromaticities(*P3_CHROMATICITIES), "sRGB"),
    "gamma alone": (png_gamma(1.0), "linear"),
    "an sRGB profile before gamma": (
        png_profile(rgb_profile("x", SRGB_COLORANTS, parametric_curve(*SRGB_CURVE))) + png_gamma(1.0),
        "sRGB",
    ),
    "cICP of sRGB before gamma": (png_chunk(b"cICP", bytes([1, 13, 0, 1])) + png_gamma(1.0), "sRGB"),
}


@pytest.mark.parametrize("case", WINS)
def test_which_of_pngs_tags_wins(tmp_path: Path, case: str):
    extra, winner = WINS[case]
    values = colours() / 255
    wanted = {"sRGB": values, "linear": encode(values), "P3": encode(decode(values) @ P3_TO_SRGB.T)}
    np.testing.assert_allclose(png(tmp_path, extra).pixels, wanted[winner], rtol=0, atol=10 * EXACT)


@pytest.mark.parametrize(
    ("extra", "note"),
    [
        (png_chunk(b"cICP", bytes([12, 99, 0, 1])), "PNG's cICP (12, 99, 0, 1) cannot be used"),
        (png_chunk(b"cICP", bytes([12, 13, 6, 1])), "PNG's cICP (12, 13, 6, 1) cannot be used"),
        (png_chunk(b"cICP", b"\x0c"), "PNG's cICP (12,) cannot be used"),
        (png_gamma(0), "PNG's gAMA of 0 ignored"),
        (png_chromaticities(*[0.3] * 8), "PNG's cHRM names no colours and was ignored"),
        (png_chromaticities(*[0.0] * 8), "PNG's cHRM names no colours and was ignored"),
        (png_gamma(1.0)[:-1] + b"x", "broken gAMA chunk ignored"),
        (png_chunk(b"iCCP", b"x\0\0nothing"), "broken ICC profile ignored"),
    ],
)
def test_tags_of_no_use_are_noted(tmp_path: Path, extra: bytes, note: str):
    image = png(tmp_path, extra)
    np.testing.assert_array_equal(image.pixels, colours().astype(np.float32) / np.float32(255))
    assert image.notes == (note,)


def test_narrow_range(tmp_path: Path):
    image = png(tmp_path, png_chunk(b"cICP", bytes([1, 13, 0, 0])))
    np.testing.assert_allclose(image.pixels, ((colours() - 16) / 219).clip(0, 1), rtol=0, atol=EXACT)


# Code points (ITU-T H.273): PNG's cICP, AVIF's nclx

GREY = np.linspace(0, 1, 65536)
TRANSFERS = {
    1: decode,
    2: decode,
    4: lambda x: x**2.2,
    5: lambda x: x**2.8,
    6: decode,
    8: lambda x: x,
    13: decode,
    17: lambda x: 52.37 / 48 * x**2.6,
}


@pytest.mark.parametrize("transfer", TRANSFERS)
def test_transfer_functions(tmp_path: Path, transfer: int):
    image = png(tmp_path, png_chunk(b"cICP", bytes([9, transfer, 0, 1])), colours(65536), bits=16)
    light = TRANSFERS[transfer](colours(65536) / 65535)
    np.testing.assert_allclose(image.pixels, encode(light @ BT2020_TO_SRGB.T), rtol=0, atol=2e-3)  # 4 digits
    assert image.notes == (f"converted from PNG's cICP (primaries 9, transfer {transfer}) to sRGB",)


@pytest.mark.parametrize(
    ("transfer", "signal", "light"),
    # BT.2408, Table 1: reference white, 203 cd/m², is 58 % of PQ's and 75 % of HLG's signal; BT.2100: 26 % and 38 % are
    # an 18 % card, 26 cd/m².
    [
        (16, 0.581, 1.0),
        (18, 0.75, 1.0),
        (16, 0.38, 26 / 203),
        (18, 0.38, 26 / 203),
        (16, 0.9, 1.0),
        (16, 0, 0),
        (18, 0, 0),
    ],
)
def test_hdr_is_brought_to_the_reference_white(tmp_path: Path, transfer: int, signal: float, light: float):
    samples = np.full((2, 2, 3), round(signal * 65535))
    image = png(tmp_path, png_chunk(b"cICP", bytes([9, transfer, 0, 1])), samples, bits=16)
    np.testing.assert_allclose(image.pixels, encode(np.array(light)), rtol=0, atol=0.02)  # signals of two digits
    assert image.notes[0].endswith("what is brighter than white cut")


@pytest.mark.parametrize("primaries", colour.PRIMARIES)
def test_white_is_white_in_every_gamut(tmp_path: Path, primaries: int):
    samples = np.broadcast_to(np.linspace(0, 65535, 12).astype(int)[None, :, None], (3, 12, 3))
    image = png(tmp_path, png_chunk(b"cICP", bytes([primaries, 13, 0, 1])), samples, bits=16)
    np.testing.assert_allclose(image.pixels, samples / 65535, rtol=0, atol=EXACT)


def avif(levels: np.ndarray, *, coded: tuple[int, int] | None = None, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(levels).save(stream, "AVIF", quality=100, subsampling="4:4:4", **options)
    data = stream.getvalue()
    if coded is None:
        return data
    place = data.index(b"nclx") + 4
    return data[:place] + struct.pack(">2H", *coded) + data[place + 4 :]


@pytest.mark.parametrize(
    ("coded", "wanted"),
    [
        ((1, 13), lambda x: x),
        ((12, 13), lambda x: encode(decode(x) @ P3_TO_SRGB.T)),
        ((1, 8), encode),
        ((9, 8), lambda x: encode(x @ BT2020_TO_SRGB.T)),
        ((2, 2), lambda x: x),
        ((1, 1), lambda x: x),
    ],
)
def test_avifs_code_points(tmp_path: Path, coded: tuple[int, int], wanted):
    flat = np.full((16, 16, 3), (180, 120, 60), np.uint8)
    (tmp_path / "a.avif").write_bytes(avif(flat, coded=coded))
    image = read_image(tmp_path / "a.avif")
    np.testing.assert_allclose(image.pixels, wanted(flat / 255), rtol=0, atol=3 * LEVEL)
    assert len(image.notes) == (coded not in ((1, 13), (2, 2), (1, 1)))


def test_avifs_code_points_that_cannot_be_used_are_noted(tmp_path: Path):
    (tmp_path / "a.avif").write_bytes(avif(np.full((16, 16, 3), 99, np.uint8), coded=(12, 11)))
    assert read_image(tmp_path / "a.avif").notes == ("AVIF's nclx (primaries 12, transfer 11) cannot be used",)


def test_avifs_profile_wins(tmp_path: Path):
    flat = np.full((16, 16, 3), (180, 120, 60), np.uint8)
    data = avif(flat, coded=(12, 13), icc_profile=rgb_profile("odd", SRGB_COLORANTS, LINEAR))
    (tmp_path / "a.avif").write_bytes(data)
    np.testing.assert_allclose(read_image(tmp_path / "a.avif").pixels, encode(flat / 255), rtol=0, atol=3 * LEVEL)


# EXIF


def photograph(colour_space: int, index: str | None = None) -> Image.Exif:
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ColorSpace] = colour_space
    if index:
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.IFD.Interop] = {1: index}
    return exif


ADOBE_BY_EXIF = in_srgb((np.array([200, 120, 40]) / 255) ** (563 / 256), ADOBE_COLORANTS)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
@pytest.mark.parametrize(
    ("said", "wanted", "note"),
    [
        ((1, "R98"), np.array([200, 120, 40]) / 255, None),
        ((0xFFFF, "R03"), ADOBE_BY_EXIF, "converted from EXIF's Adobe RGB to sRGB"),
        ((2, None), ADOBE_BY_EXIF, "converted from EXIF's Adobe RGB to sRGB"),
        (
            (0xFFFF, None),
            np.array([200, 120, 40]) / 255,
            "EXIF says that its colours are not sRGB, and not what they are",
        ),
    ],
)
def test_a_cameras_adobe_rgb(tmp_path: Path, kind: str, said: tuple, wanted: np.ndarray, note: str | None):
    flat = Image.new("RGB", (16, 16), (200, 120, 40))
    options = {"lossless": True} if kind == "WEBP" else {"quality": 100, "subsampling": 0}
    flat.save(tmp_path / "a", kind, exif=photograph(*said), **options)
    image = read_image(tmp_path / "a")
    np.testing.assert_allclose(image.pixels, np.broadcast_to(wanted, (16, 16, 3)), rtol=0, atol=2 * LEVEL)
    assert image.notes == ((note,) if note else ())


def test_a_profile_wins_over_exif(tmp_path: Path):
    data = rgb_profile("odd", SRGB_COLORANTS, LINEAR)
    flat = Image.new("RGB", (16, 16), (200, 120, 40))
    flat.save(tmp_path / "a.jpg", exif=photograph(0xFFFF, "R03"), icc_profile=data, quality=100, subsampling=0)
    image = read_image(tmp_path / "a.jpg")
    assert image.notes == ("converted from RGB with ICC profile 'odd' to sRGB",)
    np.testing.assert_allclose(image.pixels[0, 0], encode(np.array([200, 120, 40]) / 255), atol=2 * LEVEL)


# JPEG 2000


def test_jpeg_2000s_other_colours_are_refused_by_name(tmp_path: Path):
    stream = io.BytesIO()
    Image.new("RGB", (16, 16)).save(stream, "JPEG2000")
    plain = box(b"colr", b"\1\0\0", struct.pack(">I", 16))
    data = stream.getvalue().replace(plain, box(b"colr", b"\1\0\0", struct.pack(">I", 14)))
    (tmp_path / "a.jp2").write_bytes(data)
    with pytest.raises(JaxstyleError, match=r"a\.jp2: JPEG 2000's colour space 14 is not read"):
        read_image(tmp_path / "a.jp2")
