"""Tiles against the whole image: the same features, losses, gradients and targets; one program for all of them."""

import dataclasses
import functools
import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_runs import LAYERS as SHALLOW
from small_runs import make, smooth

from jaxstyle.devices import memory
from jaxstyle.errors import JaxstyleError
from jaxstyle.images import write_image
from jaxstyle.network.blocks import blocks_of
from jaxstyle.network.feature_network import FeatureNetwork
from jaxstyle.network.layers import BLOCKS, LAYERS
from jaxstyle.network.tiles import fold
from jaxstyle.network.vgg import VGG, split
from jaxstyle.network.weights import Weights
from jaxstyle.network.winograd import MatrixConv
from jaxstyle.paper.objective import compute_targets, evaluate
from jaxstyle.synthesis.preparation import Prepared, prepare, read_images
from jaxstyle.synthesis.tiles import Tiles
from jaxstyle.synthesis.transfer import transfer

EVERY_SUM = """loss.terms=[
    {kind = "means", layers = ["conv2_1"]},
    {kind = "moments", layers = ["conv1_1", "conv2_2"]},
    {kind = "wasserstein", layers = ["conv1_1"]},
    {kind = "variation", weight = 1e-3},
    {kind = "laplacian", pool = 2},
]""".replace("\n", " ")
"""Every kind of term that is a sum over positions, and some on the pixels."""
TWO_POOLINGS = {"loss": {"content_layers": ["conv2_2"], "style_layers": ["conv1_1", "conv2_1", "conv3_1"]}}
PAPERS = ["conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"]


def ready(folder: Path, weights: Weights, size: tuple[int, int], *overrides: str, **sections: Any) -> Prepared:
    write_image(folder / "photo.png", smooth(*size, 1))
    image = {"content": "photo.png", "style": "style.png", "size": max(size), **sections.pop("image", {})}
    experiment = make(folder, *overrides, image=image, **sections)
    (prepared,) = prepare(experiment, read_images(experiment), weights)
    return prepared


def in_tiles(whole: Prepared, side: int) -> Prepared:
    return dataclasses.replace(whole, objective=dataclasses.replace(whole.objective, parts=Tiles(side)))


def assert_same_loss(whole: Prepared, tiled: Prepared, image: np.ndarray) -> None:
    (loss, terms), gradient = evaluate(whole.objective, jnp.asarray(image), whole.problem)
    (same_loss, same_terms), same_gradient = evaluate(tiled.objective, jnp.asarray(image), tiled.problem)
    assert same_loss == pytest.approx(float(loss), rel=1e-5)  # float32, summed in another order
    for name, term in terms.items():
        assert same_terms[name] == pytest.approx(float(term), rel=1e-4, abs=1e-7 * float(loss)), name
    np.testing.assert_allclose(same_gradient, gradient, atol=1e-4 * np.abs(gradient).max(), rtol=0)


@pytest.mark.parametrize(
    ("size", "pooling", "side"),
    [((33, 23), "average", 12), ((18, 27), "max", 20), ((24, 24), "average", 8), ((23, 33), "max", 64)],
    ids=str,
)
def test_loss_and_gradient_are_those_of_the_whole_image(
    tiny: Weights, tmp_path: Path, size: tuple[int, int], pooling: str, side: int
):
    whole = ready(tmp_path, tiny, size, EVERY_SUM, network={"pooling": pooling}, **TWO_POOLINGS)
    image = np.random.default_rng(3).uniform(size=(*size, 3)).astype(np.float32)
    assert_same_loss(whole, in_tiles(whole, side), image)


def test_targets_are_those_of_the_whole_image(tiny: Weights, tmp_path: Path):
    whole = ready(tmp_path, tiny, (33, 23), EVERY_SUM, **TWO_POOLINGS)
    image, parameters = jnp.asarray(smooth(33, 23, 4), jnp.float32), whole.problem.parameters
    expected, found = (compute_targets(it.objective, image, parameters) for it in (whole, in_tiles(whole, 12)))
    assert found.keys() == expected.keys()
    jax.tree.map(
        lambda own, other: np.testing.assert_allclose(own, other, atol=1e-5 * np.abs(other).max(), rtol=0),
        found,
        expected,
    )


def test_regions_and_what_is_kept_are_those_of_the_whole_image(tiny: Weights, tmp_path: Path):
    """A region called content has guides that are named as the content's targets are."""
    write_image(tmp_path / "mask.png", smooth(21, 16, 5)[..., :1].repeat(3, axis=-1))
    weights = {"content": 2.0, "b": 0.0}
    masks = {"content": "mask.png", "style": "mask.png"}
    regions = {name: {**masks, "content_weight": weight} for name, weight in weights.items()}
    whole = ready(tmp_path, tiny, (21, 16), image={"regions": regions, "keep": "mask.png"})
    image = np.random.default_rng(3).uniform(size=(21, 16, 3)).astype(np.float32)
    assert_same_loss(whole, in_tiles(whole, 8), image)


def test_a_term_of_weight_0_counts_for_nothing_whatever_its_target_holds(tiny: Weights, tmp_path: Path):
    whole = ready(tmp_path, tiny, (18, 17))
    names = ("content/conv2_1", "style/conv1_1")
    weights = whole.problem.weights | dict.fromkeys(names, jnp.float32(0))
    targets = whole.problem.targets | {name: jnp.inf * whole.problem.targets[name] for name in names}
    problem = whole.problem._replace(weights=weights, targets=targets)
    whole = dataclasses.replace(whole, problem=problem)
    assert_same_loss(whole, in_tiles(whole, 8), np.full((18, 17, 3), 0.3, np.float32) + smooth(18, 17, 1) / 3)


def test_the_program_does_not_grow_with_the_image(tiny: Weights, tmp_path: Path):
    """Inner tiles, border tiles and tiles that reach beyond the image are all the same."""
    tiled = in_tiles(ready(tmp_path, tiny, (18, 17)), 8)
    lines = set()
    for height, width in ((33, 47), (257, 129)):
        size = jax.ShapeDtypeStruct((height, width, 3), jnp.float32)
        features = jax.ShapeDtypeStruct((height // 2, width // 2, 128), jnp.float32)
        problem = tiled.problem._replace(targets=tiled.problem.targets | {"content/conv2_1": features})
        lines.add(len(evaluate.lower(tiled.objective, size, problem).as_text().splitlines()))
    assert len(lines) == 1


@pytest.mark.parametrize("size", [(16, 17), (31, 40), (66, 33)], ids=str)
@pytest.mark.parametrize("side", [8, 12, 64])
def test_tiles_cover_every_position_once(size: tuple[int, int], side: int):
    blocks = blocks_of(LAYERS, size, side)
    assert [len(block.layers) for block in blocks] == [count for count, _ in BLOCKS]
    for depth, block in enumerate(blocks):
        assert (block.height, block.width) == tuple(length >> depth for length in size)
        parts = ((block.height, block.rows, block.tile_height), (block.width, block.columns, block.tile_width))
        for length, count, own in parts:
            assert own % 2 == 0
            assert own <= (side if depth == 0 else side // 2)
            assert (count - 1) * own < length <= count * own


@pytest.mark.parametrize("filters", [5, 512])
@pytest.mark.parametrize("size", [(9, 7), (24, 21)], ids=["few positions", "many"])
def test_a_convolution_without_padding_is_one_with_it_cut_off(size: tuple[int, int], filters: int):
    generator = np.random.default_rng(0)
    kernel, bias = generator.normal(size=(3, 3, 4, filters)), generator.normal(size=filters)
    convolution = MatrixConv(kernel.astype(np.float32), bias.astype(np.float32))
    features = jnp.asarray(generator.normal(size=(1, *size, 4)), jnp.float32)
    expected = convolution(features)[:, 1:-1, 1:-1]
    found = convolution(features, padding=0)
    atol = 1e-5 * np.abs(expected).max()  # Winograd's tiles lie elsewhere, and round otherwise
    np.testing.assert_allclose(found, expected, atol=atol, rtol=0)


def test_every_layers_features_are_those_of_the_whole_image(vgg19_normalized: Weights):
    """All five blocks, at a size of which odd rows and columns are dropped at every pooling."""
    network, parameters = split(VGG(vgg19_normalized.parameters, vgg19_normalized.preprocessing))
    image = jnp.asarray(smooth(95, 47, 1), jnp.float32)

    def read(features: Any, maps: Any, given: Any) -> Any:
        return {layer: jnp.sum(jnp.square(of)) for layer, of in features.items()}, dict(features)

    folded = functools.partial(fold, network, layers=LAYERS, read=read, side=32, differentiable=False)
    sums, found = jax.jit(folded)(parameters, image)
    expected = jax.jit(lambda parameters, image: network(parameters, image, LAYERS))(parameters, image)
    for layer in LAYERS:
        atol = 2e-5 * np.abs(expected[layer]).max()  # sixteen layers of another order of summation
        np.testing.assert_allclose(found[layer], expected[layer], atol=atol, rtol=0)
        assert sums[layer] == pytest.approx(float(jnp.sum(jnp.square(expected[layer]))), rel=1e-5)


def test_auto_takes_tiles_where_the_whole_image_would_not_fit(tiny: Weights, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(memory, "in_all", lambda: 10**9)
    assert ready(tmp_path, tiny, (33, 23)).objective.parts is None
    assert ready(tmp_path, tiny, (33, 23), image={"tile": 16}).objective.parts == Tiles(16)
    monkeypatch.setattr(memory, "in_all", lambda: 10**5)
    tiled = ready(tmp_path, tiny, (33, 23)).objective
    assert tiled.parts is not None
    assert ready(tmp_path, tiny, (33, 23), image={"tile": 0}).objective.parts is None
    for obstacle in ({"network": {"padding": "reflect"}}, {"loss": {"normalize": "gradients", **SHALLOW}}):
        assert ready(tmp_path, tiny, (33, 23), **obstacle).objective.parts is None
    monkeypatch.setattr(memory, "in_all", lambda: None)
    assert ready(tmp_path, tiny, (33, 23)).objective.parts is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": {"tile": 18}}, "image.tile: found 18; allowed: auto, 0, a multiple of 4 from 16 to 8192"),
        ({"image": {"tile": "aut"}}, "unknown tile 'aut'; did you mean 'auto'? Allowed: auto, 0, a multiple of 4"),
        ({"image": {"tile": True}}, "image.tile: found true; allowed: auto, 0, a multiple of 4"),
        ({"network": {"padding": "circular"}}, 'image.tile: found 16, but network.padding = "circular"'),
        ({"loss": {"normalize": "gradients"}}, 'image.tile: found 16, but loss.normalize = "gradients"'),
        (
            {
                "loss": {
                    "terms": [{"kind": "histogram", "layers": ["conv1_1"]}, {"kind": "means", "layers": ["conv1_1"]}]
                }
            },
            'image.tile: found 16, but histogram/conv1_1 are no sums over positions; allowed: 0, "auto"',
        ),
    ],
    ids=["side", "word", "type", "padding", "normalize", "terms"],
)
def test_what_cannot_be_in_tiles_is_refused(tmp_path: Path, changes: dict[str, Any], message: str):
    with pytest.raises(JaxstyleError, match=re.escape(message)):
        make(
            tmp_path,
            **{
                **changes,
                "image": {"style": "style.png", "content": "content.png", "tile": 16} | changes.get("image", {}),
            },
        )


def test_a_network_of_ones_own_has_no_blocks_to_cut():
    photo, style = smooth(24, 20, 0), smooth(20, 20, 1)
    network = FeatureNetwork(lambda parameters, image: {"pixels": image}, {}, layers=("pixels",))
    loss = {"content_layers": ["pixels"], "style_layers": ["pixels"]}
    options = {"network": network, "loss": loss, "optimizer": {"iterations": 1}}
    assert transfer(photo, style, image={"size": 24}, **options).image.shape == (24, 20, 3)
    with pytest.raises(JaxstyleError, match=r"image\.tile: found 16, but the network is a function of your own"):
        transfer(photo, style, network=network, image={"size": 24, "tile": 16}, loss=loss)


def test_the_papers_networks_gradient_is_that_of_the_whole_image(vgg19_normalized: Weights, tmp_path: Path):
    """Its unread layers, of whose responses only the signs are kept, lie one behind another."""
    whole = ready(tmp_path, vgg19_normalized, (70, 83), loss={"content_layers": ["conv4_2"], "style_layers": PAPERS})
    tiled, image = in_tiles(whole, 48), jnp.asarray(smooth(70, 83, 4), jnp.float32)
    (loss, _), gradient = evaluate(whole.objective, image, whole.problem)
    (same_loss, _), same_gradient = evaluate(tiled.objective, image, tiled.problem)
    assert same_loss == pytest.approx(float(loss), rel=1e-5)
    # Winograd's tiles lie elsewhere; responses that round to the other side of the ReLU's kink: 3e-4 was seen.
    assert np.linalg.norm(same_gradient - gradient) <= 1e-3 * np.linalg.norm(gradient)


def test_a_pixel_takes_what_is_kept_of_two_blocks(vgg19_normalized: Weights, tmp_path: Path):
    """The gradients of all blocks together would make 330 bytes of it; XLA is prone to make them at once, of zeros."""
    tiled = in_tiles(
        ready(tmp_path, vgg19_normalized, (32, 32), loss={"content_layers": ["conv4_2"], "style_layers": PAPERS}), 64
    )
    held = []
    for side in (512, 1024):
        image = jax.ShapeDtypeStruct((side, side, 3), jnp.float32)
        features = jax.ShapeDtypeStruct((side // 8, side // 8, 512), jnp.float32)
        problem = tiled.problem._replace(targets=tiled.problem.targets | {"content/conv4_2": features})
        program = evaluate.lower(tiled.objective, image, problem).compile()
        held.append(memory.of_program(program))
    assert (held[1] - held[0]) / (1024**2 - 512**2) < 270
