"""Images that others wrote: every kind is read for what it shows, and what is none is refused."""

import io
import os
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from drawn_images import noise
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_files import png_chunk, raw_png
from PIL import ExifTags, Image, ImageOps

from jaxstyle.errors import JaxstyleError
from jaxstyle.images import (
    read_image,
    read_metadata,
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


def test_a_plain_image(tmp_path: Path):
    levels = (noise() * 255).astype(np.uint8)
    Image.fromarray(levels).save(tmp_path / "a.png")
    image = read_image(str(tmp_path / "a.png"))
    np.testing.assert_array_equal(image.pixels, levels / np.float32(255))
    assert image.path == str(tmp_path / "a.png")
    assert len(image.sha256) == 64
    assert image.notes == ()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_exif_rotation(tmp_path: Path, orientation: int, kind: str):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    path = tmp_path / "a"
    path.write_bytes(bytes_of(kind, exif=exif))
    with Image.open(path) as image:
        upright = np.asarray(ImageOps.exif_transpose(image))
    loaded = read_image(path)
    np.testing.assert_array_equal(loaded.pixels, upright / np.float32(255))
    assert loaded.notes == (() if orientation == 1 else (f"rotated by EXIF orientation {orientation}",))


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
    loaded = read_image(path)
    expected = colour * alpha[..., None] / 255 + 1 - alpha[..., None] / 255
    np.testing.assert_allclose(loaded.pixels, expected, rtol=0, atol=1e-6)  # a few float32 roundings
    assert loaded.notes == ("alpha composited on white",)


def test_opaque_alpha_changes_nothing(tmp_path: Path):
    (tmp_path / "a.png").write_bytes(bytes_of("PNG", "RGBA"))
    assert read_image(tmp_path / "a.png").notes == ()


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_palettes_transparent_entry_is_white(tmp_path: Path, kind: str):
    image = Image.new("P", (4, 2))
    image.putpalette([0, 0, 255, 255, 0, 0])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "a", kind, transparency=0)
    loaded = read_image(tmp_path / "a")
    np.testing.assert_array_equal(loaded.pixels[0, :2], [[1, 1, 1], [1, 0, 0]])
    assert "alpha composited on white" in loaded.notes


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_grey_palette_and_two_levels(tmp_path: Path, mode: str):
    (tmp_path / "a.png").write_bytes(bytes_of("PNG", mode))
    with Image.open(tmp_path / "a.png") as image:
        expected = np.asarray(image.convert("RGB")) / np.float32(255)
    loaded = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(loaded.pixels, expected)
    assert loaded.notes == ()


def test_cmyk_jpeg_is_not_negative(tmp_path: Path):
    Image.new("RGB", (16, 16), (255, 128, 0)).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    assert b"Adobe" in (tmp_path / "a.jpg").read_bytes()  # the kind that stores ink inverted
    image = read_image(tmp_path / "a.jpg")
    np.testing.assert_allclose(image.pixels.mean((0, 1)), [1, 0.5, 0], atol=0.02)  # JPEG's own loss
    assert image.notes == ("converted from CMYK without a profile",)


@pytest.mark.parametrize(("colour_type", "channels"), [(0, 1), (2, 3), (6, 4)])
def test_all_16_bits_of_a_png(tmp_path: Path, colour_type: int, channels: int):
    samples = deep(channels)
    (tmp_path / "a.png").write_bytes(raw_png(samples, colour_type))
    image = read_image(tmp_path / "a.png")
    values = samples / 65535
    if channels == 4:
        values = values[..., :3] * values[..., 3:] + 1 - values[..., 3:]
    np.testing.assert_allclose(
        image.pixels, np.broadcast_to(values, (5, 7, 3)), rtol=0, atol=3e-7
    )  # float32; a 16-bit level is 1.5e-5


def test_all_16_bits_of_grey_with_alpha(tmp_path: Path):
    samples = deep(2)
    (tmp_path / "a.png").write_bytes(raw_png(samples, 4))
    image = read_image(tmp_path / "a.png")
    assert image.notes == ("alpha composited on white",)
    grey, alpha = samples[..., :1] / 65535, samples[..., 1:] / 65535
    np.testing.assert_allclose(image.pixels, np.broadcast_to(grey * alpha + 1 - alpha, (5, 7, 3)), rtol=0, atol=3e-7)


def test_16_bit_png_with_one_transparent_colour(tmp_path: Path):
    samples = deep(3)
    key = png_chunk(b"tRNS", samples[1, 2].astype(">u2").tobytes())
    (tmp_path / "a.png").write_bytes(raw_png(samples, 2, key))
    image = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(image.pixels[1, 2], [1, 1, 1])
    np.testing.assert_allclose(image.pixels[0, 0], samples[0, 0] / 65535, atol=3e-7)


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_all_16_bits_of_a_tiff(tmp_path: Path, byteorder: str, compression: str | None, planar: str):
    samples = deep(3)
    laid = samples if planar == "contig" else samples.transpose(2, 0, 1)
    tifffile.imwrite(
        tmp_path / "a.tif", laid, photometric="rgb", byteorder=byteorder, compression=compression, planarconfig=planar
    )
    image = read_image(tmp_path / "a.tif")
    np.testing.assert_allclose(image.pixels, samples / 65535, rtol=0, atol=1e-7)


@pytest.mark.parametrize("channels", [1, 3])
def test_floating_point_tiff(tmp_path: Path, channels: int):
    pixels = noise()[..., :channels].squeeze()
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb" if channels == 3 else "minisblack")
    image = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.pixels[..., 0], pixels.reshape(12, 16, -1)[..., 0])
    assert image.notes == ("floating point taken as sRGB in [0, 1]",)


@pytest.mark.parametrize(("dtype", "level"), [(np.float32, 0.5), (np.uint16, 32767.5)])
def test_a_tiff_that_pillow_cannot_read_is_rotated_too(tmp_path: Path, dtype: type, level: float):
    samples = (noise() * 2 * level).astype(dtype)
    planar = samples if dtype is np.float32 else samples.transpose(2, 0, 1)
    tags = [(274, "H", 1, 6, True), (34675, "B", 3, b"odd", True)]
    config = "contig" if dtype is np.float32 else "separate"
    tifffile.imwrite(tmp_path / "a.tif", planar, photometric="rgb", planarconfig=config, extratags=tags)
    image = read_image(tmp_path / "a.tif")
    np.testing.assert_allclose(image.pixels, np.rot90(samples / (2 * level), -1), rtol=0, atol=1e-7)
    assert image.notes[0] == "rotated by EXIF orientation 6"
    assert "broken ICC profile ignored" in image.notes


def test_white_of_a_12_bit_tiff_is_white(tmp_path: Path):
    tags = {256: 2, 257: 2, 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 278: 2, 279: 6}  # size, bits, grey, one strip at 8
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    strip = bytes.fromhex("fff000 7ff800")  # two samples in three bytes
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    (tmp_path / "a.tif").write_bytes(b"II*\0" + struct.pack("<I", 8 + len(strip)) + strip + directory)
    expected = np.array([[0xFFF, 0], [0x7FF, 0x800]]) / 0xFFF
    np.testing.assert_allclose(read_image(tmp_path / "a.tif").pixels[..., 0], expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("value", [255.0, -1.0, np.nan])
def test_floating_point_outside_is_refused(tmp_path: Path, value: float):
    pixels = noise()
    pixels[3, 4, 1] = value
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb")
    with pytest.raises(JaxstyleError, match=r"a\.tif: its values run from .*scale it"):
        read_image(tmp_path / "a.tif")


def test_a_whole_number_grey_tiff(tmp_path: Path):
    Image.fromarray(np.full((3, 4), 65535, np.int32)).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels, np.ones((3, 4, 3), np.float32))


def test_a_pgm_of_16_bits(tmp_path: Path):
    samples = deep(1)
    (tmp_path / "a.pgm").write_bytes(b"P5 7 5 65535\n" + samples.astype(">u2").tobytes())
    np.testing.assert_allclose(read_image(tmp_path / "a.pgm").pixels[..., :1], samples / 65535, atol=1e-7)


def test_lab_tiff(tmp_path: Path):
    Image.new("LAB", (4, 4), (255, 128, 128)).save(tmp_path / "a.tif")
    image = read_image(tmp_path / "a.tif")
    np.testing.assert_allclose(image.pixels, 1, atol=0.02)  # L* = 100, no colour: white
    assert image.notes == ("converted from L*a*b* to sRGB",)


@pytest.mark.parametrize(
    ("bits", "key"), [(1, 0), (1, 1), (2, 0), (2, 1), (2, 3), (2, 6), (4, 1), (4, 8), (4, 15), (8, 1), (8, 0x108)]
)
def test_one_transparent_level_of_few_bits(tmp_path: Path, bits: int, key: int):
    levels = np.stack([np.arange(16) % 2**bits] * 3)[..., None]
    (tmp_path / "a.png").write_bytes(raw_png(levels, 0, png_chunk(b"tRNS", struct.pack(">H", key)), bits=bits))
    key %= 2**bits  # PNG takes the lowest bits of the sixteen
    wanted = np.where(levels == key, 1, levels / (2**bits - 1))
    image = read_image(tmp_path / "a.png")
    np.testing.assert_allclose(image.pixels, np.broadcast_to(wanted, (3, 16, 3)), rtol=0, atol=1e-6)
    assert image.notes == ("alpha composited on white",)


def test_one_transparent_colour_of_8_bits(tmp_path: Path):
    levels = np.random.default_rng(0).integers(0, 256, (4, 5, 3))
    key = png_chunk(b"tRNS", struct.pack(">3H", *levels[2, 3]))
    (tmp_path / "a.png").write_bytes(raw_png(levels, 2, key, bits=8))
    wanted = levels / 255
    wanted[2, 3] = 1
    np.testing.assert_allclose(read_image(tmp_path / "a.png").pixels, wanted, rtol=0, atol=1e-6)


def gif(frame: tuple[int, int, int, int], transparent: int | None = None) -> bytes:
    """A GIF of 20×16 pixels, background green; the first frame (left, top, width, height) is red, index 1."""
    left, top, width, height = frame
    control = b"" if transparent is None else b"!\xf9\4\1\0\0" + bytes([transparent, 0])
    codes = "".join(
        format(code, "03b")[::-1] for code in [4, *[value for _ in range(width * height) for value in (1, 4)], 5]
    )
    packed = bytes(int(codes[at : at + 8].ljust(8, "0")[::-1], 2) for at in range(0, len(codes), 8))
    blocks = b"".join(bytes([len(packed[at : at + 255])]) + packed[at : at + 255] for at in range(0, len(packed), 255))
    screen = struct.pack("<2H", 20, 16) + b"\x80\0\0" + bytes([0, 255, 0, 255, 0, 0])
    image = b"," + struct.pack("<4H", left, top, width, height) + b"\0" + b"\2" + blocks + b"\0"
    return b"GIF89a" + screen + control + image + b";"


@pytest.mark.parametrize("transparent", [None, 0, 1])
def test_nothing_is_drawn_around_a_first_frame(tmp_path: Path, transparent: int | None):
    (tmp_path / "a.gif").write_bytes(gif((5, 4, 10, 8), transparent))
    wanted = np.ones((16, 20, 3))
    if transparent != 1:
        wanted[4:12, 5:15] = [1, 0, 0]
    if transparent == 1:
        with pytest.raises(JaxstyleError, match="transparent everywhere"):
            read_image(tmp_path / "a.gif")
        return
    image = read_image(tmp_path / "a.gif")
    np.testing.assert_array_equal(image.pixels, wanted)
    assert image.notes == ("alpha composited on white",)


def test_a_whole_first_frame_is_all_there_is(tmp_path: Path):
    (tmp_path / "a.gif").write_bytes(gif((0, 0, 20, 16)))
    image = read_image(tmp_path / "a.gif")
    np.testing.assert_array_equal(image.pixels, np.broadcast_to(np.float32([1, 0, 0]), (16, 20, 3)))
    assert image.notes == ()


def test_nothing_is_drawn_around_a_webps_first_frame(tmp_path: Path):
    stream = io.BytesIO()
    Image.new("RGB", (10, 8), "red").save(stream, "WEBP", lossless=True)
    frame = stream.getvalue()[12:]
    place = b"".join(value.to_bytes(3, "little") for value in (4 // 2, 6 // 2, 10 - 1, 8 - 1, 100)) + b"\0"
    canvas = b"".join(value.to_bytes(3, "little") for value in (20 - 1, 16 - 1))
    chunks = [(b"VP8X", b"\2\0\0\0" + canvas), (b"ANIM", b"\xff\0\xff\xff\0\0"), (b"ANMF", place + frame)]
    body = b"WEBP" + b"".join(name + struct.pack("<I", len(data)) + data for name, data in chunks)
    (tmp_path / "a.webp").write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    wanted = np.ones((16, 20, 3))
    wanted[6:14, 4:14] = [1, 0, 0]
    np.testing.assert_array_equal(read_image(tmp_path / "a.webp").pixels, wanted)


@pytest.mark.parametrize("masks", [(0xF800, 0x7E0, 0x1F), (0x7C00, 0x3E0, 0x1F)])
def test_bitmaps_of_16_bits_a_pixel_lose_none(tmp_path: Path, masks: tuple[int, int, int]):
    pixels = np.random.default_rng(0).integers(0, 65536, (4, 6))
    header = struct.pack("<I2i2H6I", 40, 6, -4, 1, 16, 3, 0, 0, 0, 0, 0) + struct.pack("<3I", *masks)
    body = header + pixels.astype("<u2").tobytes()
    (tmp_path / "a.bmp").write_bytes(b"BM" + struct.pack("<3I", 14 + len(body), 0, 14 + len(header)) + body)
    wanted = np.stack([(pixels & mask) / mask for mask in masks], axis=-1)
    image = read_image(tmp_path / "a.bmp")
    np.testing.assert_allclose(image.pixels, wanted, rtol=0, atol=1 / 255)  # Pillow gives whole levels
    assert image.notes == ()


@pytest.mark.parametrize(
    ("name", "chunk"),
    [
        ("tEXt", png_chunk(b"tEXt", b"Comment\0good")[:-1] + b"x"),
        ("zTXt", png_chunk(b"zTXt", b"Comment\0\0not compressed")),
        ("zTXt", png_chunk(b"zTXt", b"Comment\0\7" + zlib.compress(b"by no known method"))),
        ("iTXt", png_chunk(b"iTXt", b"Comment\0\1\0\0\0nothing")),
        ("zTXt", png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(3_000_000)))),
        ("pHYs", png_chunk(b"pHYs", b"\0")),
        ("prVt", png_chunk(b"prVt", b"of somebody else")[:-1] + b"x"),
    ],
)
@pytest.mark.parametrize("behind", [False, True])
def test_a_png_is_no_less_an_image_for_its_remarks(tmp_path: Path, name: str, chunk: bytes, behind: bool):
    samples = deep(3)
    (tmp_path / "a.png").write_bytes(raw_png(samples, 2, b"" if behind else chunk, behind=chunk if behind else b""))
    image = read_image(tmp_path / "a.png")
    np.testing.assert_allclose(image.pixels, samples / 65535, rtol=0, atol=1e-7)
    broken = (f"broken {name} chunk ignored",) if chunk.endswith(b"x") else ()
    assert image.notes == broken


def test_exif_in_imagemagicks_remarks_still_turns(tmp_path: Path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    body = b"Exif\0\0" + exif.tobytes()[6:] if exif.tobytes().startswith(b"Exif") else b"Exif\0\0" + exif.tobytes()
    text = f"\nexif\n{len(body):8d}\n{body.hex()}\n".encode()
    samples = deep(3)
    chunk = png_chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text))
    (tmp_path / "a.png").write_bytes(raw_png(samples, 2, chunk))
    image = read_image(tmp_path / "a.png")
    np.testing.assert_allclose(image.pixels, np.rot90(samples / 65535, -1), rtol=0, atol=1e-7)


@pytest.mark.parametrize("last", [1, 2, 0xFFFF])
def test_what_jpeg_2000_says_of_its_last_band(tmp_path: Path, last: int):
    stream = io.BytesIO()
    Image.new("RGBA", (16, 16), (100, 50, 0, 128)).save(stream, "JPEG2000")
    data = stream.getvalue()
    place = data.index(b"cdef") + 4
    (count,) = struct.unpack_from(">H", data, place)
    entries = [struct.unpack_from(">3H", data, place + 2 + 6 * at) for at in range(count)]
    at = next(at for at, (channel, _, _) in enumerate(entries) if channel == 3)
    data = data[: place + 2 + 6 * at + 2] + struct.pack(">H", last) + data[place + 2 + 6 * at + 4 :]
    (tmp_path / "a.jp2").write_bytes(data)
    image = read_image(tmp_path / "a.jp2")
    colour, alpha = np.array([100, 50, 0]) / 255, 128 / 255
    wanted = {1: colour * alpha + 1 - alpha, 2: colour + 1 - alpha, 0xFFFF: colour}[last]
    np.testing.assert_allclose(image.pixels, np.broadcast_to(wanted, (16, 16, 3)), rtol=0, atol=1.5 / 255)


def test_bits_that_are_not_read_are_noted(tmp_path: Path):
    (tmp_path / "a.ppm").write_bytes(b"P6 7 5 65535\n" + deep(3).astype(">u2").tobytes())
    image = read_image(tmp_path / "a.ppm")
    np.testing.assert_allclose(image.pixels, deep(3) / 65535, rtol=0, atol=0.5 / 255 + 1e-6)
    assert image.notes == ("read with 8 of its 16 bits a channel",)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_frame_of_several(tmp_path: Path, kind: str):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    lossless = {"lossless": True} if kind == "WEBP" else {}
    frames[0].save(tmp_path / "a", kind, save_all=True, append_images=frames[1:], **lossless)
    image = read_image(tmp_path / "a")
    np.testing.assert_array_equal(image.pixels[0, 0], [1, 0, 0])
    assert image.notes == ("first of 3 frames",)


# Refusals


def test_a_missing_file_names_the_nearest(tmp_path: Path):
    (tmp_path / "neckarfront.jpg").touch()
    with pytest.raises(JaxstyleError, match=r"no such file; did you mean 'neckarfront.jpg'\?"):
        read_image(tmp_path / "nekarfront.jpg")
    with pytest.raises(JaxstyleError, match=r"no such file, and no folder"):
        read_image(tmp_path / "nowhere" / "a.jpg")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.png", b"", "the file is empty"),
        ("text.png", b"Dear all, here is the image", r"not an image .*it holds text.*accepted: PNG, JPEG"),
        ("zeros.jpg", bytes(1000), "not an image"),
        ("page.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is PostScript, which is not read; export"),
        ("line.png", raw_png(deep(3)[:, :1], 2), r"is 1×5 pixels; each side needs at least 2"),
        ("cut.png", bytes_of("PNG")[:200], "truncated or damaged"),
        ("cut.jpg", bytes_of("JPEG")[:-200], "truncated or damaged"),
        ("cut.tif", bytes_of("TIFF")[:200], "truncated or damaged"),
        ("cut.webp", bytes_of("WEBP")[:-40], "truncated or damaged"),
        ("bomb.png", raw_png(deep(3), 2).replace(struct.pack(">2I", 7, 5), struct.pack(">2I", 20000, 20000)), ""),
    ],
)
def test_files_that_are_no_images(tmp_path: Path, name: str, content: bytes, message: str):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(JaxstyleError, match=rf"{name}: .*{message}"):
        read_image(tmp_path / name)


def iso_media(*brands: bytes) -> bytes:
    body = brands[0] + bytes(4) + b"".join(brands)
    return struct.pack(">I", 8 + len(body)) + b"ftyp" + body + bytes(200)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (iso_media(b"heic", b"mif1"), "HEIC, which is not read; save it as PNG or JPEG"),
        (iso_media(b"mif1", b"heix"), "HEIC"),
        (iso_media(b"msf1", b"hevc"), "HEIC"),
        (iso_media(b"mif1", b"miaf"), "HEIF"),
        (iso_media(b"crx "), "a camera's raw file"),
        (iso_media(b"isom", b"mp42"), "a video"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(99), "JPEG XL"),
        (b"\xff\x0a" + bytes(99), "JPEG XL"),
        (b"8BPS" + bytes(99), "a Photoshop document"),
        (b"%PDF-1.7" + bytes(99), "a PDF document"),
        (b"v/1\x01" + bytes(99), "OpenEXR"),
        (b"\x93NUMPY" + bytes(99), "a NumPy array"),
        (b"II*\0\x10\0\0\0CR\2\0" + bytes(99), "a camera's raw file"),
        (b"\r\n<!DOCTYPE html><html>", "a web page"),
        (b"<?xml version='1.0'?><!-- x --><svg>", "SVG"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "a Git LFS pointer"),
        (b"PK\3\4" + bytes(99), "a ZIP archive"),
    ],
)
def test_other_kinds_are_refused_by_their_names(tmp_path: Path, content: bytes, found: str):
    (tmp_path / "photo.jpg").write_bytes(content)
    with pytest.raises(JaxstyleError, match=rf"photo\.jpg: is {found}"):
        read_image(tmp_path / "photo.jpg")


def test_a_png_with_a_broken_header_is_a_broken_png(tmp_path: Path):
    data = bytearray(raw_png(deep(3), 2))
    data[20] ^= 1
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(JaxstyleError, match=r"cannot be decoded .*damaged"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("side", [10_001, 20_000])
def test_a_decompression_bomb_is_refused_undecoded(tmp_path: Path, side: int):
    header = png_chunk(b"IHDR", struct.pack(">2I5B", side, side, 1, 0, 0, 0, 0))
    rows = zlib.compress(bytes(side * (side // 8 + 2)))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b""))
    with pytest.raises(JaxstyleError, match=r"100,000,000.* make it smaller first"):
        read_image(tmp_path / "a.png")


def test_a_folder_and_a_pipe(tmp_path: Path):
    with pytest.raises(JaxstyleError, match="is a folder"):
        read_image(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(JaxstyleError, match="not a regular file"):
        read_image(tmp_path / "pipe")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path):
    (tmp_path / "a.png").write_bytes(bytes_of("PNG"))
    (tmp_path / "a.png").chmod(0)
    with pytest.raises(JaxstyleError, match=r"cannot be read: Permission denied"):
        read_image(tmp_path / "a.png")


def test_the_systems_refusal_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "a.png").write_bytes(bytes_of("PNG"))

    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(JaxstyleError, match=r"a\.png: cannot be read: Permission denied; check"):
        read_image(tmp_path / "a.png")


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
            pixels = read_image(path).pixels
            read_metadata(path)
        except JaxstyleError:
            return
    assert pixels.dtype == np.float32
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    assert 0 <= pixels.min() <= pixels.max() <= 1
