"""Resizing, and the rules for a style's size."""

import numpy as np
import pytest
from drawn_images import noise, ramps

from jaxstyle.errors import JaxstyleError
from jaxstyle.images import fit_style, resize_long_side, resize_to


@pytest.mark.parametrize(
    ("shape", "size", "expected"),
    [((768, 1024), 512, (384, 512)), ((100, 50), 33, (33, 16)), ((2, 300), 30, (1, 30)), ((12, 16), 32, (24, 32))],
)
def test_long_side(shape: tuple[int, int], size: int, expected: tuple[int, int]):
    resized = resize_long_side(np.full((*shape, 3), 0.25, np.float32), size)
    assert resized.shape == (*expected, 3)
    assert resized.dtype == np.float32
    np.testing.assert_allclose(resized, 0.25, atol=1e-6)  # the filter's weights sum to one


def test_resizing_antialiases_and_keeps_the_range():
    checks = np.indices((64, 64)).sum(0) % 2 * np.ones((3, 1, 1))
    small = resize_to(checks.transpose(1, 2, 0).astype(np.float32), 16, 16)
    np.testing.assert_allclose(small[2:-2, 2:-2], 0.5, atol=0.02)  # the finest pattern turns grey, not into moiré
    large = resize_to(noise(), 48, 64)
    assert large.min() >= 0
    assert large.max() <= 1


def test_resizing_keeps_more_than_8_bits():
    ramp = np.linspace(0.5, 0.502, 64, dtype=np.float32).reshape(8, 8, 1) * np.ones(3, np.float32)
    assert len(np.unique(resize_to(ramp, 16, 16))) > 100  # 8 bits would leave two levels


def test_the_same_size_is_untouched():
    pixels = noise()
    np.testing.assert_array_equal(resize_to(pixels, 12, 16), pixels)


@pytest.mark.parametrize(
    ("rule", "shape"), [("content", (30, 40)), ("cover", (30, 40)), ("long-side", (40, 20)), ("own", (80, 40))]
)
def test_style_sizes(rule: str, shape: tuple[int, int]):
    style = ramps(80, 40)
    assert fit_style(style, height=30, width=40, rule=rule).shape == (*shape, 3)


def test_a_reduced_style_is_reduced_from_its_own_size():
    style = ramps(80, 40)
    sizes = {"height": 15, "width": 20, "reduction": 0.5}
    np.testing.assert_array_equal(fit_style(style, rule="own", **sizes), resize_to(style, 40, 20))
    for rule in ("content", "cover", "long-side"):  # these follow the content, which is reduced already
        np.testing.assert_array_equal(
            fit_style(style, rule=rule, **sizes), fit_style(style, height=15, width=20, rule=rule)
        )


def test_cover_keeps_the_aspect_and_the_middle():
    style = ramps(80, 40)
    covered = fit_style(style, height=20, width=40, rule="cover")
    np.testing.assert_allclose(covered, style[30:50], atol=1e-6)  # the same scale: a plain crop
    squeezed = fit_style(style, height=20, width=40, rule="content")
    assert squeezed[0, 0, 1] < 0.05 < 0.3 < covered[0, 0, 1]


def test_an_unknown_rule():
    with pytest.raises(
        JaxstyleError, match=r"unknown style size 'covr'; did you mean 'cover'\? Allowed: content, cover"
    ):
        fit_style(noise(), height=4, width=4, rule="covr")
