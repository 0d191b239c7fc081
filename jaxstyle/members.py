"""A sweep's members one after another, each with its own record; one that fails does not stop the others."""

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from jaxstyle.config import Experiment
from jaxstyle.files import write_beside
from jaxstyle.optimizers import Iteration
from jaxstyle.record import EXPERIMENT, csv_text, describe, flatten, make_folder, write_json
from jaxstyle.runs import Run, run
from jaxstyle.scales import Scale
from jaxstyle.sharding import Devices
from jaxstyle.sweep import Member

MEMBERS, TABLE = "members", "table.csv"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How one member ended: with a run, or with the reason why it failed."""

    member: Member
    run: Run | None
    error: str | None

    @property
    def status(self) -> str:
        """The run's status, or `failed`."""
        return str(self.run.result.status) if self.run else "failed"


class Watching(Protocol):
    """Somebody who is told what is done and shown a member's iterations."""

    def say(self, message: str) -> None:
        """Hears what is being done."""

    def plan(self, scales: Sequence[Scale]) -> None:
        """Hears the scales that the member will go through."""

    def __call__(self, iterations: Sequence[Iteration]) -> None:
        """Sees the iterations that are new."""


Watcher = Callable[[Member], contextlib.AbstractContextManager[Watching]]
"""Gives each member's watching, entered before the member begins and left when it has ended."""


def run_members(
    experiment: Experiment,
    members: Sequence[Member],
    folder: Path,
    *,
    watcher: Watcher,
    interrupted: Callable[[], bool] = lambda: False,
    devices: Devices = 1,
) -> list[Outcome]:
    """Runs the members of a sweep into `folder/members/<n>`, and keeps `folder/table.csv` up to date.

    Args:
      experiment: the sweep, recorded as it is.
      members: what it expands to.
      folder: the sweep's folder; made, and must not hold a sweep yet.
      watcher: whom to tell of each member.
      interrupted: asked between evaluations; true ends the sweep after saving the current member's best picture.
      devices: over how many each picture is spread.

    Returns:
      The outcomes of the members that were begun.

    Raises:
      JaxstyleError: the folder already holds a sweep or a run, or cannot be made.
    """
    make_folder(folder)
    write_json(folder / EXPERIMENT, experiment.to_json())
    outcomes: list[Outcome] = []
    for member in members:
        if interrupted():
            break
        try:
            with watcher(member) as watching:
                finished = run(
                    member.experiment,
                    folder / MEMBERS / str(member.index),
                    say=watching.say,
                    plan=watching.plan,
                    watch=watching,
                    interrupted=interrupted,
                    devices=devices,
                    member={
                        "index": member.index,
                        "label": member.label,
                        "values": dict(member.values),
                        "place": dict(member.place),
                    },
                )
            outcomes.append(Outcome(member, finished, None))
        except Exception as error:  # whatever it is belongs to this member alone
            outcomes.append(Outcome(member, None, describe(error)))
        write_table(folder / TABLE, outcomes)
    return outcomes


def write_table(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Writes one line per member: the swept values, how it ended, and its numbers."""
    write_beside(path, csv_text([_row(outcome) for outcome in outcomes]).encode())


def _row(outcome: Outcome) -> dict[str, Any]:
    row: dict[str, Any] = {"member": outcome.member.index, "label": outcome.member.label, **outcome.member.values}
    row["status"] = outcome.status
    if outcome.run is not None:
        result = outcome.run.result
        row |= {"loss": result.loss, "evaluations": result.evaluations, "run_seconds": round(result.run_seconds, 3)}
        row |= flatten(outcome.run.metrics)
    if outcome.error:
        row["error"] = outcome.error
    return row
