"""The printed look and its inverse."""

import numpy as np
import pytest

from jaxstyle.config import Display
from jaxstyle.network.weights import NETWORKS
from jaxstyle.runs.display import PAPER_INTERVAL, Look, look_of, printed, recorded_look, shown, undone

OXFORD = NETWORKS["oxford-normalized"].preprocessing
MEAN = np.array([123.68, 116.779, 103.939])  # red, green, blue of 0–255


def image(seed=0, low=-0.05, high=1.05):
    return np.random.default_rng(seed).uniform(low, high, size=(7, 5, 3)).astype(np.float32)


def by_the_authors(pixels):
    """(x − min) / (max − min) of the mean-subtracted image, over everything at once."""
    x = 255 * pixels.astype(np.float64) - MEAN
    return (x - x.min()) / (x.max() - x.min())


def test_the_printed_look_is_the_authors():
    own = look_of(Display.IMAGE, image(), OXFORD)
    found = shown(image(), own, Display.PAPER)
    np.testing.assert_allclose(found, by_the_authors(image()), atol=1e-6)  # float32
    assert [found.min(), found.max()] == pytest.approx([0, 1], abs=1e-6)


def test_a_panel_that_fills_the_range_is_undone_by_known_numbers():
    """R = 1.0774 R_p, G = 1.0774 G_p − 0.0271, B = 1.0774 B_p − 0.0774: the whole range less each channel's mean."""
    whole = (123.68 + 255 - 103.939) / 255
    shift = (MEAN - 123.68) / 255
    panel = image(1, 0, 1)
    np.testing.assert_allclose(undone(panel, PAPER_INTERVAL), whole * panel + shift, atol=1e-6)
    assert whole == pytest.approx(1.0774, abs=5e-5)
    assert shift == pytest.approx([0, -0.0271, -0.0774], abs=5e-5)


@pytest.mark.parametrize("interval", [PAPER_INTERVAL, ((-0.2, 0.9), (0.0, 1.1), (0.1, 1.2))])
def test_the_inverse_undoes_it(interval):
    np.testing.assert_allclose(undone(printed(image(), interval), interval), image(), atol=1e-6)
    np.testing.assert_allclose(printed(undone(image(), interval), interval), image(), atol=1e-6)


def test_an_image_without_a_range_is_black_and_not_infinite():
    interval = ((0.5, 0.5),) * 3
    assert np.all(printed(np.full((3, 4, 3), 0.5), interval) == 0)
    assert np.all(undone(np.zeros((3, 4, 3)), interval) == 0.5)


def test_a_look_travels_in_the_metadata():
    own = look_of(Display.PAPER, image(), OXFORD)
    assert recorded_look(own.to_metadata()) == own


@pytest.mark.parametrize(
    "damaged", ["", "{}", "[]", '{"display": "paper", "interval": [[0, 1]]}', '{"display": "x", "interval": 3}', "null"]
)
def test_a_file_without_a_look_has_none(damaged):
    assert recorded_look({}) is None
    assert recorded_look({"jaxstyle:display": damaged}) is None


def test_what_is_shown_as_wanted_stays():
    pixels = image()
    for display in Display:
        assert shown(pixels, Look(display, PAPER_INTERVAL), display) is pixels
