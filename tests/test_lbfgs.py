from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from synthetic import MINIMIZER, SHAPE, START, Synthetic, settings

from jaxstyle.devices import memory
from jaxstyle.optimizers import lbfgs as lbfgs_module
from jaxstyle.optimizers import minimize, state_bytes
from jaxstyle.optimizers.device import compile_on_device
from jaxstyle.optimizers.lbfgs import (
    BOLDNESS,
    GREY_LEVEL,
    LBFGS,
    LENGTHENING,
    LONGEST_CUT,
    LONGEST_MOVE,
    MOST_REJECTIONS,
    SHORTEST_CUT,
    _interpolated,
)
from jaxstyle.optimizers.pairs import STORED, History, replaced, rounded

PROBLEM = jnp.asarray(MINIMIZER)
QUADRATIC = Synthetic()


def solver(objective=QUADRATIC, **options):
    return LBFGS(objective.value_and_grad, value_and_grad=True, has_aux=True, **options)


def trials(lbfgs, start, count, problem=PROBLEM):
    step = jax.jit(lbfgs.try_step)
    image, state, found = jnp.asarray(start), lbfgs.init_state(jnp.asarray(start)), []
    for _ in range(count):
        image, state, trial = step(image, state, problem)
        found.append(trial)
    return image, state, found


def test_it_is_jaxopts():
    assert isinstance(solver(), lbfgs_module.jaxopt.LBFGS)
    lbfgs = solver()
    step = lbfgs.update(jnp.asarray(START), lbfgs.init_state(jnp.asarray(START)), PROBLEM)
    assert isinstance(step, lbfgs_module.jaxopt.OptStep)
    np.testing.assert_array_equal(step.params, START)  # the first evaluation is of the start


def test_the_first_step_moves_the_mean_pixel_by_one_grey_level():
    for scale in (1e-6, 1.0, 1e6):
        image, _, _ = trials(solver(Synthetic(scale=scale)), START, 2)
        # Pixels of 0.5 are rounded to 3e-8, a hundred-thousandth of a grey level.
        np.testing.assert_allclose(np.mean(np.abs(image - START)), GREY_LEVEL, rtol=1e-4)


def test_no_trial_moves_the_mean_pixel_further_than_the_longest_move():
    """Neither while the loss curves downwards, where steps grow, nor along a pair of little curvature."""
    near_the_top = MINIMIZER + np.float32(1e-6) * np.sign(START - MINIMIZER)
    for kind, start in (("saddle", near_the_top), ("rosenbrock", START), ("quadratic", START + 3)):
        lbfgs = solver(Synthetic(kind))
        step = jax.jit(lbfgs.try_step)
        image, state, moves = jnp.asarray(start), lbfgs.init_state(jnp.asarray(start)), []
        for _ in range(15):
            before = image
            image, state, trial = step(image, state, PROBLEM)
            moves.append(float(jnp.mean(jnp.abs(trial.params - before))))
        assert max(moves) <= LONGEST_MOVE * (1 + 1e-4)  # pixels are rounded
        assert max(moves) > 2 * GREY_LEVEL


def test_beyond_a_grey_level_a_move_is_at_most_twice_the_one_before():
    """Where there are pairs; without them each step is as much longer as `GROWTH` says."""
    lbfgs = solver()
    step = jax.jit(lbfgs.try_step)
    image, state = jnp.asarray(START + 3), lbfgs.init_state(jnp.asarray(START))
    longer, accepted, move_before = [], False, 0.0
    for _ in range(15):
        before, had_pairs = image, state.pairs > 0
        image, state, trial = step(image, state, PROBLEM)
        move = float(jnp.mean(jnp.abs(trial.params - before)))
        if had_pairs and accepted and move > GREY_LEVEL * (1 + 1e-4):
            longer.append(move / move_before)
        accepted, move_before = trial.accepted, move
    assert max(longer) <= LENGTHENING * (1 + 1e-4)
    assert max(longer) > LENGTHENING * (1 - 1e-4)  # the limit was met


def test_the_initial_inverse_hessian_comes_from_the_newest_pair():
    _, state, _ = trials(solver(history_size=4), START, 8)
    newest = (int(state.pairs) - 1) % 4
    s, y = np.asarray(state.s_history[newest]), np.asarray(state.y_history[newest])
    np.testing.assert_allclose(state.gamma, BOLDNESS * np.vdot(s, y) / np.vdot(y, y), rtol=1e-4)


def test_without_a_way_down_the_history_is_dropped_once_and_then_it_has_failed():
    _, state, found = trials(solver(), START, 6)
    lbfgs, image = solver(Synthetic("lying", scale=1e6)), jnp.asarray(found[-1].params)
    # A loss far above every loss here: each trial is turned down, however short.
    state = state._replace(value=jnp.float32(-1e9))
    step, statuses = jax.jit(lbfgs.try_step), []
    for _ in range(2 * MOST_REJECTIONS):
        image, state, trial = step(image, state, PROBLEM)
        statuses.append((int(state.pairs), bool(state.failed)))
        assert not trial.accepted
    pairs, failed = zip(*statuses, strict=True)
    assert [count > 0 for count in pairs] == [True] * (MOST_REJECTIONS - 1) + [False] * (MOST_REJECTIONS + 1)
    assert failed == (False,) * (2 * MOST_REJECTIONS - 1) + (True,)


def test_a_rejected_step_is_shortened_to_the_parabolas_minimizer():
    def shortened(value, finite=True):
        """From a step of 2 along a slope of −1, loss 5."""
        numbers = (jnp.float32(number) for number in (2.0, -1.0, 5.0, value))
        return float(_interpolated(*numbers, jnp.asarray(finite)))

    # The parabola 5 − t + a t² is 5 − 2 + 4 a at t = 2, and lowest at t = 1 / (2 a).
    for curvature, expected in ((1.0, 0.5), (1.25, 0.4), (0.3, 2 * LONGEST_CUT), (100.0, 2 * SHORTEST_CUT)):
        assert abs(shortened(3 + 4 * curvature) - expected) < 1e-6
    assert shortened(float("nan"), finite=False) == np.float32(2 * SHORTEST_CUT)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_direction_is_that_of_the_bfgs_matrix(precision):
    """The two-loop recursion against the matrix it stands for (Nocedal & Wright, Eq. 7.19), in float64.

    Of pairs that are stored rounded, too: curvature and γ are then those of what is stored.
    """
    lbfgs = solver(history_size=4, history_precision=precision)
    _, state, _ = trials(lbfgs, START, 11)
    assert state.s_history.dtype == state.y_history.dtype == STORED[precision]
    pairs = int(state.pairs)
    assert pairs > 4  # the circular buffer has wrapped,
    assert pairs % 4 != 0  # and its oldest pair is not in its first slot
    newest = [(pairs - 1 - age) % 4 for age in range(4)][::-1]
    size = int(np.prod(SHAPE))
    matrix = float(state.gamma) * np.eye(size)
    for slot in newest:
        s = np.asarray(History(state.s_history)[slot], np.float64).ravel()
        y = np.asarray(History(state.y_history)[slot], np.float64).ravel()
        rho = 1 / (s @ y)
        assert rho == pytest.approx(float(state.rho_history[slot]), rel=1e-5)
        left = np.eye(size) - rho * np.outer(s, y)
        matrix = left @ matrix @ left.T + rho * np.outer(s, s)
    expected = -matrix @ np.asarray(state.grad, np.float64).ravel()
    found = np.asarray(state.direction).ravel()
    assert np.linalg.norm(found - expected) < 1e-3 * np.linalg.norm(expected)  # float32 dot products


@pytest.mark.parametrize("bounds", [None, ((0.3, 0.7),) * 3])
def test_rounded_pairs_find_the_minimizer_and_resume_to_the_bit(bounds):
    kept, chosen = [], settings(iterations=60, bounds=bounds, history_precision="bfloat16")
    nothing = lambda *_: None  # noqa: E731
    whole = minimize(QUADRATIC, START, PROBLEM, chosen, keep=lambda saved, status: kept.append(saved()))
    expected = MINIMIZER if bounds is None else np.clip(MINIMIZER, 0.3, 0.7)
    np.testing.assert_allclose(whole.image, expected, atol=2e-3)
    resumed = minimize(QUADRATIC, START, PROBLEM, chosen, keep=nothing, resume=kept[20])
    np.testing.assert_array_equal(resumed.image, whole.image)
    assert state_bytes(QUADRATIC, START, chosen) < 0.6 * state_bytes(QUADRATIC, START, settings())


def test_what_is_stored_is_rounded_as_bfloat16_rounds():
    values = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32) * 10.0 ** np.linspace(-38, 38, 3)
    values = values.astype(np.float32)
    stored = jnp.zeros((2, *SHAPE), STORED["bfloat16"])
    for store, expected in ((True, values), (False, np.zeros_like(values))):
        kept = replaced(stored, 1, rounded(jnp.asarray(values), stored), store=jnp.asarray(store))
        found = History(kept)[1]
        np.testing.assert_array_equal(found, expected.astype(jnp.bfloat16).astype(np.float32))
        np.testing.assert_array_equal(History(kept)[0], 0)
    free = jnp.asarray(values > 0)
    np.testing.assert_array_equal(History(jnp.asarray(values)[None], free)[0], np.where(values > 0, values, 0))


@pytest.mark.usefixtures("optimized")
@pytest.mark.parametrize("bounds", [None, ((0.3, 0.7),) * 3], ids=["free", "bounds"])
@pytest.mark.parametrize("precision", STORED)
def test_one_pair_at_a_time_is_read(precision: str, bounds: Any):
    """Whatever is computed with the pairs, not all of them are there twice, nor all of them in float32."""
    image = jax.ShapeDtypeStruct((64, 64, 3), jnp.float32)
    chosen = settings(bounds=bounds, history_size=20, history_precision=precision)
    program = memory.of_program(compile_on_device(QUADRATIC, image, image, chosen))
    images = 2 * 20 * np.dtype(STORED[precision]).itemsize / 4 + 13  # 12 were seen beside the pairs
    assert program < images * 64 * 64 * 3 * 4


def test_only_pairs_of_positive_curvature_are_kept():
    start = MINIMIZER + np.float32(1e-3) * np.sign(START - MINIMIZER)
    _, state, _ = trials(solver(Synthetic("saddle")), start, 30)
    stored = np.asarray(state.rho_history)[: min(int(state.pairs), 10)]
    assert np.all(stored > 0)
    assert int(state.pairs) < int(state.iteration)  # the first ones had none


def test_accepted_losses_never_rise():
    _, _, found = trials(solver(Synthetic("rosenbrock")), START, 80)
    accepted = [float(trial.value) for trial in found if trial.accepted]
    assert len(accepted) > 40
    assert np.all(np.diff(accepted) <= 1e-6 * np.abs(accepted[:-1]))


def test_the_program_contains_the_loss_once():
    lbfgs = solver()
    state = lbfgs.init_state(jnp.asarray(START))
    program = str(jax.make_jaxpr(lbfgs.try_step)(jnp.asarray(START), state, PROBLEM))
    assert program.count("pow") or program.count("integer_pow")
    alone = str(jax.make_jaxpr(QUADRATIC.value_and_grad)(jnp.asarray(START), PROBLEM))
    assert program.count("integer_pow[y=2]") + program.count("square") == alone.count("integer_pow[y=2]") + alone.count(
        "square"
    )


def test_lanes_are_each_as_they_are_alone():
    lbfgs = solver(Synthetic("rosenbrock"))
    starts = jnp.stack([START, START + 0.2, MINIMIZER])
    image, state = starts, jax.vmap(lbfgs.init_state)(starts)
    step = jax.jit(jax.vmap(lbfgs.try_step, in_axes=(0, 0, None)))
    for _ in range(12):
        image, state, _ = step(image, state, PROBLEM)
    for lane, start in enumerate(starts):
        alone, alone_state, _ = trials(lbfgs, start, 12)
        assert int(state.iteration[lane]) == int(alone_state.iteration)
        np.testing.assert_allclose(image[lane], alone, atol=1e-4)  # two programs round differently
