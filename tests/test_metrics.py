import numpy as np
import pytest

from jaxstyle.synthesis.metrics import grey, grey_correlation, psnr

PICTURE = np.random.default_rng(0).uniform(size=(6, 7, 3)).astype(np.float32)


def test_a_picture_correlates_with_itself_and_its_negative():
    assert grey_correlation(PICTURE, PICTURE) == pytest.approx(1)
    assert grey_correlation(1 - PICTURE, PICTURE) == pytest.approx(-1)
    assert grey_correlation(0.5 * PICTURE + 0.1, PICTURE) == pytest.approx(1)


def test_the_correlation_is_numpys():
    other = np.random.default_rng(1).uniform(size=PICTURE.shape).astype(np.float32)
    expected = np.corrcoef(grey(PICTURE).ravel(), grey(other).ravel())[0, 1]
    assert grey_correlation(PICTURE, other) == pytest.approx(expected)


def test_a_flat_picture_correlates_with_nothing():
    flat = np.full_like(PICTURE, 0.4)
    assert abs(grey_correlation(flat, PICTURE)) < 1e-12  # its mean is rounded, in float64


def test_grey_levels_weigh_green_most():
    red, green, blue = (grey(np.eye(3, dtype=np.float32)[channel].reshape(1, 1, 3))[0, 0] for channel in range(3))
    assert (red, green, blue) == pytest.approx((0.299, 0.587, 0.114))


def test_psnr():
    assert psnr(PICTURE, PICTURE) == float("inf")
    darker = np.clip(PICTURE, 0.2, 1).astype(np.float64)
    assert psnr(darker - 0.1, darker) == pytest.approx(20)  # an error of 0.1 everywhere
