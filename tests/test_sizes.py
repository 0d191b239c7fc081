"""Sizes by area, styles of their own scale, aspect ratios of textures, and textures that tile."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from small_runs import make, smooth

import jaxstyle
from jaxstyle.config import experiment_from_mapping
from jaxstyle.errors import JaxstyleError
from jaxstyle.images import area_shape, fit_style
from jaxstyle.network.layers import Padding
from jaxstyle.network.vgg import VGG
from jaxstyle.network.weights import Weights
from jaxstyle.paper.objective import evaluate
from jaxstyle.synthesis.preparation import prepare, read_images
from jaxstyle.synthesis.sources import result_shape, style_shapes

MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


# What is beyond the border


@pytest.mark.parametrize("padding", [*Padding])
@pytest.mark.parametrize("convolution", ["direct", "winograd"])
def test_convolutions_find_what_numpy_pads(tiny: Weights, padding: str, convolution: str):
    network = VGG(tiny.parameters, tiny.preprocessing, layers=["conv2_1"], padding=padding, convolution=convolution)
    image = smooth(9, 14, seed=1).astype(np.float32)
    found = network(jnp.asarray(image), ["conv1_1", "conv1_2", "conv2_1"])
    hidden = np.asarray(network.preprocess(jnp.asarray(image)), np.float64)
    for layer in ("conv1_1", "conv1_2", "conv2_1"):
        if layer == "conv2_1":
            hidden = hidden[:8].reshape(4, 2, 7, 2, -1).mean(axis=(1, 3))
        padded = np.pad(hidden, ((1, 1), (1, 1), (0, 0)), mode=MODES[padding])  # pyright: ignore[reportArgumentType]
        kernel = tiny.parameters[layer]["kernel"].astype(np.float64)
        height, width, _ = hidden.shape
        products = sum(padded[y : y + height, x : x + width] @ kernel[y, x] for y in range(3) for x in range(3))
        hidden = np.maximum(products + tiny.parameters[layer]["bias"], 0)
        np.testing.assert_allclose(found[layer], hidden, atol=1e-4 * hidden.max())


def test_one_pixel_can_be_padded(tiny: Weights):
    for padding in [*Padding]:
        network = VGG(tiny.parameters, tiny.preprocessing, layers=["conv2_1"], padding=padding)
        assert np.isfinite(network(jnp.ones((2, 2, 3)), ["conv2_1"])["conv2_1"]).all()


def test_an_unknown_padding_is_answered(tmp_path: Path):
    with pytest.raises(JaxstyleError, match=r"network.padding: unknown padding 'mirror'\. Allowed: zeros, reflect"):
        make(tmp_path, "network.padding=mirror")


# Textures that tile


TEXTURE = ("start.seed=3", 'loss.style_layers=["conv1_1", "conv2_1", "conv3_1"]', "optimizer.iterations=60")


def seam(image: np.ndarray) -> float:
    """How much more pixels differ across the border of two tiles than within one."""
    tiled = np.tile(image, (2, 2, 1)).astype(np.float64)
    height, width, _ = image.shape
    down, across = np.abs(np.diff(tiled, axis=0)).mean(axis=(1, 2)), np.abs(np.diff(tiled, axis=1)).mean(axis=(0, 2))
    return max(down[height - 1] / np.median(down), across[width - 1] / np.median(across))


def test_a_texture_tiles_with_circular_padding_alone(tiny: Weights, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("jaxstyle.synthesis.transfer.load_weights", lambda name: tiny)
    seams = {}
    for padding in ("circular", "zeros"):
        result = jaxstyle.transfer(
            None,
            smooth(40, 40, seed=5),
            image={"size": 32, "aspect": 2.0},
            network={"padding": padding},
            loss={"style_layers": ["conv1_1", "conv2_1", "conv3_1"], "tv_weight": 0.0},
            optimizer={"iterations": 60},
        )
        assert result.image.shape == (16, 32, 3)
        seams[padding] = seam(result.image)
    assert seams["circular"] < 1.5 < seams["zeros"]


def test_with_circular_padding_an_image_has_no_border(tmp_path: Path, tiny: Weights):
    """Rolled by whole positions of the deepest layer, it has the same loss and a rolled gradient."""
    texture = make(tmp_path, *TEXTURE, "network.padding=circular", image={"style": "style.png", "size": 32})
    (prepared,) = prepare(texture, read_images(texture), tiny)
    image = jnp.asarray(smooth(32, 32, seed=6), jnp.float32)
    (loss, _), gradient = evaluate(prepared.objective, image, prepared.problem)
    (rolled, _), also = evaluate(prepared.objective, jnp.roll(image, (4, 12), axis=(0, 1)), prepared.problem)
    assert float(rolled) == pytest.approx(float(loss), rel=1e-5)
    back = jnp.roll(also, (-4, -12), axis=(0, 1))
    np.testing.assert_allclose(back, gradient, atol=1e-4 * float(jnp.abs(gradient).max()))


def test_sides_that_do_not_tile_are_refused(tmp_path: Path, tiny: Weights):
    image = {"style": "style.png", "size": 30}
    experiment = make(tmp_path, *TEXTURE, "network.padding=circular", image=image)
    with pytest.raises(JaxstyleError, match=r"30×30 pixels cannot be tiled: .* must be multiples of 4"):
        prepare(experiment, read_images(experiment), tiny)


# Sizes


@pytest.mark.parametrize(
    ("shape", "expected"), [((100, 400), (256, 1024)), ((300, 300), (512, 512)), ((1, 900), (17, 15360))]
)
def test_an_area_is_that_of_a_square(shape: tuple[int, int], expected: tuple[int, int]):
    assert area_shape(shape, 512) == expected


def shapes(tmp_path: Path, *overrides: str, **image) -> tuple[tuple[int, int], tuple[tuple[int, int], ...]]:
    experiment = make(tmp_path, *overrides, image={"content": "content.png", "style": "style.png", **image})
    images = read_images(experiment)
    return result_shape(experiment, images, 32), style_shapes(experiment, images, 32)


def test_sizes_of_results_and_styles(tmp_path: Path):
    """The content has 24 rows and 32 columns, the style 30 and 30."""
    assert shapes(tmp_path) == ((24, 32), ((24, 32),))
    assert shapes(tmp_path, "image.size_rule=area") == ((28, 37), ((28, 37),))
    assert shapes(tmp_path, "image.size_rule=area", "image.style_size=area") == ((28, 37), ((32, 32),))
    assert shapes(tmp_path, "image.style_size=long-side") == ((24, 32), ((32, 32),))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("content", (36, 48)), ("cover", (36, 48)), ("long-side", (48, 48)), ("area", (42, 42)), ("own", (45, 45))],
)
def test_a_style_has_a_scale_of_its_own(tmp_path: Path, rule: str, expected: tuple[int, int]):
    style = [{"image": "style.png", "scale": 1.5}, "content.png"]
    _, (first, second) = shapes(tmp_path, f"image.style_size={rule}", style=style)
    assert first == expected
    assert second == {"own": (24, 32)}.get(rule, (24, 32))


def test_a_scaled_style_is_measured_at_that_size(tmp_path: Path, tiny: Weights):
    style = smooth(30, 30, seed=2)
    assert fit_style(style, height=36, width=48, rule="cover").shape == (36, 48, 3)
    scaled = make(tmp_path, image={"content": "content.png", "style": [{"image": "style.png", "scale": 0.5}]})
    half = make(tmp_path, image={"content": "content.png", "style": "style.png", "size": 16})
    targets = [
        prepare(experiment, read_images(experiment), tiny)[0].problem.targets["style/conv2_1"]
        for experiment in (scaled, half)
    ]
    np.testing.assert_allclose(*targets, rtol=1e-5)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ({"content": "content.png", "aspect": 2.0}, "image.aspect: found 2, but the result has the aspect ratio of"),
        (
            {"style": [{"image": "style.png", "scale": 0.0}]},
            r"image.style\[0\].scale: found 0.0; allowed: 0.0625 or more",
        ),
        (
            {"style": "style.png", "size_rule": "areas"},
            "image.size_rule: unknown size rule 'areas'; did you mean 'area'",
        ),
    ],
)
def test_what_cannot_be_is_answered(tmp_path: Path, image: dict, message: str):
    with pytest.raises(JaxstyleError, match=message):
        experiment_from_mapping({"image": image}, source="here", folder=tmp_path)
