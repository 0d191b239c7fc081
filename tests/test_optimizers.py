import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from synthetic import MINIMIZER, SHAPE, START, Synthetic, settings

from jaxstyle.errors import CheckpointError
from jaxstyle.optimizers import Saved, Status, minimize, state_bytes
from jaxstyle.optimizers.base import WINDOW, most_evaluations
from jaxstyle.optimizers.device import advance_chunk, advance_once
from jaxstyle.optimizers.loop import minimize_on_device

METHODS = ("lbfgs", "adam", "scipy-lbfgsb")
QUASI_NEWTON = ("lbfgs", "scipy-lbfgsb")
PROBLEM = jnp.asarray(MINIMIZER)
ABOVE_THE_WALL = np.full_like(START, 0.9)


def run(kind="quadratic", *, scale=1.0, start=START, observe=None, interrupted=None, **chosen):
    asked = {"interrupted": interrupted} if interrupted else {}
    watched = {"observe": observe} if observe else {}
    return minimize(Synthetic(kind, scale), start, PROBLEM, settings(**chosen), **asked, **watched)


@pytest.mark.parametrize("method", METHODS)
def test_the_minimizer_is_found(method):
    result = run(method=method, iterations=400)
    # Adam goes back and forth by about its learning rate where the curvature is small.
    np.testing.assert_allclose(result.image, MINIMIZER, atol=0.02 if method == "adam" else 2e-3)


@pytest.mark.parametrize("method", QUASI_NEWTON)
def test_a_curved_valley_is_followed(method):
    assert run("rosenbrock", method=method, iterations=300).loss < 1e-3 * run("rosenbrock", iterations=1).loss


@pytest.mark.parametrize("method", METHODS)
def test_the_story_is_complete(method):
    told = []
    result = run(method=method, iterations=30, observe=lambda iterations, best: told.extend(iterations))
    history = result.history
    assert tuple(told) == history
    assert [iteration.iteration for iteration in history] == list(range(31))
    evaluations = [iteration.evaluations for iteration in history]
    assert evaluations[0] == 1
    assert np.all(np.diff(evaluations) >= 1)
    assert evaluations[-1] == result.evaluations
    assert history[0].loss == pytest.approx(float(Synthetic().loss(START, PROBLEM)[0]), rel=1e-6)
    assert all(iteration.terms == {"content/conv1_1": pytest.approx(iteration.loss)} for iteration in history)
    assert all(iteration.gradient_norm > 0 for iteration in history)
    seconds = [iteration.seconds for iteration in history]
    assert np.all(np.diff(seconds) >= 0)
    assert 0 < seconds[-1] <= result.run_seconds
    assert result.compile_seconds >= 0


@pytest.mark.parametrize("method", METHODS)
def test_the_budget_is_kept(method):
    result = run(method=method, iterations=7)
    assert result.status is Status.BUDGET_SPENT
    assert result.history[-1].iteration == 7
    assert result.evaluations <= most_evaluations(7)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["quadratic", "rosenbrock", "saddle"])
def test_the_best_iterate_is_returned(method, kind):
    result = run(kind, method=method, iterations=25, learning_rate=0.3)
    loss, _ = Synthetic(kind).loss(jnp.asarray(result.image), PROBLEM)
    assert result.loss == pytest.approx(float(loss), rel=1e-5)
    # A trial that the line search turned down may have been lower; never higher.
    assert result.loss <= min(iteration.loss for iteration in result.history) * (1 + 1e-6)


@pytest.mark.parametrize(
    ("method", "kind", "start"), [("lbfgs", "wall", ABOVE_THE_WALL), ("scipy-lbfgsb", "rosenbrock", START)]
)
def test_a_trial_that_was_turned_down_is_never_returned(method, kind, start):
    last_was_accepted = []
    for evaluations in range(2, 24):
        asked = iter([False] * evaluations)
        result = run(kind, method=method, start=start, interrupted=lambda asked=asked: next(asked, True))
        assert result.evaluations == evaluations
        assert result.loss <= min(iteration.loss for iteration in result.history)
        last_was_accepted.append(result.history[-1].evaluations == evaluations)
    assert not all(last_was_accepted)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_the_scale_of_the_loss_does_not_matter(scale):
    plain, scaled = run(iterations=25), run(iterations=25, scale=scale)
    assert plain.evaluations == scaled.evaluations
    # The same iterates up to float32's rounding, which 25 steps enlarge.
    np.testing.assert_allclose(scaled.image, plain.image, atol=1e-4)
    assert scaled.loss == pytest.approx(scale * plain.loss, rel=0.05)


@pytest.mark.parametrize("seed", range(4))
def test_a_line_search_seldom_needs_a_second_evaluation(seed):
    start = (START + np.random.default_rng(seed).normal(0, 0.05, SHAPE)).astype(np.float32)
    history = run("rosenbrock", start=start, iterations=200).history
    # Further down, float32 tells neighbouring losses no longer apart.
    there = next(iteration for iteration in history if iteration.loss <= 1e-6 * history[0].loss)
    assert there.evaluations <= 1.3 * there.iteration


def test_a_loss_that_curves_downwards_at_the_start_is_left_quickly():
    start = MINIMIZER + np.float32(1e-3) * np.sign(START - MINIMIZER)
    result = run("saddle", start=start, iterations=15)
    assert result.loss < 1e-2 * result.history[0].loss


@pytest.mark.parametrize("method", METHODS)
def test_not_finite_from_the_start(method):
    result = run("not finite", method=method)
    assert result.status is Status.NOT_FINITE
    np.testing.assert_array_equal(result.image, START)
    assert result.evaluations == 1
    assert result.history == ()


def test_a_step_beyond_the_wall_is_taken_back():
    result = run("wall", start=ABOVE_THE_WALL, iterations=200)
    assert result.evaluations > len(result.history)  # some steps went beyond
    assert result.status in (Status.BUDGET_SPENT, Status.CONVERGED, Status.STALLED)
    # The wall keeps the last steps short: within a hundredth of the way.
    np.testing.assert_allclose(result.image, MINIMIZER, atol=1e-2)


@pytest.mark.parametrize("method", ["adam", "scipy-lbfgsb"])
def test_methods_that_cannot_go_back_stop_at_the_wall_with_the_best_image(method):
    result = run("wall", method=method, start=ABOVE_THE_WALL, iterations=400, learning_rate=0.1)
    assert result.status is Status.NOT_FINITE
    assert result.evaluations == len(result.history) + 1
    assert result.loss == min(iteration.loss for iteration in result.history)
    assert np.isfinite(result.image).all()


@pytest.mark.parametrize("method", METHODS)
def test_nothing_to_do_is_converged(method):
    result = run("flat", method=method)
    assert result.status is Status.CONVERGED
    assert result.evaluations == 1
    np.testing.assert_array_equal(result.image, START)


def test_without_a_tolerance_a_method_that_goes_up_and_down_is_never_ended():
    result = run("lying", method="adam", iterations=90)
    assert (result.status, len(result.history)) == (Status.BUDGET_SPENT, 91)
    assert run("lying", method="adam", iterations=90, tolerance=1e-9).status is Status.CONVERGED


@pytest.mark.parametrize("method", QUASI_NEWTON)
def test_no_way_down_is_stalled(method):
    result = run("lying", method=method)
    assert result.status is Status.STALLED
    # Steps within the rounding of the loss are not turned down, until a window of 20 of them has gained nothing.
    assert result.evaluations < 20 * 11
    np.testing.assert_array_equal(result.image, START)


@pytest.mark.parametrize("method", METHODS)
def test_a_tolerance_ends_it(method):
    result = run(method=method, iterations=500, tolerance=0.2)
    # Adam goes back and forth, so that its window may end without any gain.
    assert result.status in ({Status.CONVERGED, Status.STALLED} if method == "adam" else {Status.CONVERGED})
    assert 20 <= result.history[-1].iteration < 400


@pytest.mark.parametrize("method", METHODS)
def test_an_interruption_keeps_the_best_image(method):
    calls = 0

    def interrupted():
        nonlocal calls
        calls += 1
        return calls > 6

    result = run(method=method, interrupted=interrupted)
    assert result.status is Status.INTERRUPTED
    assert 1 <= len(result.history) < 100
    assert result.loss < float(Synthetic().loss(START, PROBLEM)[0])


@pytest.mark.parametrize("method", METHODS)
def test_an_interruption_before_the_first_evaluation_gives_the_start(method):
    result = run(method=method, interrupted=lambda: True)
    assert (result.status, result.evaluations, result.history) == (Status.INTERRUPTED, 0, ())
    np.testing.assert_array_equal(result.image, START)


@pytest.mark.parametrize("method", METHODS)
def test_the_best_image_is_at_hand_while_it_runs_and_stays(method):
    seen, lowest = [], np.inf

    def observe(iterations, best):
        nonlocal lowest
        lowest = min(lowest, *(iteration.loss for iteration in iterations))
        seen.append((lowest, best()))

    run(method=method, iterations=10, observe=observe)
    for loss, image in seen:  # after the run: its buffers were given away evaluation by evaluation
        assert Synthetic().loss(image, PROBLEM)[0] <= loss * (1 + 1e-5)  # the same sum, not compiled


@pytest.mark.parametrize("method", ["lbfgs", "adam"])
def test_many_evaluations_in_a_call_are_one_at_a_time_in_a_row(method):
    def observe(iterations, best):
        pass

    both = [
        minimize_on_device(
            Synthetic("rosenbrock"), START, PROBLEM, settings(method, 40), observe, lambda: False, chunked=chunked
        )
        for chunked in (True, False)
    ]
    assert both[0].evaluations == both[1].evaluations
    for chunk, single in zip(both[0].history, both[1].history, strict=True):
        assert (chunk.iteration, chunk.evaluations) == (single.iteration, single.evaluations)
        # Two compiled programs round differently, and the steps enlarge it.
        assert chunk.loss == pytest.approx(single.loss, rel=1e-2)


def test_settings_are_arguments_of_one_program():
    objective = dataclasses.replace(Synthetic(), scale=3.0)
    minimize(objective, START, PROBLEM, settings(iterations=5))
    before = advance_once._cache_size(), advance_chunk._cache_size()
    minimize(objective, START + np.float32(0.1), PROBLEM * 0.9, settings(iterations=9, tolerance=1e-3))
    assert (advance_once._cache_size(), advance_chunk._cache_size()) == before


def keep_all(kept):
    return lambda saved, status: kept.append((saved(), status))


def without_seconds(history):
    return [iteration._replace(seconds=0.0) for iteration in history]


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("bounds", [None, ((0.3, 0.55), (0.45, 0.6), (0.0, 0.5))], ids=["free", "bounded"])
@pytest.mark.parametrize(("method", "kind"), [("lbfgs", "rosenbrock"), ("lbfgs", "saddle"), ("adam", "quadratic")])
def test_from_every_moment_it_goes_on_to_the_bit(method, kind, bounds, chunked):
    def go(resume, keep):
        return minimize_on_device(
            Synthetic(kind),
            START if resume is None else np.full_like(START, np.nan),
            PROBLEM,
            settings(method, 12, bounds=bounds),
            lambda iterations, best: None,
            lambda: False,
            resume,
            keep,
            chunked=chunked,
        )

    kept = []
    whole = go(None, keep_all(kept))
    assert len(kept) == (whole.evaluations + 1 if not chunked else len(kept)) >= 4
    assert [status for _, status in kept] == [Status.RUNNING] * (len(kept) - 1) + [whole.status]
    for saved, _ in kept:
        rest = go(saved, lambda saved, status: None)
        np.testing.assert_array_equal(rest.image, whole.image)
        assert (rest.loss, rest.status, rest.evaluations) == (whole.loss, whole.status, whole.evaluations)
        assert without_seconds(rest.history) == without_seconds(whole.history)
        assert rest.history[: len(saved.history)] == saved.history
        assert rest.run_seconds >= saved.run_seconds > 0
        assert rest.compile_seconds >= saved.compile_seconds


@pytest.mark.parametrize("method", ["lbfgs", "adam"])
def test_an_interruption_is_gone_on_from(method):
    whole, kept = run("rosenbrock", method=method, iterations=15), []
    asked = iter([False] * 5)
    options = (Synthetic("rosenbrock"), START, PROBLEM, settings(method=method, iterations=15))
    minimize(*options, interrupted=lambda: next(asked, True), keep=keep_all(kept))
    assert [status for _, status in kept] == [Status.RUNNING] * 5 + [Status.INTERRUPTED]
    np.testing.assert_array_equal(minimize(*options, resume=kept[-1][0]).image, whole.image)


def test_what_was_saved_stays_while_the_run_goes_on():
    kept, at_once = [], []

    def keep(saved, status):
        kept.append(saved())
        at_once.append({name: array.tobytes() for name, array in kept[-1].arrays.items()})

    minimize(Synthetic(), START, PROBLEM, settings(iterations=6), keep=keep)
    assert [{name: array.tobytes() for name, array in saved.arrays.items()} for saved in kept] == at_once
    assert len({arrays["image"] for arrays in at_once}) > 3


def test_a_restored_state_shares_no_memory_with_what_was_saved():
    kept = []
    options = (Synthetic(), START, PROBLEM, settings(iterations=6))
    minimize(*options, keep=keep_all(kept))
    before = {name: array.copy() for name, array in kept[2][0].arrays.items()}
    minimize(*options, resume=kept[2][0])
    for name, array in kept[2][0].arrays.items():
        np.testing.assert_array_equal(array, before[name])


def test_a_state_of_something_else_is_refused():
    kept = []
    minimize(Synthetic(), START, PROBLEM, settings(iterations=2), keep=keep_all(kept))
    saved = kept[0][0]
    for odd, changed in (
        ("method/0/count", settings("adam", 2)),
        ("method/rho_history, method/s_history, method/y_history", settings(iterations=2, history_size=7)),
    ):
        with pytest.raises(CheckpointError, match=f"not one of this optimization: .*{odd}"):
            minimize(Synthetic(), START, PROBLEM, changed, resume=saved)
    with pytest.raises(CheckpointError, match="best_image, image, "):
        minimize(Synthetic(), START[:2], PROBLEM[:2], settings(iterations=2), resume=saved)


def test_scipy_shows_no_state_and_begins_anew():
    kept = []
    options = (Synthetic(), START, PROBLEM, settings("scipy-lbfgsb", 5))
    whole = minimize(*options, keep=keep_all(kept))
    assert kept == []
    again = minimize(*options, resume=Saved({}, whole.history, 1.0, 1.0))
    np.testing.assert_array_equal(again.image, whole.image)
    assert without_seconds(again.history) == without_seconds(whole.history)


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(("method", "kind"), [("lbfgs", "rosenbrock"), ("lbfgs", "saddle"), ("adam", "quadratic")])
def test_more_iterations_are_those_of_one_long_run(method, kind, chunked):
    def go(iterations, resume=None, keep=lambda saved, status: None):
        chosen = settings(method, iterations, learning_rate=0.05)
        start, none = START if resume is None else np.full_like(START, np.nan), lambda *_: None
        return minimize_on_device(
            Synthetic(kind), start, PROBLEM, chosen, none, lambda: False, resume, keep, chunked=chunked
        )

    kept = []
    go(4, keep=keep_all(kept))
    go(9, resume=kept[-1][0], keep=keep_all(kept))
    for saved in (kept[-1][0], kept[-2][0]):
        assert without_seconds(go(30, resume=saved).history) == without_seconds(go(30).history)
        np.testing.assert_array_equal(go(30, resume=saved).image, go(30).image)


def test_a_budget_of_evaluations_that_is_larger_is_gone_on_with():
    """Every trial on the way is turned down, so that the evaluations of 3 iterations are spent before those."""
    kept = []
    options = (Synthetic("rosenbrock"), START, PROBLEM)
    spent = minimize(*options, settings(iterations=3), keep=keep_all(kept))
    (last, status) = kept[-1]
    assert status is spent.status is Status.BUDGET_SPENT
    cut = last._replace(history=last.history[:-1])  # as if the last of them had not been accepted
    assert minimize(*options, settings(iterations=3), resume=cut).evaluations > spent.evaluations
    most = {**last.arrays, "evaluations": np.asarray(26, np.int32)}
    done = minimize(*options, settings(iterations=3), resume=cut._replace(arrays=most))
    assert (done.evaluations, done.status) == (26, Status.BUDGET_SPENT)


@pytest.mark.parametrize(
    ("kind", "status"), [("flat", Status.CONVERGED), ("lying", Status.STALLED), ("quadratic", Status.BUDGET_SPENT)]
)
def test_an_end_that_more_iterations_do_not_change_stays(kind, status):
    kept = []
    options = (Synthetic(kind), START, PROBLEM)
    first, then = (20, 20) if status is Status.BUDGET_SPENT else (300, 400)
    ended = minimize(*options, settings(iterations=first), keep=keep_all(kept))
    assert ended.status is status
    again = minimize(*options, settings(iterations=then), resume=kept[-1][0])
    assert (again.status, again.evaluations, again.history) == (status, ended.evaluations, ended.history)
    np.testing.assert_array_equal(again.image, ended.image)


@pytest.mark.parametrize("method", METHODS)
def test_a_state_takes_as_many_bytes_as_is_said(method):
    kept = []
    minimize(Synthetic(), START, PROBLEM, settings(method, 2), keep=keep_all(kept))
    size = sum(array.nbytes for array in kept[-1][0].arrays.values()) if kept else 0
    assert state_bytes(Synthetic(), START, settings(method, 2)) == size


@pytest.mark.parametrize("method", METHODS)
def test_a_tolerance_is_judged_over_windows_of_twenty_iterations(method):
    result = run("rosenbrock", method=method, iterations=500, tolerance=0.999)
    assert result.status is Status.CONVERGED
    assert result.history[-1].iteration % WINDOW == 0
    before = min(each.loss for each in result.history[:-WINDOW])
    assert before - result.loss <= 0.999 * before


def test_an_observer_says_when_it_is_called_next():
    """Else an accelerator's calls double up to 64 evaluations."""
    seen = []

    def observe(iterations, best):
        seen.extend(each.iteration for each in iterations[-1:])
        return 5 - seen[-1] % 5

    settings_, start = settings(method="adam", iterations=23), START
    minimize_on_device(Synthetic(), start, PROBLEM, settings_, observe, lambda: False, chunked=True)
    assert {5, 10, 15, 20} <= {*seen}
