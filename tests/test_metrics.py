import csv
from pathlib import Path

import numpy as np
import pytest
from small_commands import Register, Run
from small_runs import read_manifest

from jaxstyle import metrics
from jaxstyle.images.luminance import luminance
from jaxstyle.metrics.grey_correlation import grey_correlation
from jaxstyle.metrics.psnr import psnr
from jaxstyle.metrics.ssim import ssim

IMAGE = np.random.default_rng(0).uniform(size=(6, 7, 3)).astype(np.float32)


def test_an_image_correlates_with_itself_and_its_negative():
    assert grey_correlation(IMAGE, IMAGE) == pytest.approx(1)
    assert grey_correlation(1 - IMAGE, IMAGE) == pytest.approx(-1)
    assert grey_correlation(0.5 * IMAGE + 0.1, IMAGE) == pytest.approx(1)


def test_the_correlation_is_numpys():
    other = np.random.default_rng(1).uniform(size=IMAGE.shape).astype(np.float32)
    expected = np.corrcoef(luminance(IMAGE).ravel(), luminance(other).ravel())[0, 1]
    assert grey_correlation(IMAGE, other) == pytest.approx(expected)


def test_a_flat_image_correlates_with_nothing():
    flat = np.full_like(IMAGE, 0.4)
    assert abs(grey_correlation(flat, IMAGE)) < 1e-12  # its mean is rounded, in float64


def test_grey_levels_weigh_green_most():
    red, green, blue = (luminance(np.eye(3, dtype=np.float32)[channel].reshape(1, 1, 3))[0, 0] for channel in range(3))
    assert (red, green, blue) == pytest.approx((0.299, 0.587, 0.114))


def test_psnr():
    assert psnr(IMAGE, IMAGE) == float("inf")
    darker = np.clip(IMAGE, 0.2, 1).astype(np.float64)
    assert psnr(darker - 0.1, darker) == pytest.approx(20)  # an error of 0.1 everywhere


def test_ssim_is_scikit_images():
    structural_similarity = pytest.importorskip("skimage.metrics").structural_similarity
    first, second = (np.random.default_rng(seed).uniform(size=(17, 23, 3)).astype(np.float32) for seed in (1, 2))
    near = np.clip(0.8 * first + 0.2 * second, 0, 1)
    options = {"data_range": 1.0, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    for other in (near, second):
        expected = structural_similarity(luminance(first), luminance(other), **options)
        assert ssim(first, other) == pytest.approx(expected, rel=1e-12)  # both in float64
    assert ssim(first, near) > ssim(first, second)
    assert ssim(first, first) == 1.0


def test_ssim_is_the_same_in_pieces(monkeypatch: pytest.MonkeyPatch):
    images = [np.random.default_rng(seed).uniform(size=(31, 14, 3)) for seed in (1, 2)]
    whole = ssim(*images)
    for rows in (20, 7, 1):
        monkeypatch.setattr(f"{ssim.__module__}.ROWS", rows)
        assert ssim(*images) == pytest.approx(whole, rel=1e-12)


def test_ssim_is_that_of_the_paper():
    """Wang et al. 2004, Eq. 13, written out for one window: the whole of an image of 11×11 pixels."""
    image, other = (np.random.default_rng(seed).uniform(size=(11, 11, 3)) for seed in (3, 4))
    steps = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    weights = np.outer(steps, steps) / np.outer(steps, steps).sum()
    x, y = luminance(image), luminance(other)
    mean_x, mean_y = np.sum(weights * x), np.sum(weights * y)
    covariance = np.sum(weights * (x - mean_x) * (y - mean_y))
    variances = np.sum(weights * (x - mean_x) ** 2) + np.sum(weights * (y - mean_y) ** 2)
    expected = (2 * mean_x * mean_y + 1e-4) * (2 * covariance + 9e-4)
    expected /= (mean_x**2 + mean_y**2 + 1e-4) * (variances + 9e-4)
    assert ssim(image, other) == pytest.approx(expected, rel=1e-12)


def test_there_is_no_ssim_of_an_image_without_a_window_or_a_content():
    assert "ssim" not in metrics.measure_all(IMAGE, IMAGE)
    large = np.ones((11, 40, 3), np.float32)
    assert metrics.measure_all(large, large)["ssim"] == 1.0
    assert "ssim" not in metrics.measure_all(large, None)


# a metric of one's own


def closeness(image, content, styles):
    return 1 - float(np.mean(np.abs(image - content))) if content is not None and len(styles) == 1 else None


def broken(image, content, styles):
    raise ZeroDivisionError("of its own")


CLOSENESS = metrics.Metric(closeness, higher_is_better=True, label="closeness", form="close by {:.2f}")
BROKEN = metrics.Metric(broken, higher_is_better=True, label="broken")


@pytest.fixture
def own(registered: Register) -> None:
    registered(metrics, "closeness", CLOSENESS)


@pytest.mark.usefixtures("own")
def test_a_metric_of_ones_own_is_recorded_reported_and_ranked_by(jaxstyle_command: Run, folder: Path):
    done = jaxstyle_command("run", "small.toml", "--out", "s", "--set", "sweep.start.seed=[1, 2]")
    assert done.exit_code == 0, done.output
    found = [read_manifest(folder / f"s/members/{index}")["metrics"]["closeness"] for index in (0, 1)]
    table = list(csv.DictReader((folder / "s/table.csv").read_text().splitlines()))
    assert [float(row["closeness"]) for row in table] == found
    report = jaxstyle_command("report", "s", "--rank", "closeness")
    best = 1 if found[0] > found[1] else 2
    assert f"best, by the highest closeness: seed = {best}" in report.output
    assert f"close by {found[0]:.2f}" in (folder / "s/report/index.html").read_text(encoding="utf-8")


@pytest.mark.usefixtures("own")
def test_it_is_left_out_where_there_is_no_such_number():
    assert "closeness" not in metrics.measure_all(IMAGE, None, ())
    assert metrics.measure_all(IMAGE, IMAGE, [IMAGE])["closeness"] == 1.0


def test_one_that_fails_costs_no_result(registered: Register):
    registered(metrics, "broken", BROKEN)
    with pytest.warns(UserWarning, match="metric broken: ZeroDivisionError: of its own"):
        found = metrics.measure_all(IMAGE, IMAGE)
    assert found.keys() == {"grey_correlation", "psnr"}
