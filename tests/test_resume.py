"""Where a run stands: when that is kept, and that a checkpoint gives it back."""

import json
import math

import numpy as np
import pytest

from jaxstyle.errors import CheckpointError
from jaxstyle.optimizers import Iteration, Result, Saved, Status
from jaxstyle.runs.checkpoints import Checkpoint
from jaxstyle.runs.resume import MOST_OVERHEAD, pack, periodic_checkpoints, unpack
from jaxstyle.synthesis.state import RunState, counted_on

INGREDIENTS = {"jax": "0.10.2", "weights": "ab12", "content": "cd34"}


def iteration(number: int, *, size: int = 16) -> Iteration:
    return Iteration(number, number + 1, 1 / (number + 3), {"style/conv1_1": 1 / 7}, 0.5, 1.0, 0.1 * number, size)


def state() -> RunState:
    image = np.random.default_rng(0).random((4, 5, 3), np.float32)
    before = Result(image, 0.1, Status.RUNNING, tuple(map(iteration, range(4))), 5, 1.5, 2.5)
    saved = Saved({"image": image + 1, "method/0/count": np.asarray(3, np.int32)}, (iteration(0, size=32),), 0.5, 0.25)
    return RunState(1, before, saved)


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def saved_at(seconds: float, *, every: float, takes: float, interrupted_at: float = math.inf) -> list[float]:
    """When checkpoints begin in a run that is asked ten times a second."""
    clock, begun = Clock(), []

    def save(state: RunState) -> None:
        begun.append(round(clock.now - 100, 1))
        clock.now += takes

    keep = periodic_checkpoints(save, every, clock=clock)
    for turn in range(1, round(10 * seconds) + 1):
        clock.now = max(clock.now, 100 + turn / 10)
        keep(state, Status.INTERRUPTED if turn / 10 == interrupted_at else Status.RUNNING)
    return begun


def test_checkpoints_are_so_far_apart():
    assert saved_at(20, every=5.0, takes=0.0) == [5, 10, 15, 20]


def test_slow_checkpoints_are_further_apart():
    begun = saved_at(1000, every=5.0, takes=2.0)
    assert begun == [5, *(5 + round(2 + 2 / MOST_OVERHEAD) * turn for turn in range(1, 5))]
    assert 2 * len(begun) <= 1000 * MOST_OVERHEAD


def test_none_are_written_but_at_an_interruption():
    assert saved_at(100, every=0.0, takes=1.0) == []
    assert saved_at(100, every=0.0, takes=1.0, interrupted_at=7) == [7]
    assert saved_at(20, every=15.0, takes=0.0, interrupted_at=7) == [7]


def test_nothing_is_fetched_that_is_not_kept():
    def fetch() -> RunState:
        raise AssertionError("fetched")

    for status in (Status.RUNNING, Status.BUDGET_SPENT, Status.NOT_FINITE):
        periodic_checkpoints(lambda state: None, 1e9)(fetch, status)
    periodic_checkpoints(lambda state: None, 1e9, at_end=True)(fetch, Status.NOT_FINITE)


@pytest.mark.parametrize("status", [Status.BUDGET_SPENT, Status.CONVERGED, Status.STALLED])
def test_a_run_that_is_finished_is_saved_if_wanted(status: Status):
    kept = []
    periodic_checkpoints(kept.append, 0.0, at_end=True)(state, status)
    assert len(kept) == 1


def test_a_checkpoint_gives_it_back():
    before = state()
    arrays, facts = pack(before, INGREDIENTS)
    found = unpack(Checkpoint(arrays, json.loads(json.dumps(facts))), INGREDIENTS)
    assert found.scale == before.scale
    assert found.history == before.history
    for one, other in ((found.before, before.before), (found.saved, before.saved)):
        assert (one.history, one.compile_seconds, one.run_seconds) == (
            other.history,
            other.compile_seconds,
            other.run_seconds,
        )
    assert (found.before.loss, found.before.evaluations) == (0.1, 5)
    np.testing.assert_array_equal(found.before.image, before.before.image)
    assert {*found.saved.arrays} == {*before.saved.arrays}
    for name, array in before.saved.arrays.items():
        np.testing.assert_array_equal(found.saved.arrays[name], array)


@pytest.mark.parametrize("name", INGREDIENTS)
def test_other_ingredients_make_another_run(name: str):
    checkpoint = pack(state(), INGREDIENTS)
    said = f"was made with something else .{name}: {INGREDIENTS[name]} there, other here"
    with pytest.raises(CheckpointError, match=said):
        unpack(checkpoint, INGREDIENTS | {name: "other"})


@pytest.mark.parametrize("key", ["ingredients", "scale", "before", "saved"])
def test_a_checkpoint_of_another_form_is_an_answer(key: str):
    arrays, facts = pack(state(), INGREDIENTS)
    with pytest.raises(CheckpointError, match="holds something else"):
        unpack(Checkpoint(arrays, {name: fact for name, fact in facts.items() if name != key}), INGREDIENTS)


def test_iterations_are_counted_on_and_a_scales_start_is_no_step():
    first, second = counted_on(state().before, [iteration(0), iteration(1)])
    assert (first.iteration, first.evaluations, first.seconds) == (3, 6, 2.5)
    assert (second.iteration, second.evaluations, second.seconds) == (4, 7, 2.6)
