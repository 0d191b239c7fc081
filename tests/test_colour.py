"""Colour control: matching, luminance alone, and what becomes of images without colours."""

import json
from pathlib import Path

import numpy as np
import pytest
from small_commands import Run
from small_runs import CONTENT_SIZE, make, read_manifest, smooth, write_images

import jaxstyle
from jaxstyle.errors import JaxstyleError
from jaxstyle.images import read_image, resize_to, write_image
from jaxstyle.images.luminance import grey_image, luminance, match_mean_and_deviation, shift_mean, with_luminance
from jaxstyle.images.matching import TRANSFORMS, Colours, colours_of, match_colours, pooled
from jaxstyle.network.weights import Weights
from jaxstyle.synthesis.preparation import coloured, read_images

GREY = np.repeat(smooth(20, 30, seed=3)[..., :1], 3, axis=-1)
ONE_COLOUR = np.broadcast_to(np.array([0.2, 0.5, 0.9]), (20, 30, 3))
CHROMA = np.array([[-0.147, -0.289, 0.436], [0.615, -0.515, -0.1]])
"""U and V of the equations that colour television was made with: both are 0 for grey."""


def chroma(pixels: np.ndarray) -> np.ndarray:
    return pixels @ CHROMA.T


# matching


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_matched_pixels_have_the_mean_and_the_covariance(transform: str):
    source, target = (colours_of(smooth(*size, seed=seed)) for size, seed in (((40, 30), 4), ((24, 50), 5)))
    found = colours_of(match_colours(smooth(40, 30, seed=4), source, target, transform))
    np.testing.assert_allclose(found.mean, target.mean, atol=1e-9)
    np.testing.assert_allclose(found.covariance, target.covariance, atol=1e-3)  # by the ridge


def test_the_transforms_are_what_their_names_say():
    source, target = (colours_of(smooth(30, 30, seed=seed)).covariance for seed in (6, 7))
    maps = {name: transform(source, target) for name, transform in TRANSFORMS.items()}
    np.testing.assert_allclose(maps["cholesky"], np.tril(maps["cholesky"]), atol=1e-9)
    np.testing.assert_allclose(maps["optimal-transport"], maps["optimal-transport"].T, atol=1e-6)
    for matrix in maps.values():
        np.testing.assert_allclose(matrix @ source @ matrix.T, target, atol=1e-9)
    # Of all maps with that covariance, tr(W C) is largest for the one that moves colours least.
    moved = {name: -np.trace(matrix @ source) for name, matrix in maps.items()}
    assert min(moved, key=lambda name: moved[name]) == "optimal-transport"


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("flat", [GREY, ONE_COLOUR, np.zeros((4, 4, 3)), np.ones((4, 4, 3))])
def test_images_without_colours_break_nothing(transform: str, flat: np.ndarray):
    coloured_image = smooth(24, 24, seed=8)
    for image, other in ((flat, coloured_image), (coloured_image, flat), (flat, flat)):
        found = match_colours(image, colours_of(image), colours_of(other), transform)
        assert np.isfinite(found).all()
        np.testing.assert_allclose(found.mean(axis=(0, 1)), other.mean(axis=(0, 1)), atol=1e-6)


def test_an_unknown_transform_is_answered():
    nothing = Colours(np.zeros(3), np.eye(3))
    with pytest.raises(JaxstyleError, match="unknown transform 'pcs'; did you mean 'pca'"):
        match_colours(GREY, nothing, nothing, "pcs")


def test_pooled_colours_are_those_of_all_pixels():
    first, second = smooth(10, 10, seed=1), smooth(10, 10, seed=2)
    together = colours_of(np.concatenate([first, first, second]))
    found = pooled([colours_of(first), colours_of(second)], [2.0, 1.0])
    np.testing.assert_allclose(found.mean, together.mean)
    np.testing.assert_allclose(found.covariance, together.covariance)


# luminance


def test_an_exchange_of_luminance_leaves_the_chroma():
    pixels, levels = smooth(20, 30, seed=1), smooth(20, 30, seed=2)[..., 0]
    found = with_luminance(pixels, levels)
    np.testing.assert_allclose(luminance(found), levels, atol=1e-12)
    np.testing.assert_allclose(chroma(found), chroma(pixels), atol=1e-12)
    np.testing.assert_allclose(luminance(grey_image(levels)), levels, atol=1e-12)


def test_luminance_gets_the_statistics():
    levels, target = 0.3 + 0.1 * smooth(20, 30, seed=1)[..., 0], smooth(10, 10, seed=2)[..., 1]
    shifted, matched = shift_mean(levels, target), match_mean_and_deviation(levels, target)
    assert shifted.mean() == pytest.approx(target.mean())
    assert shifted.std() == pytest.approx(levels.std())
    assert matched.mean() == pytest.approx(target.mean())
    assert matched.std() == pytest.approx(target.std())
    assert np.isfinite(match_mean_and_deviation(np.full((3, 3), 0.5), target)).all()


# in an experiment


def chroma_error(result: np.ndarray, content: np.ndarray) -> float:
    """The largest difference where no channel was clipped; at least half of the pixels are such."""
    inside = ((result > 0) & (result < 1)).all(axis=-1)
    assert inside.mean() > 0.5
    return float(np.abs(chroma(result) - chroma(content))[inside].max())


@pytest.mark.parametrize("rule", ["mean-and-deviation", "mean", "afterwards"])
def test_with_luminance_the_results_chroma_is_the_contents(rule: str, tiny: Weights, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("jaxstyle.synthesis.transfer.load_weights", lambda name: tiny)
    content, style = 0.3 + 0.4 * smooth(*CONTENT_SIZE, seed=1), smooth(30, 30, seed=2)
    seen: list[np.ndarray] = []
    result = jaxstyle.transfer(
        content,
        style,
        image={"size": 32},
        loss={"content_layers": ["conv2_1"], "style_layers": ["conv1_1"]},
        start={"method": "content"},
        optimizer={"iterations": 4},
        colour={"method": "luminance", "luminance": rule},
        observe=lambda iterations, best: seen.append(best()),
    )
    expected = resize_to(content, *result.image.shape[:2])
    assert chroma_error(result.image, expected) < 1e-3
    assert chroma_error(seen[-1], expected) < 1e-3
    assert np.abs(luminance(result.image) - luminance(expected)).max() > 0.01


def test_with_match_the_source_has_the_others_colours(tmp_path: Path):
    write_images(tmp_path)
    # Of middling contrast, so that nothing is clipped.
    write_image(tmp_path / "calm.png", 0.4 + 0.1 * smooth(*CONTENT_SIZE, seed=1), bits=16)
    for change, changed, kept in (("style", "style", "content"), ("content", "content", "style")):
        calm = "image.content" if change == "style" else "image.style"
        experiment = make(tmp_path, f"{calm}={tmp_path}/calm.png", "colour.method=match", f"colour.change={change}")
        before = read_images(experiment)
        after = coloured(experiment, before)
        found, target, same = after.by_role()[changed], before.by_role()[kept], before.by_role()[changed]
        assert after.by_role()[kept] is target
        assert found.sha256 != same.sha256
        np.testing.assert_allclose(colours_of(found.pixels).mean, colours_of(target.pixels).mean, atol=1e-3)
        np.testing.assert_allclose(colours_of(found.pixels).covariance, colours_of(target.pixels).covariance, atol=1e-3)


def test_nothing_changes_unless_asked_for(tmp_path: Path):
    experiment = make(tmp_path)
    before = read_images(experiment)
    assert coloured(experiment, before) == before
    afterwards = make(tmp_path, "colour.method=luminance", "colour.luminance=afterwards")
    assert coloured(afterwards, before) == before


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["colour.method=lumnance"], "unknown method 'lumnance'; did you mean 'luminance'"),
        (["colour.transform=cholesky"], "colour.transform: found cholesky with colour.method = none"),
        (
            ["colour.method=match", "colour.luminance=mean"],
            "colour.luminance: found mean with colour.method = match, which has none; allowed with: luminance",
        ),
        (["colour.method=match", "image.style=[]"], 'found "match", but there is no image.style'),
    ],
)
def test_what_cannot_be_is_answered(tmp_path: Path, overrides: list[str], message: str):
    with pytest.raises(JaxstyleError, match=message):
        make(tmp_path, *overrides)


def test_without_content_there_is_no_chroma_to_keep(tmp_path: Path):
    with pytest.raises(JaxstyleError, match=r'colour.method: found "luminance", but there is no image.content'):
        make(tmp_path, "colour.method=luminance", image={"style": "style.png"})


def test_a_sweep_over_methods_is_recorded_and_reported(jaxstyle_command: Run, folder: Path):
    changes = ('sweep.colour.method=["none", "luminance", "match"]', "output.save_every=1")
    done = jaxstyle_command("run", "small.toml", "--out", "s", *(f"--set={change}" for change in changes))
    assert done.exit_code == 0, done.output
    content = read_image(folder / "content.png").pixels
    errors = []
    for index in "012":
        member = folder / "s" / "members" / index
        result = read_image(member / "result.png").pixels
        on_the_way = read_image(sorted((member / "images").glob("*.png"))[-1]).pixels
        errors.append(
            [
                np.abs(chroma(image) - chroma(resize_to(content, *image.shape[:2]))).mean()
                for image in (result, on_the_way)
            ]
        )
        assert json.loads((member / "experiment.json").read_text())["colour"]["transform"] == "pca"
        assert read_manifest(member)["metrics"]["gram_distance"]
    assert max(errors[1]) < 0.02 < min(*errors[0], *errors[2])  # 8 bits, and pixels that are clipped
    report = jaxstyle_command("report", "s")
    assert report.exit_code == 0, report.output
    page = next((folder / "s").rglob("*.html")).read_text(encoding="utf-8")
    assert "colour.method" in page.replace("<wbr>", "")
