"""Bounds on the pixels: the rules, and that no method leaves the box that they make and every method finds its way."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from small_runs import make, smooth
from synthetic import MINIMIZER, START, Synthetic, settings
from test_optimizers_lanes import Own, problem

from jaxstyle.config import BoundsRule
from jaxstyle.images import carry_to
from jaxstyle.network.weights import NETWORKS
from jaxstyle.optimizers import Lane, Status, minimize, minimize_lanes
from jaxstyle.optimizers.box import Box, box_of
from jaxstyle.optimizers.device import advance_chunk, advance_once
from jaxstyle.optimizers.lbfgs import LBFGS
from jaxstyle.synthesis.bounds import bounds_of
from jaxstyle.synthesis.estimates import outlines
from jaxstyle.synthesis.optimization import Track, optimize, optimize_together
from jaxstyle.synthesis.preparation import prepare, read_images

METHODS = ("lbfgs", "adam", "scipy-lbfgsb")
PROBLEM = jnp.asarray(MINIMIZER)
BOUNDS = ((0.3, 0.55), (0.45, 0.6), (-0.1, 0.5))
"""Each channel's minimizer goes from about 0.2 to 0.8: some of it is within, some beyond either end."""
BOX = box_of(BOUNDS)
OUTSIDE = np.linspace(-1, 2, START.size, dtype=np.float32).reshape(START.shape)


def within(image: np.ndarray, box: Box = BOX) -> bool:
    return bool(np.all((image >= box.lower) & (image <= box.upper)))


def whole_range(seed: int, height: int, width: int) -> np.ndarray:
    image = smooth(height, width, seed)
    image[0, 0], image[0, 1] = 0, 1
    return image.astype(np.float32)


# the rules


def test_none_makes_no_bounds():
    assert bounds_of(BoundsRule.NONE, [START], NETWORKS["oxford"].preprocessing) is None


@pytest.mark.parametrize("sources", [1, 2])
def test_the_papers_interval_for_images_of_the_whole_range(sources: int):
    """−123.68 to 151.06 in the Oxford network's units, in which red, green and blue are shifted differently."""
    images = [whole_range(seed, 8, 9) for seed in range(sources)]
    found = np.array(bounds_of(BoundsRule.PAPER, images, NETWORKS["oxford"].preprocessing))
    np.testing.assert_allclose(found, [[0, 1.0774], [-0.0271, 1.0503], [-0.0774, 1.0]], atol=1e-4)
    mean = np.array([123.68, 116.779, 103.939])
    np.testing.assert_allclose(255 * found - mean[:, None], [[-123.68, 151.061]] * 3, atol=1e-3)


@pytest.mark.parametrize("network", ["oxford", "torchvision"])
def test_the_papers_interval_is_one_for_all_channels_and_all_images(network: str):
    """As the authors' code has it: the lowest and the highest number of the images that the network is given."""
    preprocessing = NETWORKS[network].preprocessing
    images = [0.2 + 0.5 * whole_range(3, 7, 8) * [1, 0.6, 0.3], 0.3 + 0.4 * whole_range(4, 5, 6)]
    channels = {"rgb": (0, 1, 2), "bgr": (2, 1, 0)}[preprocessing.order]
    given = [image[..., channels] * preprocessing.scale - preprocessing.mean for image in images]
    lowest, highest = min(image.min() for image in given), max(image.max() for image in given)
    found = np.array(bounds_of(BoundsRule.PAPER, images, preprocessing))
    back = found[list(channels)] * preprocessing.scale - np.array(preprocessing.mean)[:, None]
    np.testing.assert_allclose(back, [[lowest, highest]] * 3, rtol=1e-6)


def test_each_channels_own_range():
    images = [np.array([[[0.1, 0.5, 0.7], [0.2, 0.4, 0.9]]]), np.array([[[0.15, 0.6, 0.8]]])]
    found = bounds_of(BoundsRule.PER_CHANNEL, images, NETWORKS["oxford"].preprocessing)
    assert found == ((0.1, 0.2), (0.4, 0.6), (0.7, 0.9))


def test_an_experiment_has_the_bounds_of_its_images_as_they_are_compared(tmp_path, tiny):
    for rule in BoundsRule:
        experiment = make(tmp_path, f"optimizer.bounds={rule}", "image.scales=[16, 32]")
        images = read_images(experiment)
        for ready in prepare(experiment, images, tiny):
            sizes = ready.start.shape[:2]
            sources = [carry_to(it.pixels, *sizes).clip(0, 1) for it in (images.content, *images.style)]
            assert ready.settings.bounds == bounds_of(rule, sources, tiny.preprocessing)


# every method


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["quadratic", "rosenbrock", "saddle"])
@pytest.mark.parametrize("start", [START, OUTSIDE], ids=["within", "outside"])
def test_no_pixel_leaves_the_bounds(method, kind, start):
    shown, kept = [], []
    result = minimize(
        Synthetic(kind),
        start,
        PROBLEM,
        settings(method, 40, bounds=BOUNDS),
        observe=lambda iterations, best: shown.append(best()),
        keep=lambda saved, status: kept.append(saved().arrays),
    )
    images = [result.image, *shown, *(arrays[name] for arrays in kept for name in ("image", "best_image"))]
    assert len(images) > (80 if method != "scipy-lbfgsb" else 10)
    assert all(within(image) for image in images)
    assert any(np.any(result.image == bound) for bound in BOX)  # they were met


@pytest.mark.parametrize("kind", ["rosenbrock", "saddle"])
def test_no_trial_leaves_the_bounds(kind):
    objective = Synthetic(kind)
    lbfgs = LBFGS(objective.value_and_grad, value_and_grad=True, has_aux=True)
    step = jax.jit(lambda image, state: lbfgs.try_step(image, state, PROBLEM, box=BOX))
    image = BOX.project(jnp.asarray(START))
    state, rejected = lbfgs.init_state(image), 0
    for _ in range(40):
        image, state, trial = step(image, state)
        assert within(np.asarray(trial.params))
        rejected += not trial.accepted
    assert rejected


@pytest.mark.parametrize("method", METHODS)
def test_a_start_outside_is_brought_to_the_nearest_image_within(method):
    ended = minimize(Synthetic(), OUTSIDE, PROBLEM, settings(method, 5, bounds=BOUNDS), interrupted=lambda: True)
    assert ended.evaluations == 0
    np.testing.assert_array_equal(ended.image, np.clip(OUTSIDE, BOX.lower, BOX.upper))
    went = minimize(Synthetic(), OUTSIDE, PROBLEM, settings(method, 5, bounds=BOUNDS))
    assert went.history[0].loss == pytest.approx(float(Synthetic().loss(ended.image, PROBLEM)[0]), rel=1e-5)


@dataclasses.dataclass(frozen=True)
class Coupled(Synthetic):
    """½ ‖A x − b‖², whose pixels depend on one another: what one does at its bound moves all the others."""

    def loss(self, image, problem):
        matrix, wanted = problem
        value = 0.5 * jnp.sum((matrix @ image.ravel() - wanted) ** 2)
        return value, {"content/conv1_1": value}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("method", METHODS)
def test_the_minimizer_within_the_bounds_is_found(method, seed):
    generator = np.random.default_rng(seed)
    matrix = np.eye(START.size) + 0.4 * generator.normal(size=(START.size, START.size)) / np.sqrt(START.size) * 2
    wanted = matrix @ MINIMIZER.ravel()
    problem = (jnp.asarray(matrix, jnp.float32), jnp.asarray(wanted, jnp.float32))
    chosen = settings(method, 400, bounds=BOUNDS, learning_rate=0.005)
    result = minimize(Coupled(), START, problem, chosen)

    lower, upper = (np.broadcast_to(bound, START.shape).ravel().astype(np.float64) for bound in BOX)
    expected = scipy.optimize.lsq_linear(matrix, wanted, (lower, upper), method="bvls", tol=1e-14).x
    at_lower, at_upper = expected <= lower + 1e-9, expected >= upper - 1e-9
    assert at_lower.sum() > 5
    assert at_upper.sum() > 5
    assert (~at_lower & ~at_upper).sum() > 5
    found = result.image.astype(np.float64).ravel()
    # The loss is about 1 and told from its neighbours to 1e-7, so that pixels are found to the root of that.
    np.testing.assert_allclose(found, expected, atol=1e-3)

    gradient = matrix.T @ (matrix @ found - wanted)  # Karush, Kuhn and Tucker's conditions
    scale = np.abs(matrix.T @ (matrix @ START.ravel().astype(np.float64) - wanted)).max()
    free = (found > lower) & (found < upper)
    assert np.all(np.abs(gradient[free]) < 2e-3 * scale)
    assert np.all(gradient[found == lower] > -2e-3 * scale)
    assert np.all(gradient[found == upper] < 2e-3 * scale)
    projected = BOX.projected(result.image, gradient.reshape(START.shape))
    assert np.abs(projected).max() < 2e-3 * scale


def test_a_minimizer_at_the_bounds_has_converged():
    corner = np.broadcast_to(BOX.upper, START.shape).astype(np.float32)
    for method in ("lbfgs", "adam"):
        result = minimize(Synthetic(), corner, jnp.ones_like(PROBLEM), settings(method, 50, bounds=BOUNDS))
        assert (result.status, result.evaluations) == (Status.CONVERGED, 1)
        assert result.history[0].gradient_norm == 0
        np.testing.assert_array_equal(result.image, corner)


@pytest.mark.parametrize("method", METHODS)
def test_the_gradients_norm_is_that_of_the_projected_gradient(method):
    corner = np.broadcast_to(BOX.lower, START.shape).astype(np.float32)
    first = minimize(Synthetic(), corner, PROBLEM, settings(method, 1, bounds=BOUNDS)).history[0]
    _, gradient = Synthetic().value_and_grad(jnp.asarray(corner), PROBLEM)
    inward = np.asarray(gradient)[np.asarray(gradient) < 0]
    assert 0 < inward.size < corner.size
    assert first.gradient_norm == pytest.approx(np.linalg.norm(inward), rel=1e-5)


@pytest.mark.parametrize("method", ["lbfgs", "adam"])
def test_bounds_that_are_never_met_change_nothing(method):
    free, wide = (
        minimize(Synthetic("rosenbrock"), START, PROBLEM, settings(method, 15, bounds=bounds))
        for bounds in (None, ((-100.0, 100.0),) * 3)
    )
    # The bounded program sums up the slope otherwise, so that it rounds otherwise.
    np.testing.assert_allclose(wide.image, free.image, atol=1e-3)
    assert [it.evaluations for it in wide.history] == [it.evaluations for it in free.history]


# programs and lanes


def test_other_bounds_are_the_same_program():
    objective = dataclasses.replace(Synthetic(), scale=5.0)
    minimize(objective, START, PROBLEM, settings(iterations=3, bounds=BOUNDS))
    before = advance_once._cache_size(), advance_chunk._cache_size()
    minimize(objective, START, PROBLEM, settings(iterations=3, bounds=((0.1, 0.9),) * 3))
    assert (advance_once._cache_size(), advance_chunk._cache_size()) == before


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("method", ["lbfgs", "adam"])
def test_lanes_have_bounds_of_their_own(method, chunked):
    objective = Own("rosenbrock")
    wide = ((0.25, 0.7),) * 3
    lanes = [
        Lane(start, problem(), settings(method, 12, bounds=bounds))
        for start, bounds in ((START, BOUNDS), (OUTSIDE, wide), (OUTSIDE, BOUNDS))
    ]
    for found, given in zip(minimize_lanes(objective, lanes, chunked=chunked), lanes, strict=True):
        alone = minimize(objective, given.image, given.problem, given.settings)
        assert within(found.image, given.settings.box)
        assert (found.status, found.evaluations) == (alone.status, alone.evaluations)
        # Two programs round differently, and the curved valley enlarges it.
        np.testing.assert_allclose([it.loss for it in found.history], [it.loss for it in alone.history], rtol=1e-3)


def test_members_with_bounds_and_without_are_different_programs(tmp_path, tiny):
    def program(rule: str):
        experiment = make(tmp_path, f"optimizer.bounds={rule}")
        (outline,) = outlines(experiment, read_images(experiment), tiny)
        (ready,) = prepare(experiment, read_images(experiment), tiny)
        assert (outline.settings.bounds is None) == (ready.settings.bounds is None)  # so it compiles what will run
        return outline.program

    assert program("paper") == program("per-channel") != program("none")


# scales


@pytest.mark.parametrize("together", [False, True], ids=["alone", "in lanes"])
@pytest.mark.parametrize("method", METHODS)
def test_from_scale_to_scale_the_image_stays_within_the_bounds(tmp_path, tiny, method, together):
    if together and method == "scipy-lbfgsb":
        pytest.skip("has no lanes")
    experiment = make(
        tmp_path,
        "image.scales=[24, 32]",
        f"optimizer.method={method}",
        "optimizer.iterations=30",
        *(["optimizer.learning_rate=0.2"] if method == "adam" else []),
    )
    scales = prepare(experiment, read_images(experiment), tiny)
    narrow = ((0.42, 0.5), (0.4, 0.55), (0.35, 0.52))
    scales = [
        dataclasses.replace(ready, settings=dataclasses.replace(ready.settings, bounds=narrow)) for ready in scales
    ]
    box, seen = scales[0].settings.box, []

    def observe(iterations, best):
        seen.append(best())

    result = optimize_together([Track(scales, observe)])[0] if together else optimize(scales, observe=observe)
    assert {image.shape[1] for image in seen} == {24, 32}
    assert all(within(image, box) for image in [*seen, result.image])
    enlarged = carry_to(next(image for image in seen[::-1] if image.shape[1] == 24), *result.image.shape[:2])
    assert not within(enlarged, box)  # Lanczos overshoots


def test_an_interrupted_result_is_enlarged_within_the_bounds(tmp_path, tiny):
    experiment = make(tmp_path, "image.scales=[16, 32]", "optimizer.iterations=40")
    narrow = ((0.42, 0.5), (0.4, 0.55), (0.35, 0.52))
    scales = [
        dataclasses.replace(ready, settings=dataclasses.replace(ready.settings, bounds=narrow))
        for ready in prepare(experiment, read_images(experiment), tiny)
    ]
    seen = []
    result = optimize(scales, observe=lambda iterations, best: seen.append(best()), interrupted=lambda: len(seen) == 6)
    assert result.status is Status.INTERRUPTED
    assert not within(carry_to(seen[-1], *result.image.shape[:2]), scales[0].settings.box)
    assert within(result.image, scales[0].settings.box)
