"""Pictures that others wrote: every kind is read for what it shows, and what is none is refused."""

import io
import os
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_files import png_chunk, raw_png
from pictures import noise
from PIL import ExifTags, Image, ImageOps

from jaxstyle.errors import JaxstyleError
from jaxstyle.images import (
    read_metadata,
    read_picture,
    reading,
)


def bytes_of(kind: str, mode: str = "RGB", **options: object) -> bytes:
    stream = io.BytesIO()
    image = Image.fromarray((noise() * 255).astype(np.uint8)).convert(mode)
    image.save(stream, kind, **options)
    return stream.getvalue()


def tiff_bytes(samples: np.ndarray, **options: object) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, samples, photometric="rgb", **options)
    return stream.getvalue()


def deep(channels: int) -> np.ndarray:
    return np.random.default_rng(channels).integers(0, 65536, (5, 7, channels), dtype=np.uint16)


# Reading what others write


def test_a_plain_picture(tmp_path: Path):
    levels = (noise() * 255).astype(np.uint8)
    Image.fromarray(levels).save(tmp_path / "a.png")
    picture = read_picture(str(tmp_path / "a.png"))
    np.testing.assert_array_equal(picture.pixels, levels / np.float32(255))
    assert picture.path == str(tmp_path / "a.png")
    assert len(picture.sha256) == 64
    assert picture.notes == ()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_exif_rotation(tmp_path: Path, orientation: int, kind: str):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    path = tmp_path / "a"
    path.write_bytes(bytes_of(kind, exif=exif))
    with Image.open(path) as image:
        upright = np.asarray(ImageOps.exif_transpose(image))
    picture = read_picture(path)
    np.testing.assert_array_equal(picture.pixels, upright / np.float32(255))
    assert picture.notes == (() if orientation == 1 else (f"rotated by EXIF orientation {orientation}",))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_alpha_on_white(tmp_path: Path, mode: str):
    levels = (noise() * 255).astype(np.uint8)
    image = Image.fromarray(levels).convert("L" if mode == "LA" else "RGB")
    if mode == "PA":
        image = image.quantize(16)
    alpha = np.linspace(0, 255, levels.shape[1]).astype(np.uint8) * np.ones((levels.shape[0], 1), np.uint8)
    colour = np.asarray(image.convert("RGB")) / 255
    image = image.convert(mode)
    image.putalpha(Image.fromarray(alpha))
    path = tmp_path / ("a.tif" if mode == "PA" else "a.png")
    image.save(path)
    picture = read_picture(path)
    expected = colour * alpha[..., None] / 255 + 1 - alpha[..., None] / 255
    np.testing.assert_allclose(picture.pixels, expected, rtol=0, atol=1e-6)  # a few float32 roundings
    assert picture.notes == ("alpha composited on white",)


def test_opaque_alpha_changes_nothing(tmp_path: Path):
    (tmp_path / "a.png").write_bytes(bytes_of("PNG", "RGBA"))
    assert read_picture(tmp_path / "a.png").notes == ()


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_palettes_transparent_entry_is_white(tmp_path: Path, kind: str):
    image = Image.new("P", (4, 2))
    image.putpalette([0, 0, 255, 255, 0, 0])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "a", kind, transparency=0)
    picture = read_picture(tmp_path / "a")
    np.testing.assert_array_equal(picture.pixels[0, :2], [[1, 1, 1], [1, 0, 0]])
    assert "alpha composited on white" in picture.notes


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_grey_palette_and_two_levels(tmp_path: Path, mode: str):
    (tmp_path / "a.png").write_bytes(bytes_of("PNG", mode))
    with Image.open(tmp_path / "a.png") as image:
        expected = np.asarray(image.convert("RGB")) / np.float32(255)
    picture = read_picture(tmp_path / "a.png")
    np.testing.assert_array_equal(picture.pixels, expected)
    assert picture.notes == ()


def test_cmyk_jpeg_is_not_negative(tmp_path: Path):
    Image.new("RGB", (16, 16), (255, 128, 0)).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    assert b"Adobe" in (tmp_path / "a.jpg").read_bytes()  # the kind that stores ink inverted
    picture = read_picture(tmp_path / "a.jpg")
    np.testing.assert_allclose(picture.pixels.mean((0, 1)), [1, 0.5, 0], atol=0.02)  # JPEG's own loss
    assert picture.notes == ("converted from CMYK without a profile",)


@pytest.mark.parametrize(("colour_type", "channels"), [(0, 1), (2, 3), (6, 4)])
def test_all_16_bits_of_a_png(tmp_path: Path, colour_type: int, channels: int):
    samples = deep(channels)
    (tmp_path / "a.png").write_bytes(raw_png(samples, colour_type))
    picture = read_picture(tmp_path / "a.png")
    values = samples / 65535
    if channels == 4:
        values = values[..., :3] * values[..., 3:] + 1 - values[..., 3:]
    np.testing.assert_allclose(
        picture.pixels, np.broadcast_to(values, (5, 7, 3)), rtol=0, atol=3e-7
    )  # float32; a 16-bit level is 1.5e-5


def test_all_16_bits_of_grey_with_alpha(tmp_path: Path):
    samples = deep(2)
    (tmp_path / "a.png").write_bytes(raw_png(samples, 4))
    picture = read_picture(tmp_path / "a.png")
    assert picture.notes == ("alpha composited on white",)
    grey, alpha = samples[..., :1] / 65535, samples[..., 1:] / 65535
    np.testing.assert_allclose(picture.pixels, np.broadcast_to(grey * alpha + 1 - alpha, (5, 7, 3)), rtol=0, atol=3e-7)


def test_16_bit_png_with_one_transparent_colour(tmp_path: Path):
    samples = deep(3)
    key = png_chunk(b"tRNS", samples[1, 2].astype(">u2").tobytes())
    (tmp_path / "a.png").write_bytes(raw_png(samples, 2, key))
    picture = read_picture(tmp_path / "a.png")
    np.testing.assert_array_equal(picture.pixels[1, 2], [1, 1, 1])
    np.testing.assert_allclose(picture.pixels[0, 0], samples[0, 0] / 65535, atol=3e-7)


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_all_16_bits_of_a_tiff(tmp_path: Path, byteorder: str, compression: str | None, planar: str):
    samples = deep(3)
    laid = samples if planar == "contig" else samples.transpose(2, 0, 1)
    tifffile.imwrite(
        tmp_path / "a.tif", laid, photometric="rgb", byteorder=byteorder, compression=compression, planarconfig=planar
    )
    picture = read_picture(tmp_path / "a.tif")
    np.testing.assert_allclose(picture.pixels, samples / 65535, rtol=0, atol=1e-7)


@pytest.mark.parametrize("channels", [1, 3])
def test_floating_point_tiff(tmp_path: Path, channels: int):
    pixels = noise()[..., :channels].squeeze()
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb" if channels == 3 else "minisblack")
    picture = read_picture(tmp_path / "a.tif")
    np.testing.assert_array_equal(picture.pixels[..., 0], pixels.reshape(12, 16, -1)[..., 0])
    assert picture.notes == ("floating point taken as sRGB in [0, 1]",)


@pytest.mark.parametrize(("dtype", "level"), [(np.float32, 0.5), (np.uint16, 32767.5)])
def test_a_tiff_that_pillow_cannot_read_is_rotated_too(tmp_path: Path, dtype: type, level: float):
    samples = (noise() * 2 * level).astype(dtype)
    planar = samples if dtype is np.float32 else samples.transpose(2, 0, 1)
    tags = [(274, "H", 1, 6, True), (34675, "B", 3, b"odd", True)]
    config = "contig" if dtype is np.float32 else "separate"
    tifffile.imwrite(tmp_path / "a.tif", planar, photometric="rgb", planarconfig=config, extratags=tags)
    picture = read_picture(tmp_path / "a.tif")
    np.testing.assert_allclose(picture.pixels, np.rot90(samples / (2 * level), -1), rtol=0, atol=1e-7)
    assert picture.notes[0] == "rotated by EXIF orientation 6"
    assert "broken ICC profile ignored" in picture.notes


def test_white_of_a_12_bit_tiff_is_white(tmp_path: Path):
    tags = {256: 2, 257: 2, 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 278: 2, 279: 6}  # size, bits, grey, one strip at 8
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    strip = bytes.fromhex("fff000 7ff800")  # two samples in three bytes
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    (tmp_path / "a.tif").write_bytes(b"II*\0" + struct.pack("<I", 8 + len(strip)) + strip + directory)
    expected = np.array([[0xFFF, 0], [0x7FF, 0x800]]) / 0xFFF
    np.testing.assert_allclose(read_picture(tmp_path / "a.tif").pixels[..., 0], expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("value", [255.0, -1.0, np.nan])
def test_floating_point_outside_is_refused(tmp_path: Path, value: float):
    pixels = noise()
    pixels[3, 4, 1] = value
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb")
    with pytest.raises(JaxstyleError, match=r"a\.tif: its values run from .*scale it"):
        read_picture(tmp_path / "a.tif")


def test_a_whole_number_grey_tiff(tmp_path: Path):
    Image.fromarray(np.full((3, 4), 65535, np.int32)).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_picture(tmp_path / "a.tif").pixels, np.ones((3, 4, 3), np.float32))


def test_a_pgm_of_16_bits(tmp_path: Path):
    samples = deep(1)
    (tmp_path / "a.pgm").write_bytes(b"P5 7 5 65535\n" + samples.astype(">u2").tobytes())
    np.testing.assert_allclose(read_picture(tmp_path / "a.pgm").pixels[..., :1], samples / 65535, atol=1e-7)


def test_lab_tiff(tmp_path: Path):
    Image.new("LAB", (4, 4), (255, 128, 128)).save(tmp_path / "a.tif")
    picture = read_picture(tmp_path / "a.tif")
    np.testing.assert_allclose(picture.pixels, 1, atol=0.02)  # L* = 100, no colour: white
    assert picture.notes == ("converted from L*a*b* to sRGB",)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_frame_of_several(tmp_path: Path, kind: str):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    lossless = {"lossless": True} if kind == "WEBP" else {}
    frames[0].save(tmp_path / "a", kind, save_all=True, append_images=frames[1:], **lossless)
    picture = read_picture(tmp_path / "a")
    np.testing.assert_array_equal(picture.pixels[0, 0], [1, 0, 0])
    assert picture.notes == ("first of 3 frames",)


# Refusals


def test_a_missing_file_names_the_nearest(tmp_path: Path):
    (tmp_path / "neckarfront.jpg").touch()
    with pytest.raises(JaxstyleError, match=r"no such file; did you mean 'neckarfront.jpg'\?"):
        read_picture(tmp_path / "nekarfront.jpg")
    with pytest.raises(JaxstyleError, match=r"no such file, and no folder"):
        read_picture(tmp_path / "nowhere" / "a.jpg")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.png", b"", "the file is empty"),
        ("text.png", b"Dear all, here is the picture", r"not a picture .*it holds text.*accepted: PNG, JPEG"),
        ("zeros.jpg", bytes(1000), "not a picture"),
        ("page.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is PostScript, which is not read; export"),
        ("line.png", raw_png(deep(3)[:, :1], 2), r"is 1×5 pixels; each side needs at least 2"),
        ("cut.png", bytes_of("PNG")[:200], "truncated or damaged"),
        ("cut.jpg", bytes_of("JPEG")[:-200], "truncated or damaged"),
        ("cut.tif", bytes_of("TIFF")[:200], "truncated or damaged"),
        ("cut.webp", bytes_of("WEBP")[:-40], "truncated or damaged"),
        ("bomb.png", raw_png(deep(3), 2).replace(struct.pack(">2I", 7, 5), struct.pack(">2I", 20000, 20000)), ""),
    ],
)
def test_files_that_are_no_pictures(tmp_path: Path, name: str, content: bytes, message: str):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(JaxstyleError, match=rf"{name}: .*{message}"):
        read_picture(tmp_path / name)


@pytest.mark.parametrize("side", [10_001, 20_000])
def test_a_decompression_bomb_is_refused_undecoded(tmp_path: Path, side: int):
    header = png_chunk(b"IHDR", struct.pack(">2I5B", side, side, 1, 0, 0, 0, 0))
    rows = zlib.compress(bytes(side * (side // 8 + 2)))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b""))
    with pytest.raises(JaxstyleError, match=r"100,000,000.* make it smaller first"):
        read_picture(tmp_path / "a.png")


def test_a_folder_and_a_pipe(tmp_path: Path):
    with pytest.raises(JaxstyleError, match="is a folder"):
        read_picture(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(JaxstyleError, match="not a regular file"):
        read_picture(tmp_path / "pipe")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path):
    (tmp_path / "a.png").write_bytes(bytes_of("PNG"))
    (tmp_path / "a.png").chmod(0)
    with pytest.raises(JaxstyleError, match=r"cannot be read: Permission denied"):
        read_picture(tmp_path / "a.png")


def test_the_systems_refusal_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "a.png").write_bytes(bytes_of("PNG"))

    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(JaxstyleError, match=r"a\.png: cannot be read: Permission denied; check"):
        read_picture(tmp_path / "a.png")


SAMPLES = [
    bytes_of("PNG"),
    bytes_of("PNG", "P", transparency=0),
    bytes_of("JPEG"),
    bytes_of("JPEG", "CMYK"),
    bytes_of("TIFF", compression="tiff_lzw"),
    bytes_of("GIF"),
    bytes_of("WEBP"),
    bytes_of("BMP"),
    bytes_of("PPM"),
    raw_png(deep(3), 2),
    tiff_bytes(noise()),
    tiff_bytes(deep(3).transpose(2, 0, 1), planarconfig="separate"),
]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_are_refused_or_read(tmp_path: Path, data: st.DataObject):
    damaged = bytearray(data.draw(st.sampled_from(SAMPLES)))
    for position in data.draw(st.lists(st.integers(0, len(damaged) - 1), max_size=3)):
        damaged[position] ^= data.draw(st.integers(1, 255))
    del damaged[data.draw(st.integers(0, len(damaged))) :]
    path = tmp_path / "a"
    path.write_bytes(damaged)
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("error")
        patch.setattr(reading, "MAX_PIXELS", 1_000_000)  # keeps a damaged header from costing seconds
        try:
            pixels = read_picture(path).pixels
            read_metadata(path)
        except JaxstyleError:
            return
    assert pixels.dtype == np.float32
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    assert 0 <= pixels.min() <= pixels.max() <= 1
