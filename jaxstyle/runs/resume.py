"""A run's state as a checkpoint: when one is written, and what must be the same for a run to resume from it."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from jaxstyle.errors import CheckpointError
from jaxstyle.optimizers import Iteration, Result, Saved, Status
from jaxstyle.runs.checkpoints import Checkpoint
from jaxstyle.runs.folders import FINISHED
from jaxstyle.synthesis.state import KeepRunState, RunState

MOST_OVERHEAD = 0.01
"""Checkpoints are further apart than was asked for where writing them would take more than this of the time."""
_STATE = "optimizer/"


def periodic_checkpoints(
    save: Callable[[RunState], None],
    seconds: float,
    *,
    at_end: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> KeepRunState:
    """Returns a callback that saves the run's state at an interruption, from time to time, and if wanted at its end.

    Args:
      save: writes a checkpoint.
      seconds: between two of them, or more where writing takes more than `MOST_OVERHEAD` of the time; 0: only at an
        interruption.
      at_end: whether to save the state of a run of one scale that is finished, so that it can be extended.
      clock: the time in seconds.
    """
    ended, took = clock(), 0.0

    def keep(state: Callable[[], RunState], status: Status) -> None:
        nonlocal ended, took
        began = clock()
        due = status is Status.RUNNING and seconds > 0 and began - ended >= max(seconds, took / MOST_OVERHEAD)
        if due or status is Status.INTERRUPTED or (at_end and status in FINISHED):
            save(state())
            ended = clock()
            took = ended - began

    return keep


def pack(state: RunState, ingredients: Mapping[str, Any]) -> Checkpoint:
    """The state of a run as a checkpoint.

    Args:
      state: what to write.
      ingredients: what must be the same for a run to resume: versions, weights, images.
    """
    before, saved = state.before, state.saved
    return Checkpoint(
        arrays={"before": before.image} | {f"{_STATE}{name}": array for name, array in saved.arrays.items()},
        facts={
            "ingredients": dict(ingredients),
            "scale": state.scale,
            "before": {
                "loss": before.loss,
                "history": [iteration._asdict() for iteration in before.history],
                "evaluations": before.evaluations,
                "compile_seconds": before.compile_seconds,
                "run_seconds": before.run_seconds,
            },
            "saved": {
                "history": [iteration._asdict() for iteration in saved.history],
                "compile_seconds": saved.compile_seconds,
                "run_seconds": saved.run_seconds,
            },
        },
    )


def unpack(checkpoint: Checkpoint, ingredients: Mapping[str, Any]) -> RunState:
    """The inverse of `pack`.

    Raises:
      CheckpointError: it was made of other ingredients, or holds something else.
    """
    try:
        return _unpacked(checkpoint, ingredients)
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"the checkpoint holds something else: {type(error).__name__}: {error}") from error


def _unpacked(checkpoint: Checkpoint, ingredients: Mapping[str, Any]) -> RunState:
    arrays, facts = checkpoint
    if changed := [name for name in ingredients if facts["ingredients"].get(name) != ingredients[name]]:
        found = "; ".join(
            f"{name}: {facts['ingredients'].get(name)} there, {ingredients[name]} here" for name in changed
        )
        raise CheckpointError(f"the checkpoint was made with something else ({found})")
    before, saved = facts["before"], facts["saved"]
    return RunState(
        scale=facts["scale"],
        before=Result(image=arrays["before"], status=Status.RUNNING, **before | {"history": _iterations(before)}),
        saved=Saved(
            arrays={name.removeprefix(_STATE): array for name, array in arrays.items() if name.startswith(_STATE)},
            **saved | {"history": _iterations(saved)},
        ),
    )


def _iterations(facts: Mapping[str, Any]) -> tuple[Iteration, ...]:
    return tuple(Iteration(**iteration) for iteration in facts["history"])
