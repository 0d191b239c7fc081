"""Images that are written: what comes back, and what is left when they cannot be."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from drawn_images import noise, ramps
from PIL import Image

from jaxstyle.errors import JaxstyleError
from jaxstyle.images import (
    output_format,
    read_image,
    read_metadata,
    write_image,
)

LEVEL_8 = 0.5 / 255 + 1e-6  # half a level of 8 bits: what rounding to nearest may cost, and float32's own rounding
LEVEL_16 = 0.5 / 65535 + 1e-7


@pytest.mark.parametrize(("suffix", "bits"), [(".png", 8), (".png", 16), (".tif", 8), (".tiff", 16), (".PNG", 8)])
def test_lossless_formats_give_back_the_nearest_level(tmp_path: Path, suffix: str, bits: int):
    pixels = noise()
    write_image(tmp_path / f"a{suffix}", pixels, bits=bits)
    image = read_image(tmp_path / f"a{suffix}")
    assert image.pixels.dtype == np.float32
    np.testing.assert_allclose(image.pixels, pixels, rtol=0, atol=LEVEL_8 if bits == 8 else LEVEL_16)
    np.testing.assert_array_equal(np.rint(image.pixels * (2**bits - 1)), np.rint(pixels * np.float64(2**bits - 1)))
    assert image.notes == ()  # sRGB is declared, and needs no conversion


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".webp"])
def test_lossy_formats_stay_near(tmp_path: Path, suffix: str):
    pixels = ramps(48, 64)
    write_image(tmp_path / f"a{suffix}", pixels, quality=95)
    image = read_image(tmp_path / f"a{suffix}")
    assert np.abs(image.pixels - pixels).mean() < 0.01  # quality 95 on a gradient costs a level or two of 255
    assert image.notes == ()


def test_16_bit_png_is_read_by_pillow_too(tmp_path: Path):
    pixels = noise()
    write_image(tmp_path / "a.png", pixels, bits=16)
    with Image.open(tmp_path / "a.png") as image:
        image.load()
        assert image.info["srgb"] == 0
        np.testing.assert_array_equal(np.asarray(image), np.rint(pixels * np.float64(65535)).astype(np.uint16) >> 8)


@pytest.mark.parametrize("name", ["a.png", "b.png", "a.tif", "a.jpg", "a.webp"])
def test_metadata_travels(tmp_path: Path, name: str):
    metadata = {"jaxstyle": json.dumps({"loss.style_weight": 1e3}), "title": "Großes Tor, 星月夜", "empty": ""}
    write_image(tmp_path / name, noise(), metadata=metadata, bits=16 if name == "b.png" else 8)
    assert read_metadata(tmp_path / name) == metadata


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jpg", "a.webp"])
def test_no_metadata_is_empty(tmp_path: Path, name: str):
    write_image(tmp_path / name, noise())
    assert read_metadata(tmp_path / name) == {}


def test_another_programs_description_is_no_metadata(tmp_path: Path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 4, 3), np.uint8), photometric="rgb", description="a cat")
    assert read_metadata(tmp_path / "a.tif") == {}


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jpg", "a.webp"])
def test_the_same_image_gives_the_same_file(tmp_path: Path, name: str):
    write_image(tmp_path / name, noise(), metadata={"a": "b"})
    first = (tmp_path / name).read_bytes()
    write_image(tmp_path / name, noise(), metadata={"a": "b"})
    assert (tmp_path / name).read_bytes() == first


def test_values_outside_are_clipped(tmp_path: Path):
    pixels = np.full((2, 3, 3), 2.0, np.float32)
    pixels[0] = -1
    write_image(tmp_path / "a.png", pixels)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").pixels, pixels.clip(0, 1))


def test_missing_folders_are_made_and_nothing_else_is_left(tmp_path: Path):
    write_image(tmp_path / "new" / "folder" / "a.png", noise())
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["a.png"]


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_image(tmp_path / "a.png", noise(seed=1))
    before = (tmp_path / "a.png").read_bytes()

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_image(tmp_path / "a.png", noise(seed=2))
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "bits", "message"),
    [
        ("a.pgn", 8, r"unknown image suffix '.pgn'; did you mean '.png'\? Allowed: .png, .jpg"),
        ("a", 8, r"has no suffix.* Allowed: .png"),
        ("a.jpg", 16, r"JPEG cannot hold 16 bits a channel; allowed: 8, and 16 with .png, .tif"),
        ("a.png", 12, r"cannot hold 12 bits"),
    ],
)
def test_output_names_are_checked(tmp_path: Path, name: str, bits: int, message: str):
    with pytest.raises(JaxstyleError, match=message):
        output_format(tmp_path / name, bits=bits)
    with pytest.raises(JaxstyleError, match=message):
        write_image(tmp_path / name, noise(), bits=bits)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.zeros((4, 4), np.float32), r"found float32 \[4, 4\]"),
        (np.zeros((4, 4, 3), np.uint8), r"found uint8"),
        (np.full((4, 4, 3), np.nan, np.float32), r"NaN"),
    ],
)
def test_what_is_no_image_is_not_written(tmp_path: Path, pixels: np.ndarray, message: str):
    with pytest.raises(JaxstyleError, match=message):
        write_image(tmp_path / "a.png", pixels)
    assert list(tmp_path.iterdir()) == []


def test_metadata_that_a_format_cannot_hold(tmp_path: Path):
    with pytest.raises(JaxstyleError, match=r"a\.jpg: cannot be encoded"):
        write_image(tmp_path / "a.jpg", noise(), metadata={"long": "x" * 70_000})  # EXIF ends at 64 kB
    with pytest.raises(JaxstyleError, match=r"PNG keyword"):
        write_image(tmp_path / "a.png", noise(), metadata={"": "x"})
