import contextlib
import doctest
import io
import os
import signal

import jax
import numpy as np
import pytest
from PIL import Image

import jaxstyle
from jaxstyle.config import experiment_from_mapping
from jaxstyle.errors import JaxstyleError
from jaxstyle.images import carry_to, read_image, write_image
from jaxstyle.optimizers.device import advance_once
from jaxstyle.paper import conventions
from jaxstyle.paper.objective import compute_targets
from jaxstyle.synthesis import transfer as transfer_module
from jaxstyle.synthesis.optimization import optimize
from jaxstyle.synthesis.preparation import prepare, read_images

LAYERS = {"content_layers": ["conv2_1"], "style_layers": ["conv1_1", "conv2_1"]}


def smooth(seed, height=24, width=32):
    frequencies = np.random.default_rng(seed).uniform(3, 20, (2, 3))
    rows, columns = np.linspace(0, 1, height)[:, None, None], np.linspace(0, 1, width)[None, :, None]
    return (0.5 + 0.5 * np.sin(frequencies[0] * rows + frequencies[1] * columns)).astype(np.float32)


@pytest.fixture
def transfer(tiny, monkeypatch):
    monkeypatch.setattr("jaxstyle.synthesis.transfer.load_weights", lambda name: tiny)

    def run(content=None, style=None, *, size=32, loss=None, iterations=2, **sections):
        image = {"size": size, **sections.pop("image", {})}
        optimizer = {"iterations": iterations, **sections.pop("optimizer", {})}
        return jaxstyle.transfer(
            content, style, image=image, loss=LAYERS | (loss or {}), optimizer=optimizer, **sections
        )

    return run


def test_the_docstrings_examples_run():
    for module in (transfer_module, conventions):
        outcome = doctest.testmod(module)
        assert outcome.attempted > 0
        assert outcome.failed == 0


@pytest.mark.usefixtures("optimized")
def test_a_real_transfer_comes_nearer_to_both(vgg19_normalized):
    result = jaxstyle.transfer(smooth(0), smooth(1), image={"size": 48}, optimizer={"iterations": 25})
    first, last = result.history[0].terms, result.history[-1].terms
    assert result.loss < 0.1 * result.history[0].loss
    assert result.evaluations <= 1.3 * 25  # a line search seldom needs a second evaluation
    assert sum(last[name] for name in last if "style" in name) < 0.1 * sum(
        first[name] for name in first if "style" in name
    )
    assert result.image.shape == (36, 48, 3)
    assert result.image.dtype == np.float32
    assert result.image.min() >= 0
    assert result.image.max() <= 1


def test_arrays_and_files_give_the_same(transfer, tmp_path):
    content, style = (np.round(255 * smooth(seed)).astype(np.uint8) for seed in (0, 1))
    write_image(tmp_path / "content.png", content / 255)
    write_image(tmp_path / "style.png", style / 255)
    of_arrays = transfer(content, style)
    of_files = transfer(tmp_path / "content.png", str(tmp_path / "style.png"))
    np.testing.assert_array_equal(of_arrays.image, of_files.image)


def test_a_seed_is_a_start(transfer):
    zero, again, one = (transfer(smooth(0), smooth(1), start={"seed": seed}).image for seed in (0, 0, 1))
    np.testing.assert_array_equal(zero, again)
    assert np.abs(zero - one).max() > 1 / 255


@pytest.mark.parametrize("method", ["content", "style"])
def test_starts_from_a_source(transfer, method):
    source = {"content": smooth(0), "style": smooth(1)}[method]
    seen = []
    transfer(
        smooth(0), smooth(1), start={"method": method}, observe=lambda its, best: seen.append(best()), iterations=1
    )
    np.testing.assert_allclose(seen[0], source, atol=1e-3)


def test_a_start_from_a_file_is_brought_to_size(transfer, tmp_path):
    write_image(tmp_path / "start.png", smooth(5, 48, 64))
    seen = []
    transfer(
        smooth(0),
        smooth(1),
        start={"method": str(tmp_path / "start.png")},
        observe=lambda its, best: seen.append(best()),
    )
    assert seen[0].shape == (24, 32, 3)
    assert np.mean(np.abs(seen[0] - smooth(5))) < 0.05  # two samplings of the same waves, half a pixel apart


@pytest.mark.parametrize("rule", ["content", "cover", "long-side", "own"])
def test_every_rule_for_the_styles_size(transfer, rule):
    result = transfer(smooth(0), smooth(1, 50, 40), image={"style_size": rule})
    assert result.image.shape == (24, 32, 3)
    assert np.isfinite(result.loss)


def test_a_blend_of_one_style_twice_is_that_style(transfer, tmp_path):
    write_image(tmp_path / "style.png", smooth(1))
    style = str(tmp_path / "style.png")
    one = transfer(smooth(0), style)
    two = transfer(smooth(0), image={"style": [{"image": style, "weight": 3.0}, style]})
    assert two.history[0].loss == pytest.approx(one.history[0].loss, rel=1e-5)


def test_a_part_that_is_absent_is_absent(transfer):
    content_only, style_only = transfer(smooth(0)), transfer(None, smooth(1))
    assert set(content_only.history[0].terms) == {"content/conv2_1"}
    assert set(style_only.history[0].terms) == {"style/conv1_1", "style/conv2_1"}


def test_a_style_image_without_style_layers_is_not_read(transfer):
    result = transfer(smooth(0), smooth(1), loss={"style_layers": []})
    assert set(result.history[0].terms) == {"content/conv2_1"}


def test_ctrl_c_ends_with_the_best_image(transfer):
    def observe(iterations, best):
        os.kill(os.getpid(), signal.SIGINT)

    result = transfer(smooth(0), smooth(1), iterations=500, observe=observe)
    assert result.status is jaxstyle.Status.INTERRUPTED
    assert 1 <= result.evaluations < 500
    assert result.image.shape == (24, 32, 3)


def test_images_of_every_sort_give_the_same(transfer, tmp_path):
    content, style = (np.round(255 * smooth(seed)).astype(np.uint8) for seed in (0, 1))
    write_image(tmp_path / "content.png", content / 255)

    class Place:
        def __fspath__(self):
            return str(tmp_path / "content.png")

    expected = transfer(content, style).image
    stream = io.BytesIO()
    Image.fromarray(content).save(stream, "PNG")
    for given in (Image.fromarray(content), stream, stream.getvalue(), Place(), content.astype(np.uint16) * 257):
        np.testing.assert_array_equal(transfer(given, style).image, expected)
    in_tables = transfer(image={"content": Image.fromarray(content), "style": [style]})
    np.testing.assert_array_equal(in_tables.image, expected)


def test_grey_and_transparent_images(transfer):
    grey, alpha = smooth(0)[..., 0], np.full((24, 32, 1), 0.5, np.float32)
    expected = transfer(np.repeat(grey[..., None], 3, axis=2), 0.5 * smooth(1) + 0.5)
    np.testing.assert_array_equal(transfer(grey, np.dstack([smooth(1), alpha])).image, expected.image)


def test_several_styles(transfer, tmp_path):
    write_image(tmp_path / "a.png", smooth(1))
    write_image(tmp_path / "b.png", smooth(2))
    paths = [str(tmp_path / "a.png"), {"image": tmp_path / "b.png", "weight": 2.0}]
    expected = transfer(smooth(0), image={"style": paths}).image
    images = [read_image(tmp_path / name).pixels for name in ("a.png", "b.png")]
    for given in (paths, [images[0], {"image": images[1], "weight": np.float32(2)}]):
        np.testing.assert_array_equal(transfer(smooth(0), given).image, expected)
    assert np.abs(expected - transfer(smooth(0), images[0]).image).max() > 1e-3


def test_a_start_may_be_an_array(transfer):
    seen = []
    transfer(smooth(0), smooth(1), start={"method": smooth(5)}, observe=lambda its, best: seen.append(best()))
    np.testing.assert_array_equal(seen[0], smooth(5))


def test_numbers_of_numpy_and_jax_are_numbers(transfer):
    expected = transfer(smooth(0), smooth(1), size=48, start={"seed": 3}, image={"scales": [24, 48]})
    found = transfer(
        smooth(0),
        smooth(1),
        size=np.int64(48),
        start={"seed": np.uint32(3)},
        image={"scales": np.array([24, 48])},
        iterations=jax.numpy.asarray(2),
        loss={"content_weight": np.float64(1e-4), "style_layers": {"conv1_1": np.float32(0.5), "conv2_1": 0.5}},
        optimizer={"bounds": np.bool_(False)},
    )
    np.testing.assert_array_equal(found.image.shape, expected.image.shape)
    assert len(found.history) == len(expected.history)
    with pytest.raises(JaxstyleError, match=r"image\.size: found 3; allowed: 16 or more"):
        transfer(smooth(0), smooth(1), size=np.int32(3))


def test_a_table_of_none_is_no_table(transfer, tiny, monkeypatch):
    monkeypatch.setattr("jaxstyle.synthesis.transfer.load_weights", lambda name: tiny)
    found = jaxstyle.transfer(
        smooth(0), smooth(1), image={"size": 32}, loss=LAYERS, optimizer={"iterations": 2}, start=None, network=None
    )
    np.testing.assert_array_equal(found.image, transfer(smooth(0), smooth(1)).image)
    with pytest.raises(JaxstyleError, match="no content and no style image"):
        jaxstyle.transfer(image=None)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sweep": {"loss.style_weight": [1, 2]}}, "sweep: jaxstyle.transfer makes one image"),
        ({"output": {"bits": 16}}, "output: jaxstyle.transfer writes no file"),
        ({"image": {"content": "photo.jpg"}}, "content is given twice"),
        ({"image": {"style": [smooth(1)]}}, "style is given twice"),
        ({"image": "photo.jpg"}, r'image: found "photo.jpg"; allowed: a table'),
        ({"images": {"size": 64}}, "unknown key 'images'; did you mean 'image'"),
        ({"content": 7}, "array:content: found a int; allowed: a path"),
        ({"content": [[0.0, 1.0], [1.0, 0.0]]}, "array:content: found a list"),
        ({"style": [smooth(1), [[0.5]]]}, "array:style 2: found a list"),
        ({"style": []}, "nothing to minimize|no .*style"),
        ({"style": {"image": smooth(1), "wieght": 2.0}}, r"unknown key 'wieght'; did you mean 'weight'"),
        ({"content": np.zeros((8, 8, 3), int)}, r"array:content: an array of type int64"),
        ({"style": np.ma.masked_array(smooth(1), mask=smooth(1) > 0.5)}, "array:style: a masked array"),
        ({"start": {"method": np.zeros((3, 8, 8))}}, "array:start: an array of shape"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_line(transfer, monkeypatch, given, message):
    monkeypatch.setattr("jaxstyle.synthesis.transfer.load_weights", lambda name: pytest.fail("looked at first"))
    arguments = {"content": smooth(0), "style": smooth(1), "loss": {"content_weight": 0}, **given}
    with pytest.raises(JaxstyleError, match=message) as refusal:
        jaxstyle.transfer(**arguments)
    assert len(str(refusal.value)) < 400


def test_too_small_for_the_network(tmp_path):
    write_image(tmp_path / "thin.png", smooth(0, 4, 64))
    with pytest.raises(JaxstyleError, match=r"64×4.*conv5_1.*at least 16"):
        jaxstyle.transfer(tmp_path / "thin.png", smooth(1), image={"size": 64})
    with pytest.raises(JaxstyleError, match=r"array:style.*conv5_1"):
        jaxstyle.transfer(smooth(0, 32, 32), smooth(1, 8, 8), image={"size": 32, "style_size": "own"})


def test_jax_arrays_are_arrays(transfer):
    assert transfer(jax.numpy.asarray(smooth(0)), smooth(1)).image.shape == (24, 32, 3)


def test_the_image_that_is_saved_is_the_image(transfer, tmp_path):
    result = transfer(smooth(0), smooth(1))
    write_image(tmp_path / "out.png", result.image)
    np.testing.assert_allclose(read_image(tmp_path / "out.png").pixels, result.image, atol=0.5 / 255 + 1e-6)


# Scales

COARSE_TO_FINE = {"size": 48, "scales": [24, 34, 48]}


def test_a_run_goes_from_scale_to_scale(transfer):
    told = []
    result = transfer(
        smooth(0), smooth(1), image=COARSE_TO_FINE, iterations=12, observe=lambda its, best: told.extend(its)
    )
    assert result.image.shape == (36, 48, 3)
    history = result.history
    assert tuple(told) == history
    steps = {size: [it.iteration for it in history if it.size == size] for size in (24, 34, 48)}
    # Four steps each; a scale's start has the number of the step that led to it.
    assert steps == {24: [0, 1, 2, 3, 4], 34: [4, 5, 6, 7, 8], 48: [8, 9, 10, 11, 12]}
    assert [it.evaluations for it in history][-1] == result.evaluations
    for column in ("evaluations", "seconds"):
        assert np.all(np.diff([getattr(it, column) for it in history]) > 0)
    assert history[-1].seconds <= result.run_seconds
    assert result.loss == min(it.loss for it in history if it.size == 48)


def test_each_scale_begins_with_the_image_of_the_one_before(transfer):
    bests = {}

    def observe(iterations, best):
        bests.setdefault(best().shape, []).append(best())

    transfer(smooth(0), smooth(1), image={"size": 48, "scales": [24, 48]}, iterations=20, observe=observe)
    last, first = bests[18, 24, 3][-1], bests[36, 48, 3][0]
    np.testing.assert_array_equal(first, carry_to(last, 36, 48))  # evaluated before it is changed


def test_what_lies_outside_the_range_is_carried_up():
    away = smooth(0) * 3 - 1
    carried = carry_to(away, 48, 64)
    assert carried.min() < -0.9
    assert carried.max() > 1.9
    np.testing.assert_allclose(carry_to(carried, 24, 32), away, atol=0.06)  # waves of ten pixels nearly come back


def test_a_scale_is_a_program_and_the_same_sizes_are_compiled_once(transfer):
    image = {"size": 52, "scales": [26, 52]}  # sizes that no other test has compiled for

    def run(seed):
        transfer(smooth(seed, 39, 52), smooth(seed + 1), image=image, iterations=6, start={"seed": seed})
        return advance_once._cache_size(), compute_targets._cache_size()

    before = advance_once._cache_size(), compute_targets._cache_size()
    after = run(0)
    assert after == (before[0] + 2, before[1] + 4)  # the content alone and the style, at both sizes
    assert run(1) == after


@pytest.mark.parametrize("method", ["lbfgs", "adam", "scipy-lbfgsb"])
def test_an_interruption_at_a_small_scale_gives_an_image_of_the_size_asked_for(transfer, monkeypatch, method):
    seen = []
    monkeypatch.setattr(
        "jaxstyle.synthesis.transfer.interruptible",
        lambda signals: contextlib.nullcontext(lambda: any(it.size == 34 for it in seen)),
    )
    result = transfer(
        smooth(0),
        smooth(1),
        image=COARSE_TO_FINE,
        iterations=200,
        optimizer={"method": method},
        observe=lambda its, best: seen.extend(its),
    )
    assert result.status is jaxstyle.Status.INTERRUPTED
    assert {it.size for it in result.history} == {24, 34}
    assert result.image.shape == (36, 48, 3)
    assert result.loss == min(it.loss for it in result.history if it.size == 34)


def test_an_interruption_between_two_scales_keeps_the_loss_of_the_image(transfer, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "jaxstyle.synthesis.transfer.interruptible",
        lambda signals: contextlib.nullcontext(lambda: bool(seen) and seen[-1].iteration == 4),
    )
    result = transfer(
        smooth(0), smooth(1), image=COARSE_TO_FINE, iterations=12, observe=lambda its, best: seen.extend(its)
    )
    assert result.status is jaxstyle.Status.INTERRUPTED
    assert {it.size for it in result.history} == {24}
    assert result.loss == min(it.loss for it in result.history)


def test_odd_sizes_and_narrow_images_leave_no_seam(transfer):
    """A smooth image is found from noise at its edges as well as within."""
    shape = (9, 97)
    content, size = smooth(0, *shape), max(shape)
    result = transfer(
        content,
        image={"size": size, "scales": [round(0.7 * size), size]},
        loss={"content_layers": ["conv1_2"]},
        iterations=60,
    )
    away = np.abs(result.image - content)
    edge = np.ones(shape, bool)
    edge[1:-1, 1:-1] = False
    # conv1_2 sees all of the image; at its edge through a part of its filters only.
    assert away[edge].mean() < 3 * away[~edge].mean() + 1 / 255
    assert away.mean() < 2 / 255


# Going on


def prepared(tiny, tmp_path, **sections):
    """The scales of an experiment on two images."""
    write_image(tmp_path / "content.png", smooth(0))
    write_image(tmp_path / "style.png", smooth(1))
    image = {"content": "content.png", "style": "style.png", **sections.pop("image")}
    tables = {"image": image, "loss": LAYERS, **sections}
    experiment = experiment_from_mapping(tables, source="test", folder=tmp_path)
    return prepare(experiment, read_images(experiment), tiny)


def test_a_fast_run_weighs_content_more_where_the_image_is_small(tiny, tmp_path):
    laplacian = {"kind": "laplacian", "weight": 1.0}
    image = {"size": 128, "scales": "fast"}
    small, middle, last = prepared(tiny, tmp_path, image=image, loss={**LAYERS, "terms": [laplacian]})
    of_content = {term.name for term in last.objective.terms if term.source == "content"}
    assert len(of_content) == 2
    for ready, more in ((small, 2.0), (middle, 128 / 91), (last, 1.0)):
        for name, weight in last.problem.weights.items():
            assert ready.problem.weights[name] == pytest.approx(weight * (more if name in of_content else 1.0))


@pytest.mark.parametrize("method", ["lbfgs", "adam"])
def test_a_run_goes_on_from_any_scale_to_the_bit(tiny, tmp_path, method):
    scales = prepared(tiny, tmp_path, image=COARSE_TO_FINE, optimizer={"method": method, "iterations": 9})
    kept, told = [], []
    whole = optimize(scales, keep=lambda state, status: kept.append(state()))
    assert [state.scale for state in kept] == sorted(state.scale for state in kept)
    assert {state.scale for state in kept} == {0, 1, 2}
    for state in (kept[1], kept[len(kept) // 2], kept[-2]):
        told.clear()
        rest = optimize(scales, resume=state, observe=lambda iterations, best: told.extend(iterations))
        np.testing.assert_array_equal(rest.image, whole.image)
        assert (rest.loss, rest.evaluations, rest.status) == (whole.loss, whole.evaluations, whole.status)
        assert (*state.history, *told) == rest.history
        assert [it._replace(seconds=0.0) for it in rest.history] == [it._replace(seconds=0.0) for it in whole.history]
