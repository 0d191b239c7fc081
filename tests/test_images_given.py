"""What Python hands in as an image is that image, or is refused in a line."""

import io
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn_images import noise
from image_files import (
    P3_COLORANTS,
    P3_TO_SRGB,
    SRGB_CURVE,
    decode,
    encode,
    parametric_curve,
    png_chunk,
    png_gamma,
    raw_png,
    rgb_profile,
)
from PIL import ExifTags, Image, ImageCms

from jaxstyle.errors import JaxstyleError
from jaxstyle.images import image_of, read_image

LEVELS = (noise() * 255).astype(np.uint8)
SRGB = LEVELS / np.float32(255)


def file_of(kind: str = "PNG", **options: Any) -> io.BytesIO:
    stream = io.BytesIO()
    Image.fromarray(LEVELS).save(stream, kind, **options)
    return stream  # at its end, as after any writing


# Arrays


@pytest.mark.parametrize(
    "array",
    [
        LEVELS,
        SRGB,
        SRGB.astype(np.float64),
        LEVELS.astype(np.uint16) * 257,
        LEVELS.astype(">u2") * np.uint16(257),
        jnp.asarray(SRGB),
        jnp.asarray(LEVELS),
        np.ma.masked_array(LEVELS, mask=False),
        np.asfortranarray(SRGB),
        SRGB[::-1][::-1],
    ],
    ids=lambda array: f"{type(array).__name__} {array.dtype.str if hasattr(array.dtype, 'str') else array.dtype}",
)
def test_arrays(array: Any):
    image = image_of(array, "here")
    np.testing.assert_allclose(image.pixels, SRGB, rtol=0, atol=1e-7)
    assert image.pixels.dtype == np.float32
    assert (image.path, image.notes) == ("here", ())


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision(dtype: Any):
    np.testing.assert_allclose(image_of(jnp.asarray(SRGB, dtype), "here").pixels, SRGB, rtol=0, atol=2**-9)


def test_an_array_of_float32_is_copied():
    array = SRGB.copy()
    image = image_of(array, "here")
    array[:] = 0
    np.testing.assert_array_equal(image.pixels, SRGB)


@pytest.mark.parametrize("shape", [(12, 16), (12, 16, 1)])
def test_grey(shape: tuple[int, ...]):
    image = image_of(SRGB[..., 0].reshape(shape), "here")
    np.testing.assert_array_equal(image.pixels, np.repeat(SRGB[..., :1], 3, axis=2))


def test_two_levels():
    image = image_of(LEVELS[..., 0] > 99, "here")
    np.testing.assert_array_equal(image.pixels[..., 0], LEVELS[..., 0] > 99)


@pytest.mark.parametrize("bands", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_alpha(bands: int, dtype: type):
    white = 1 if dtype is np.float32 else np.iinfo(dtype).max
    array = np.concatenate([SRGB[..., :bands], np.full((12, 16, 1), 0.25)], axis=2) * white
    image = image_of(array.astype(dtype), "here")
    wanted = np.broadcast_to(0.25 * SRGB[..., :bands] + 0.75, (12, 16, 3))
    np.testing.assert_allclose(image.pixels, wanted, rtol=0, atol=1.5 / 255)
    assert image.notes == ("alpha composited on white",)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros(8), r"shape \(8,\); images are \[height, width\]"),
        (np.zeros((3, 20, 30)), r"channels first \(np\.moveaxis\(array, 0, -1\)\)"),
        (np.zeros((1, 20, 30, 3)), r"a batch of one \(array\[0\]\)"),
        (np.zeros((20, 30, 5)), "1 to 4 bands"),
        (np.zeros((0, 30, 3)), "shape"),
        (np.zeros((1, 30, 3)), r"is 30×1 pixels; each side needs at least 2"),
        (np.zeros((8, 8, 3), int), r"type int64; array\.astype\(np\.uint8\); allowed: uint8, uint16"),
        (np.full((8, 8, 3), 70_000), "type int64; allowed: uint8"),
        (np.zeros((8, 8, 3), np.int8), "type int8"),
        (np.full((8, 8, 3), 200.0), r"values from 200\.0 to 200\.0; divide by 255; float images are in \[0, 1\]"),
        (np.full((8, 8, 3), -0.5), r"in \[0, 1\]"),
        (np.full((8, 8, 3), np.nan), r"in \[0, 1\]"),
        (np.zeros((8, 8, 3), complex), "type complex128"),
        (np.full((8, 8, 3), "x"), "type <U1"),
        (np.zeros((8, 8, 3), object), "type object"),
        (np.ma.masked_array(SRGB, mask=SRGB > 0.5), r"a masked array, \d+ of its values masked"),
        ([[0.0, 1.0]] * 4, "found a list; allowed: a path, a name"),
        ({"image": 1}, "found a dict"),
        (7, "found a int"),
        (object(), "found a object"),
        (io.StringIO("not an image"), "opened as text; allowed: one opened with 'rb'"),
        (io.BytesIO(b""), "the file is empty"),
        (b"hello", "is not an image that can be read"),
        (b"\0\0\0\x18ftypheic" + bytes(30), "is HEIC"),
    ],
)
def test_what_is_no_image_is_refused_in_a_line(value: Any, message: str):
    with pytest.raises(JaxstyleError, match=f"^here: .*{message}") as refusal:
        image_of(value, "here")
    assert len(str(refusal.value)) < 300
    assert "\n" not in str(refusal.value)


def test_a_tracer_is_refused_in_a_line():
    with pytest.raises(JaxstyleError, match=r"here: a .*Tracer that NumPy cannot read: .*"):
        jax.jit(lambda array: image_of(array, "here").pixels)(SRGB)


# Files


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_file_objects_and_bytes(tmp_path: Path, kind: str):
    (tmp_path / "a").write_bytes(file_of(kind).getvalue())
    wanted = read_image(tmp_path / "a")
    with (tmp_path / "a").open("rb") as file:
        file.read(10)
        of_file = image_of(file, "here")
    for image in (
        of_file,
        image_of(file_of(kind), "here"),
        image_of(file_of(kind).getvalue(), "here"),
        image_of(memoryview(file_of(kind).getvalue()), "here"),
    ):
        np.testing.assert_array_equal(image.pixels, wanted.pixels)
        assert image.sha256 == wanted.sha256


def test_a_closed_file_is_refused_in_a_line(tmp_path: Path):
    (tmp_path / "a").write_bytes(file_of().getvalue())
    with (tmp_path / "a").open("rb") as file:
        pass
    with pytest.raises(JaxstyleError, match=r"here: cannot be read: .*closed"):
        image_of(file, "here")


# Pillow's images


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "La", "RGBa"]
)
def test_images_of_every_mode(mode: str):
    source = Image.fromarray(LEVELS)
    if mode in ("LA", "PA", "RGBA", "La", "RGBa"):
        source.putalpha(Image.fromarray(np.full((12, 16), 204, np.uint8)))
    image = source.convert("LA" if mode == "La" else "RGBA" if mode == "RGBa" else mode)
    wanted = np.asarray(image.convert("RGBA" if image.has_transparency_data else "RGB")) / 255
    if wanted.shape[2] == 4:
        wanted = wanted[..., :3] * wanted[..., 3:] + 1 - wanted[..., 3:]
    loaded = image_of(image.convert(mode), "here")
    np.testing.assert_allclose(loaded.pixels, wanted, rtol=0, atol=1.5 / 255)  # La and RGBa round


def test_an_image_in_lab():
    lab = Image.frombytes("LAB", (2, 2), bytes([255, 0, 0, 137, 208, 195] * 2))  # white, and a blue: a* and b* signed
    image = image_of(lab, "here")
    assert image.notes == ("converted from L*a*b* to sRGB",)
    theirs = ImageCms.profileToProfile(
        lab, ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), outputMode="RGB"
    )
    np.testing.assert_allclose(image.pixels, np.asarray(theirs) / 255, rtol=0, atol=1.5 / 255)


def test_images_of_more_bits():
    levels = np.random.default_rng(0).integers(0, 65536, (5, 7), dtype=np.uint16)
    wanted = np.broadcast_to(levels[..., None] / 65535, (5, 7, 3))
    deep = image_of(Image.fromarray(levels), "here")
    np.testing.assert_allclose(deep.pixels, wanted, rtol=0, atol=1e-7)
    assert deep.notes == ()
    long = image_of(Image.fromarray(levels.astype(np.int32)), "here")
    np.testing.assert_allclose(long.pixels, wanted, rtol=0, atol=1e-7)
    assert long.notes == ("32-bit whole numbers taken as 0 to 65535",)
    floating = image_of(Image.fromarray((levels / 65535).astype(np.float32)), "here")
    np.testing.assert_allclose(floating.pixels, wanted, rtol=0, atol=1e-7)


@pytest.mark.parametrize("loaded", [False, True])
def test_an_opened_image_is_what_its_file_is(tmp_path: Path, loaded: bool):
    """With what Pillow keeps beside it: a profile, an EXIF rotation, PNG's gamma."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    profile = rgb_profile("any", P3_COLORANTS, parametric_curve(*SRGB_CURVE))
    Image.fromarray(LEVELS).save(tmp_path / "a.png", icc_profile=profile, exif=exif)
    (tmp_path / "b.png").write_bytes(raw_png(LEVELS, 2, png_gamma(1.0), bits=8))
    wide = np.rot90(encode(decode(LEVELS / 255) @ P3_TO_SRGB.T), -1)
    for name, wanted in (("a.png", wide), ("b.png", encode(LEVELS / 255))):
        with Image.open(tmp_path / name) as image:
            if loaded:
                image.load()
            found = image_of(image, "here")
            np.testing.assert_allclose(found.pixels, wanted, rtol=0, atol=5e-4)
            np.testing.assert_array_equal(np.asarray(image), LEVELS)  # still of use
            assert found.notes == read_image(tmp_path / name).notes


def test_an_opened_image_keeps_its_sixteen_bits(tmp_path: Path):
    samples = np.random.default_rng(0).integers(0, 65536, (5, 7, 3))
    (tmp_path / "a.png").write_bytes(raw_png(samples, 2, png_chunk(b"tRNS", samples[1, 1].astype(">u2").tobytes())))
    with Image.open(tmp_path / "a.png") as image:
        loaded = image_of(image, "here")
    wanted = samples / 65535
    wanted[1, 1] = 1
    np.testing.assert_allclose(loaded.pixels, wanted, rtol=0, atol=1e-7)


def test_what_was_done_to_an_opened_image_counts(tmp_path: Path):
    (tmp_path / "a.png").write_bytes(file_of().getvalue())
    with Image.open(tmp_path / "a.png") as image:
        image.paste("white", (0, 0, 4, 4))
        loaded = image_of(image, "here")
    np.testing.assert_array_equal(loaded.pixels[:4, :4], 1)
    np.testing.assert_array_equal(loaded.pixels[4:], SRGB[4:])


def test_another_frame_is_that_frame():
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime")]
    stream = io.BytesIO()
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
    with Image.open(stream) as image:
        image.seek(1)
        np.testing.assert_array_equal(image_of(image, "here").pixels[0, 0], [0, 1, 0])


def test_an_image_that_was_closed_is_refused_in_a_line(tmp_path: Path):
    (tmp_path / "a.png").write_bytes(file_of().getvalue())
    with Image.open(tmp_path / "a.png") as image:
        pass
    with pytest.raises(JaxstyleError, match="here: Pillow cannot give this image's pixels"):
        image_of(image, "here")
