"""Images and an experiment made ready to optimize: the scales, and what belongs to each."""

from pathlib import Path

import numpy as np
import pytest
from small_runs import make, smooth

from jaxstyle.errors import JaxstyleError
from jaxstyle.images import LoadedImage, resize_to, write_image
from jaxstyle.network.weights import NETWORKS, Weights
from jaxstyle.paper.objective import compute_targets
from jaxstyle.synthesis.planning import plan
from jaxstyle.synthesis.preparation import SourceImages, prepare, read_images, white_noise


def sizes(folder: Path, *overrides: str, **sections) -> list[int]:
    experiment = make(folder, *overrides, **sections)
    return [scale.size for scale in plan(experiment, read_images(experiment))]


def test_white_noise_is_one_grey_level_around_the_mean_colour():
    preprocessing = NETWORKS["oxford"].preprocessing
    noise = white_noise(3, (200, 300), preprocessing) - preprocessing.mean_colour
    # 60,000 draws a channel: means within 4 standard errors of 0, spreads within 2 % of σ = 1.
    assert np.all(np.abs(255 * noise.mean(axis=(0, 1))) < 4 / np.sqrt(60_000))
    np.testing.assert_allclose(255 * noise.std(axis=(0, 1)), 1, rtol=0.02)


def test_a_single_scale_is_the_default(tmp_path: Path):
    assert sizes(tmp_path, "image.size=200") == [200]


def test_auto_leads_up_to_the_size(tmp_path: Path):
    assert sizes(tmp_path, "image.size=200", "image.scales=auto", "optimizer.iterations=500") == [71, 100, 141, 200]
    assert sizes(tmp_path, "image.size=60", "image.scales=auto") == [60]


def test_a_list_is_what_it_says(tmp_path: Path):
    assert sizes(tmp_path, "image.size=60", "image.scales=[20, 41, 60]") == [20, 41, 60]


def test_no_more_scales_than_iterations(tmp_path: Path):
    assert sizes(tmp_path, "image.size=200", "image.scales=auto", "optimizer.iterations=2") == [141, 200]


def test_auto_leaves_out_what_is_too_small_and_a_list_is_refused(tmp_path: Path):
    write_image(tmp_path / "thin.png", smooth(20, 400, seed=3))
    thin = {"content": "thin.png", "style": "style.png"}
    deep = {"style_layers": ["conv1_1", "conv4_1"]}  # three poolings: both sides at least 8
    auto = ("image.size=400", "image.scales=auto", "optimizer.iterations=500")
    assert sizes(tmp_path, *auto, image=thin, loss=deep) == [200, 283, 400]  # at 141, 7 rows
    with pytest.raises(JaxstyleError, match=r"image\.scales: 100: an image of 100×5 .* conv4_1.*at least 8"):
        sizes(tmp_path, "image.scales=[100, 400]", "image.size=400", image=thin, loss=deep)


def test_a_style_image_that_is_too_small_counts_as_well(tmp_path: Path):
    write_image(tmp_path / "thin.png", smooth(12, 400, seed=3))
    thin = {"content": "content.png", "style": "thin.png", "style_size": "own"}
    deep = {"style_layers": ["conv1_1", "conv4_1"]}
    auto = ("image.size=400", "image.scales=auto", "optimizer.iterations=500")
    assert sizes(tmp_path, *auto, image=thin, loss=deep) == [283, 400]  # at 200, 6 rows of the style
    with pytest.raises(JaxstyleError, match=r"thin\.png: an image of 200×6"):
        sizes(tmp_path, "image.scales=[200, 400]", "image.size=400", image=thin, loss=deep)


@pytest.mark.parametrize("rule", ["content", "cover", "long-side", "own"])
def test_every_scale_is_measured_on_the_originals(tmp_path: Path, tiny: Weights, rule: str):
    content, style = (smooth(90, 120, seed=1).astype(np.float32), smooth(80, 70, seed=2).astype(np.float32))
    images = SourceImages(LoadedImage(content, "content", ""), (LoadedImage(style, "style", ""),), None)
    experiment = make(tmp_path, "image.size=64", "image.scales=[32, 64]", f"image.style_size={rule}")
    small, large = prepare(experiment, images, tiny)
    assert (small.start.shape, large.start.shape) == ((24, 32, 3), (48, 64, 3))
    np.testing.assert_array_equal(small.content, resize_to(content, 24, 32))
    np.testing.assert_array_equal(large.content, resize_to(content, 48, 64))
    # `own` is 80×70 at the result's scale and half as large at half of it.
    shapes = {"content": (24, 32), "long-side": (32, 28), "own": (40, 35)}
    if rule in shapes:
        wanted = compute_targets(small.objective, resize_to(style, *shapes[rule]), small.problem.parameters)
        for name in ("style/conv1_1", "style/conv2_1"):
            target = small.problem.targets[name]
            # A size of its own is a program of its own, which may sum in another order.
            np.testing.assert_allclose(target, wanted[name], rtol=1e-4, atol=1e-4 * float(np.abs(target).max()))


@pytest.mark.parametrize("method", ["noise", "content", "style"])
def test_every_scale_has_a_start_of_its_own(tmp_path: Path, tiny: Weights, method: str):
    experiment = make(tmp_path, "image.size=48", "image.scales=[24, 48]", f"start.method={method}")
    images = read_images(experiment)
    for prepared, shape in zip(prepare(experiment, images, tiny), [(18, 24), (36, 48)], strict=True):
        if method == "noise":
            np.testing.assert_array_equal(prepared.start, white_noise(0, shape, tiny.preprocessing))
        else:
            np.testing.assert_array_equal(prepared.start, resize_to(images.by_role()[method].pixels, *shape))
