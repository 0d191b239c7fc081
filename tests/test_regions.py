"""Regions: guides against float64 NumPy, guided terms against the plain ones, and runs with masks."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_commands import Run
from small_runs import CONTENT_SIZE, make, read_manifest, read_metrics, smooth, write_images

import jaxstyle
from jaxstyle.config import Experiment
from jaxstyle.errors import JaxstyleError
from jaxstyle.images import fit_mask, fit_style, read_image, resize_to, write_image
from jaxstyle.network.layers import LAYERS, downsampling
from jaxstyle.network.weights import Weights
from jaxstyle.optimizers.device import advance_once
from jaxstyle.paper.objective import compute_targets, evaluate
from jaxstyle.sweeps.sharing import share
from jaxstyle.synthesis.guides import VGG, guides, normalized
from jaxstyle.synthesis.optimization import Track, optimize, optimize_together
from jaxstyle.synthesis.preparation import Prepared, prepare, read_images
from jaxstyle.synthesis.regions import grey

LEFT = np.zeros((24, 32), np.float32)
LEFT[:, :16] = 1


def write_mask(folder: Path, name: str, mask: np.ndarray) -> str:
    write_image(folder / name, np.repeat(mask[..., None], 3, axis=-1).astype(np.float32), bits=16)
    return str(folder / name)


def halves(folder: Path) -> dict[str, dict[str, str]]:
    """Two halves of the content, each with the other half of the style."""
    left, right = write_mask(folder, "left.png", LEFT), write_mask(folder, "right.png", 1 - LEFT)
    return {"a": {"content": left, "style": right}, "b": {"content": right, "style": left}}


def ready(experiment: Experiment, weights: Weights, **options) -> Prepared:
    return prepare(experiment, read_images(experiment), weights, **options)[-1]


# Guides


def receptive_field(layer: str, position: int) -> range:
    """The pixels, along one axis, that a neuron sees."""
    first = last = position
    for above in reversed(LAYERS[: LAYERS.index(layer) + 1]):
        first, last = first - 1, last + 1
        if above.endswith("_1") and downsampling(above):
            first, last = 2 * first, 2 * last + 1
    return range(first, last + 1)


@pytest.mark.parametrize("layer", ["conv1_1", "conv2_2", "conv3_1", "conv3_3"])
def test_all_touch_and_inside_lie_in(layer: str):
    mask = np.zeros((46, 61))
    mask[5:40, 10:52] = 1
    touched = guides(mask, [layer], rule="all")[layer]
    inside = guides(mask, [layer], rule="inside")[layer]
    height, width, _ = VGG.shape(mask.shape, layer)
    assert touched.shape == inside.shape == (height, width)
    for row in range(height):
        for column in range(width):
            rows, columns = receptive_field(layer, row), receptive_field(layer, column)
            own = [
                mask[y, x] if 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1] else None for y in rows for x in columns
            ]
            assert touched[row, column] == any(value == 1 for value in own)
            assert inside[row, column] == all(value != 0 for value in own)


def test_a_region_grows_and_shrinks_by_neurons():
    mask = np.zeros((32, 32))
    mask[8:24, 8:24] = 1
    (plain,), (grown,), (shrunk,) = (guides(mask, ["conv2_1"], rule="all", grow=k).values() for k in (0, 2, -2))
    assert [int(np.sqrt(guide.sum())) for guide in (shrunk, plain, grown)] == [8, 12, 16]


def test_a_simple_guide_is_resized_and_keeps_its_soft_edges():
    ramp = np.repeat(np.linspace(0, 1, 64)[None], 48, axis=0)
    (found,) = guides(ramp, ["conv3_1"]).values()
    np.testing.assert_allclose(found, np.repeat(np.linspace(0, 1, 16)[None], 12, axis=0), atol=0.02)
    assert (guides(ramp, ["conv1_2"])["conv1_2"] == ramp).all()
    for layer, guide in guides(np.ones((37, 45)), LAYERS).items():
        assert guide.shape == VGG.shape((37, 45), layer)[:2]
        assert (normalized(guide).astype(np.float32) == 1).all()


def test_a_guides_mean_square_is_1_and_an_empty_one_stays_empty():
    guide = normalized(np.random.default_rng(0).uniform(size=(7, 9)))
    assert np.mean(guide**2) == pytest.approx(1)
    assert not normalized(np.zeros((3, 3))).any()


def test_an_unknown_rule_is_answered():
    with pytest.raises(JaxstyleError, match=r"unknown guides 'outside'\. Allowed: simple, all, inside"):
        guides(LEFT, ["conv1_1"], rule="outside")


@pytest.mark.parametrize("rule", ["content", "cover", "long-side", "own"])
def test_a_mask_goes_where_its_image_goes(rule: str):
    """A mask is a grey image; linear and Lanczos filters differ at edges, so it is soft."""
    image = np.repeat(smooth(60, 90, seed=3)[..., :1], 3, axis=-1).astype(np.float32)
    fit = {"height": 24, "width": 32, "rule": rule, "reduction": 0.5}
    fitted = fit_style(image, **fit)
    found = fit_mask(image[..., 0], image.shape, **fit)
    assert found.shape == fitted.shape[:2]
    np.testing.assert_allclose(found, fitted[..., 0], atol=0.03)
    half = fit_mask(resize_to(image, 30, 45)[..., 0], image.shape, **fit)  # of another size than its image
    np.testing.assert_allclose(half, fitted[..., 0], atol=0.06)


# The loss


@pytest.mark.parametrize("rule", ["simple", "all", "inside"])
def test_one_region_that_covers_everything_gives_the_plain_loss_to_the_bit(tmp_path: Path, tiny: Weights, rule: str):
    mask = write_mask(tmp_path, "all.png", np.ones((10, 10)))
    plain = ready(make(tmp_path), tiny)
    guided = ready(
        make(tmp_path, f"image.guides={rule}", image={**IMAGES, "regions": {"all": {"content": mask}}}), tiny
    )
    image = jnp.asarray(plain.start)
    (loss, values), gradient = evaluate(plain.objective, image, plain.problem)
    (same, by_region), also = evaluate(guided.objective, image, guided.problem)
    assert by_region.keys() == {name if "content" in name else f"{name}/all" for name in values}
    assert loss == same
    np.testing.assert_array_equal(gradient, also)


IMAGES = {"content": "content.png", "style": "style.png"}


def of_numpy(prepared: Prepared, pixels: np.ndarray, mask: np.ndarray, layer: str) -> np.ndarray:
    """Σ T² F Fᵀ / M in float64, with mean T² = 1."""
    features = np.asarray(
        prepared.objective.features(jnp.asarray(pixels), prepared.problem.parameters, prepared.problem.guides)[layer],
        np.float64,
    )
    (guide,) = guides(mask.astype(np.float64), [layer]).values()
    weights = guide**2 / np.mean(guide**2) / guide.size
    return np.einsum("yx,yxi,yxj->ij", weights, features, features)


def test_two_halves_with_two_styles_have_their_own_gram_matrices(tmp_path: Path, tiny: Weights):
    write_image(tmp_path / "other.png", smooth(30, 30, seed=9))
    left, right = write_mask(tmp_path, "left.png", LEFT), write_mask(tmp_path, "right.png", 1 - LEFT)
    image = {
        "content": "content.png",
        "style": [{"image": "style.png", "region": "left"}, {"image": "other.png", "region": "right"}],
        "regions": {"left": {"content": left}, "right": {"content": right, "weight": 3.0}},
    }
    experiment = make(tmp_path, image=image)
    found = ready(experiment, tiny)
    alone = {
        name: ready(make(tmp_path, image={"content": "content.png", "style": file}), tiny)
        for name, file in (("left", "style.png"), ("right", "other.png"))
    }
    problem = found.problem
    for name, prepared in alone.items():
        for layer in ("conv1_1", "conv2_1"):
            target = problem.targets[f"style/{layer}/{name}"]
            np.testing.assert_allclose(target, prepared.problem.targets[f"style/{layer}"], rtol=1e-5)
    own = compute_targets(found.objective, jnp.asarray(found.start), problem.parameters, problem.guides)
    _, values = found.objective.loss(jnp.asarray(found.start), problem)
    for name, mask, part in (("left", LEFT, 0.25), ("right", 1 - LEFT, 0.75)):
        gram = of_numpy(found, found.start, mask, "conv2_1")
        np.testing.assert_allclose(own[f"style/conv2_1/{name}"], gram, rtol=1e-4, atol=1e-4 * np.abs(gram).max())
        difference = gram - np.asarray(problem.targets[f"style/conv2_1/{name}"], np.float64)
        # Two layers at a half each, by Eq. 4.
        expected = part * 0.5 * np.sum(difference**2) / (4 * gram.shape[0] ** 2)
        assert float(values[f"style/conv2_1/{name}"]) == pytest.approx(expected, rel=1e-4)


def test_one_style_with_masks_and_soft_edges(tmp_path: Path, tiny: Weights):
    soft = np.repeat(np.linspace(0, 1, 40)[None], 30, axis=0)
    masks = [write_mask(tmp_path, f"{name}.png", mask) for name, mask in (("rise", soft), ("fall", 1 - soft))]
    regions = {name: {"content": masks[0], "style": mask} for name, mask in zip("ab", masks, strict=True)}
    found = ready(make(tmp_path, image={**IMAGES, "regions": regions}), tiny)
    style = read_image(tmp_path / "style.png").pixels
    pixels = fit_style(style, height=24, width=32, rule="content")
    for name, mask in zip("ab", masks, strict=True):
        own = fit_mask(grey(read_image(mask)), style.shape, height=24, width=32, rule="content")
        gram = of_numpy(found, pixels, own, "conv1_1")
        target = found.problem.targets[f"style/conv1_1/{name}"]
        np.testing.assert_allclose(target, gram, rtol=1e-4, atol=1e-4 * np.abs(gram).max())


def test_content_is_compared_by_region_if_asked_for(tmp_path: Path, tiny: Weights):
    regions = halves(tmp_path)
    regions["a"]["content_weight"] = 2.0  # pyright: ignore[reportArgumentType]
    regions["b"]["content_weight"] = 2.0  # pyright: ignore[reportArgumentType]
    plain = ready(make(tmp_path), tiny)
    found = ready(make(tmp_path, image={**IMAGES, "regions": regions}, loss={"guided": []}), tiny)
    _, values = plain.objective.loss(jnp.asarray(plain.start), plain.problem)
    _, by_region = found.objective.loss(jnp.asarray(plain.start), found.problem)
    # Halves that part between two neurons: their squares add up, at twice the weight; a spline overshoots a little.
    both = float(by_region["content/conv2_1/a"] + by_region["content/conv2_1/b"])
    assert both == pytest.approx(2 * float(values["content/conv2_1"]), rel=0.02)
    assert float(by_region["style/conv1_1"]) == float(values["style/conv1_1"])


def test_means_are_guided_beside_a_plain_gram_loss(tmp_path: Path, tiny: Weights):
    added = 'loss.terms=[{kind = "means", weight = 10.0, layers = ["conv2_1"]}]'
    experiment = make(tmp_path, added, image={**IMAGES, "regions": halves(tmp_path)}, loss={"guided": ["means"]})
    found = ready(experiment, tiny)
    assert {"style/conv1_1", "means/conv2_1/a", "means/conv2_1/b"} <= {*found.objective.names}
    _, values = found.objective.loss(jnp.asarray(found.start), found.problem)
    seen = found.objective.features(jnp.asarray(found.start), found.problem.parameters, found.problem.guides)
    features = np.asarray(seen["conv2_1"], np.float64)
    guide = normalized(next(iter(guides(LEFT.astype(np.float64), ["conv2_1"]).values())))
    means = np.mean(guide[..., None] * features, axis=(0, 1))
    expected = 5.0 * np.mean((means - np.asarray(found.problem.targets["means/conv2_1/a"], np.float64)) ** 2)
    assert float(values["means/conv2_1/a"]) == pytest.approx(expected, rel=1e-4)


def test_another_mask_of_the_same_size_is_no_new_program(tmp_path: Path, tiny: Weights):
    def members():
        for edge in (10, 20):
            mask = np.zeros((24, 32))
            mask[:, :edge] = 1
            path = write_mask(tmp_path, f"{edge}.png", mask)
            yield make(tmp_path, image={**IMAGES, "regions": {"a": {"content": path}}})

    experiments = list(members())
    assert len({*share(experiments)}) == 1
    first, second = (ready(experiment, tiny) for experiment in experiments)
    alone = optimize([first])
    before = advance_once._cache_size(), compute_targets._cache_size(), evaluate._cache_size()
    also = optimize([second])
    assert (advance_once._cache_size(), compute_targets._cache_size(), evaluate._cache_size()) == before
    assert also.history[1].loss != alone.history[1].loss
    together = optimize_together([Track([first]), Track([second])])
    for found, expected in zip(together, (alone, also), strict=True):
        assert found.history[1].loss == pytest.approx(expected.history[1].loss, rel=1e-4)


# What is kept


@pytest.mark.parametrize("method", ["lbfgs", "adam", "scipy-lbfgsb"])
def test_what_is_kept_is_the_content_and_the_rest_is_not(tmp_path: Path, tiny: Weights, method: str):
    path = write_mask(tmp_path, "keep.png", LEFT)
    experiment = make(tmp_path, f"image.keep={path}", f"optimizer.method={method}", "image.scales=[24, 32]")
    scales = prepare(experiment, read_images(experiment), tiny)
    seen: list[np.ndarray] = []
    result = optimize(scales, observe=lambda iterations, best: seen.append(best()))
    content = scales[-1].content
    assert content is not None
    for image in (result.image, seen[-1]):
        np.testing.assert_array_equal(image[:, :15], content[:, :15].clip(0, 1))
        assert np.abs(image[:, 17:] - content[:, 17:]).max() > 0.1
    assert result.loss < result.history[-2].loss or len(result.history) < 3


def test_a_kept_pixel_has_no_gradient_and_a_soft_one_a_part(tmp_path: Path, tiny: Weights):
    mask = np.zeros((24, 32), np.float32)
    mask[:, :8], mask[:, 8:16] = 1, 0.5
    experiment = make(tmp_path, f"image.keep={write_mask(tmp_path, 'keep.png', mask)}")
    prepared = ready(experiment, tiny)
    with jax.enable_x64(False):
        point, direction = jnp.asarray(prepared.start), jnp.asarray(smooth(24, 32, seed=4) - 0.5, jnp.float32)
        _, gradient = evaluate(prepared.objective, point, prepared.problem)
        step = 1e-3
        there, back = (
            float(evaluate(prepared.objective, point + way * step * direction, prepared.problem)[0][0])
            for way in (1, -1)
        )
    assert not np.any(gradient[:, :7])
    assert float(jnp.vdot(gradient, direction)) == pytest.approx((there - back) / (2 * step), rel=0.02)  # float32


# In an experiment


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ({"regions": {"sky": {}}}, "image.regions.sky.content: missing"),
        ({"regions": {"sky": {"content": "a.png", "wight": 1}}}, "unknown key 'wight'; did you mean 'weight'"),
        ({"regions": {"the sky": {"content": "a.png"}}}, "found 'the sky'; allowed: a name of letters"),
        (
            {"regions": {"a": {"content": "a.png", "style": "b.png"}, "b": {"content": "a.png"}}},
            "image.regions.b.style: missing; the style image is also that of a, so that each needs a mask",
        ),
        (
            {"style": [{"image": "s.png", "region": "sly"}], "regions": {"sky": {"content": "a.png"}}},
            r"image.style\[0\].region: unknown region 'sly'; did you mean 'sky'",
        ),
        (
            {
                "style": [{"image": "s.png", "region": "a"}],
                "regions": {"a": {"content": "a.png"}, "b": {"content": "a.png"}},
            },
            'image.regions.b: no style image: give one region = "b", or one no region',
        ),
        (
            {"style": ["s.png", {"image": "s.png", "region": "a"}], "regions": {"a": {"content": "a.png"}}},
            "image.style: an image without a region, but every region has images of its own",
        ),
        ({"regions": {"a": {"content": "a.png", "weight": 0.0}}}, "every region has weight 0"),
        ({"grow": 3}, "image.grow: found 3, but there are no image.regions"),
        ({"guides": "outside"}, "image.guides: unknown guides 'outside'"),
        ({"keep": "k.png", "content": None}, "image.keep: there is no image.content to keep a part of"),
    ],
)
def test_what_cannot_be_is_answered(tmp_path: Path, image: dict, message: str):
    tables = {key: value for key, value in {**IMAGES, **image}.items() if value is not None}
    with pytest.raises(JaxstyleError, match=message):
        make(tmp_path, image=tables)


@pytest.mark.parametrize(
    ("mask", "options", "message"),
    [
        (np.zeros((24, 32)), [], "a.png: mask a: nowhere white"),
        (smooth(24, 32, seed=1), [], "a.png: mask a: has colours"),
        (
            np.eye(24, 32) > 0,
            ["image.guides=inside"],
            r"a.png: mask a: the mask has nothing left at conv\d_1, whose features are .*image.grow of 0 or more",
        ),
    ],
)
def test_a_mask_that_is_none_is_answered(tmp_path: Path, tiny: Weights, mask: np.ndarray, options, message: str):
    write_image(tmp_path / "a.png", np.broadcast_to(np.atleast_3d(mask), (24, 32, 3)).astype(np.float32))
    experiment = make(tmp_path, *options, image={**IMAGES, "regions": {"a": {"content": "a.png"}}})
    with pytest.raises(JaxstyleError, match=message):
        ready(experiment, tiny)


def test_what_the_regions_leave_is_noted(tmp_path: Path):
    path = write_mask(tmp_path, "left.png", LEFT)
    images = read_images(make(tmp_path, image={**IMAGES, "regions": {"a": {"content": path}}}))
    assert images.masks["mask a"].notes[-1] == "the regions cover 50 % of the image; the rest has no style of its own"


def test_keys_of_a_region_are_set_and_swept(tmp_path: Path):
    regions = halves(tmp_path)
    experiment = make(
        tmp_path,
        "image.regions.a.weight=2.5",
        f"image.keep={regions['a']['content']}",
        image={**IMAGES, "regions": regions},
    )
    assert experiment.image.regions["a"].weight == 2.5
    assert experiment.image.regions["b"].content == regions["b"]["content"]
    assert experiment.file_names()["keep mask"] == regions["a"]["content"]
    with pytest.raises(JaxstyleError, match="unknown key"):
        make(tmp_path, "image.regions.a.wight=2.5", image={**IMAGES, "regions": regions})


@pytest.fixture
def with_regions(folder: Path) -> Path:
    write_images(folder)
    regions = halves(folder)
    text = (folder / "small.toml").read_text()
    for name, masks in regions.items():
        content, style = (Path(masks[key]).name for key in ("content", "style"))
        text += f'\n[image.regions.{name}]\ncontent = "{content}"\nstyle = "{style}"\n'
    (folder / "regions.toml").write_text(text)
    return folder


def test_a_sweep_over_regions_is_recorded_resumed_and_reported(jaxstyle_command: Run, with_regions: Path):
    folder = with_regions
    checked = jaxstyle_command("check", "regions.toml", "--no-estimate")
    assert checked.exit_code == 0, checked.output
    changes = ("sweep.image.regions.a.weight=[1.0, 3.0]", "image.keep=left.png")
    done = jaxstyle_command("run", "regions.toml", "--out", "s", *(f"--set={change}" for change in changes))
    assert done.exit_code == 0, done.output
    assert "1 compiled program" in done.stdout
    member = folder / "s" / "members" / "1"
    images = read_manifest(member)["images"]
    assert {"mask a", "mask b", "style mask a", "style mask b", "keep mask"} <= images.keys()
    assert {"style/conv1_1/a", "style/conv1_1/b"} <= read_metrics(member)[-1]["terms"].keys()
    assert {"conv1_1/a", "conv1_1/b"} == read_manifest(member)["metrics"]["gram_distance"].keys()
    again = jaxstyle_command("run", "regions.toml", "--out", "s", *(f"--set={change}" for change in changes))
    assert "finished before" in again.output or again.exit_code == 0
    report = jaxstyle_command("report", "s")
    assert report.exit_code == 0, report.output
    page = next((folder / "s").rglob("*.html")).read_text(encoding="utf-8")
    assert 'alt="style mask a"' in page
    # Another mask is another experiment.
    write_mask(folder, "left.png", 1 - LEFT)
    refused = jaxstyle_command("run", "regions.toml", "--out", "s", *(f"--set={change}" for change in changes))
    assert refused.exit_code == 2
    assert "left.png has changed since" in refused.stderr


def test_masks_may_be_arrays(tiny: Weights, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("jaxstyle.synthesis.transfer.load_weights", lambda name: tiny)
    options = {
        "loss": {"content_layers": ["conv2_1"], "style_layers": ["conv1_1"]},
        "optimizer": {"iterations": 2},
        "start": {"method": "content"},
    }
    content, style = smooth(*CONTENT_SIZE, seed=1), smooth(30, 30, seed=2)
    result = jaxstyle.transfer(
        content, style, image={"size": 32, "regions": {"left": {"content": LEFT}}, "keep": 1 - LEFT}, **options
    )
    assert "style/conv1_1/left" in result.history[0].terms
    np.testing.assert_allclose(result.image[:, 17:], content[:, 17:], atol=1e-6)
