"""Lanes: each run's result as if it had been alone, whatever happens beside it."""

import dataclasses
import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from synthetic import MINIMIZER, START, Synthetic, settings

from jaxstyle.optimizers import Lane, Status, minimize, minimize_lanes
from jaxstyle.optimizers.device import advance_chunk, advance_once, compile_on_device
from jaxstyle.paper.objective import Problem

CHUNKED = pytest.mark.parametrize("chunked", [False, True], ids=["a call each", "many in a call"])


@dataclasses.dataclass(frozen=True)
class Own(Synthetic):
    """A `Synthetic` whose minimizer is the target of a problem, and whose loss a weight multiplies."""

    def loss(self, image, problem):
        value, _ = super().loss(image, problem.targets["content/conv1_1"])
        value = problem.weights["content/conv1_1"] * value
        return value, {"content/conv1_1": value}


def problem(minimizer=MINIMIZER, weight=1.0):
    name = "content/conv1_1"
    return Problem(None, {name: jnp.asarray(minimizer)}, {name: jnp.float32(weight)})


def lane(start=START, weight=1.0, minimizer=MINIMIZER, observe=lambda iterations, best: None, **chosen):
    return Lane(np.asarray(start, np.float32), problem(minimizer, weight), settings(**chosen), observe)


def alone(objective, given):
    return minimize(objective, given.image, given.problem, given.settings)


@CHUNKED
@pytest.mark.parametrize("method", ["lbfgs", "adam"])
def test_a_lane_finds_what_it_finds_alone(method, chunked):
    objective = Own("rosenbrock")
    lanes = [
        lane(method=method, iterations=12),
        lane(START + np.float32(0.1), 3.0, method=method, iterations=30, learning_rate=0.005),
        lane(minimizer=MINIMIZER[::-1].copy(), method=method, iterations=1),
    ]
    for found, given in zip(minimize_lanes(objective, lanes, chunked=chunked), lanes, strict=True):
        expected = alone(objective, given)
        assert (found.status, found.evaluations) == (expected.status, expected.evaluations)
        assert len(found.history) == len(expected.history)
        for one, other in zip(found.history, expected.history, strict=True):
            assert (one.iteration, one.evaluations, one.size) == (other.iteration, other.evaluations, other.size)
            # Two programs round differently, and the curved valley enlarges it.
            assert one.loss == pytest.approx(other.loss, rel=1e-3)
        assert 0 < found.history[-1].seconds <= found.run_seconds * (1 + 1e-6)


@CHUNKED
def test_one_that_fails_or_ends_does_not_touch_the_others(chunked):
    objective = Own()
    lanes = [lane(iterations=40), lane(weight=np.nan), lane(START * np.nan), lane(MINIMIZER), lane(iterations=5)]
    found = minimize_lanes(objective, lanes, chunked=chunked)
    assert [result.status for result in found] == [
        Status.BUDGET_SPENT,
        Status.NOT_FINITE,
        Status.NOT_FINITE,
        Status.CONVERGED,
        Status.BUDGET_SPENT,
    ]
    assert [len(result.history) for result in found] == [41, 0, 0, 1, 6]
    np.testing.assert_array_equal(found[1].image, START)
    np.testing.assert_array_equal(found[3].image, MINIMIZER)
    for index in (0, 4):
        assert found[index].loss == pytest.approx(alone(objective, lanes[index]).loss, rel=1e-4)


@CHUNKED
def test_lanes_that_are_left_over_do_nothing_and_the_program_is_the_same(chunked):
    objective = Own(scale=2.0)
    program = advance_chunk if chunked else advance_once
    both = minimize_lanes(objective, [lane(iterations=9), lane(iterations=4)], chunked=chunked)
    before = program._cache_size()
    (one,) = minimize_lanes(objective, [lane(iterations=9)], width=2, chunked=chunked)
    assert program._cache_size() == before
    assert (one.loss, one.evaluations) == (both[0].loss, both[0].evaluations)


@CHUNKED
def test_each_lane_is_told_its_own_story(chunked):
    told = [[], []]

    def observer(which):
        return lambda iterations, best: told[which].append(([*iterations], best()))

    lanes = [lane(iterations=25, observe=observer(0)), lane(weight=5.0, iterations=3, observe=observer(1))]
    found = minimize_lanes(Own(), lanes, chunked=chunked)
    for calls, result, given in zip(told, found, lanes, strict=True):
        assert tuple(iteration for iterations, _ in calls for iteration in iterations) == result.history
        for iterations, image in calls:
            if iterations:
                loss, _ = Own().loss(jnp.asarray(image), given.problem)
                assert loss <= iterations[-1].loss * (1 + 1e-5)  # the same sum, not compiled


def test_an_interruption_keeps_every_lanes_best_image():
    calls = 0

    def interrupted():
        nonlocal calls
        calls += 1
        return calls > 6

    lanes = [lane(), lane(weight=2.0), lane(iterations=2)]
    found = minimize_lanes(Own(), lanes, interrupted=interrupted)
    assert [result.status for result in found] == [Status.INTERRUPTED, Status.INTERRUPTED, Status.BUDGET_SPENT]
    for result in found:
        assert result.loss == min(iteration.loss for iteration in result.history) < result.history[0].loss


def test_only_the_terms_that_are_asked_for_are_told():
    quiet = lane(iterations=2)._replace(settings=settings(iterations=2, terms=()))
    found = minimize_lanes(Own(), [lane(iterations=2), quiet])
    assert [set(result.history[-1].terms) for result in found] == [{"content/conv1_1"}, set()]


@CHUNKED
def test_what_is_compiled_from_shapes_is_what_runs(chunked, caplog):
    objective, given = Own(scale=7.0), lane(iterations=2)

    def compiled():
        finished = [record.getMessage() for record in caplog.records if "Finished XLA compilation" in record.msg]
        caplog.clear()
        return sum("jit(advance_" in message for message in finished)

    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        compile_on_device(objective, given.image, given.problem, given.settings, lanes=3, chunked=chunked)
        assert compiled() == 1
        minimize_lanes(objective, [given] * 3, chunked=chunked)
        assert compiled() == 0
