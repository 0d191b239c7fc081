"""A sweep's members one after another, each with its own record; one that fails does not stop the others."""

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from jaxstyle.config import Experiment
from jaxstyle.files import write_beside
from jaxstyle.folders import EXPERIMENT, FAILED, MEMBERS, is_finished, locked, make_folder, read_manifest
from jaxstyle.optimizers import Iteration
from jaxstyle.record import csv_text, describe, flatten, write_json
from jaxstyle.runs import run
from jaxstyle.scales import Scale
from jaxstyle.sweep import Member

TABLE = "table.csv"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How one member ended, as its manifest has it; the picture is in its folder.

    Attributes:
      member: which.
      manifest: the status; of a run that did not fail also the loss, what it took, and the metrics.
    """

    member: Member
    manifest: Mapping[str, Any]

    @property
    def status(self) -> str:
        """The run's status, or `failed`."""
        return str(self.manifest["status"])

    @property
    def error(self) -> str | None:
        """Why it failed."""
        return self.manifest.get("error")


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


def finished_members(members: Sequence[Member], folder: Path) -> list[Outcome]:
    """Returns how those members ended that have nothing left to do in a sweep's folder."""
    places = {member.index: _folder_of(member, folder) for member in members}
    return [
        Outcome(member, read_manifest(places[member.index])) for member in members if is_finished(places[member.index])
    ]


def run_members(
    experiment: Experiment,
    members: Sequence[Member],
    folder: Path,
    *,
    watcher: Watcher,
    interrupted: Callable[[], bool] = lambda: False,
) -> list[Outcome]:
    """Runs the members of a sweep into `folder/members/<n>`, and keeps `folder/table.csv` up to date.

    Members that an earlier process has finished are not run again, and one that it left half done goes on.

    Args:
      experiment: the sweep, recorded as it is.
      members: what it expands to.
      folder: the sweep's folder; made, or that of the same sweep.
      watcher: whom to tell of each member.
      interrupted: asked between evaluations; true ends the sweep after saving the current member's best picture.

    Returns:
      The outcomes of the members that were begun, now or before.

    Raises:
      JaxstyleError: the folder holds another sweep or a run, or cannot be made, or another process is at work there.
    """
    make_folder(folder, experiment)
    with locked(folder):
        write_json(folder / EXPERIMENT, experiment.to_json())
        outcomes = {outcome.member.index: outcome for outcome in finished_members(members, folder)}
        for member in members:
            if interrupted():
                break
            if member.index not in outcomes:
                outcomes[member.index] = _run_member(member, _folder_of(member, folder), watcher, interrupted)
            write_table(folder / TABLE, _in_order(outcomes))
    return _in_order(outcomes)


def _run_member(member: Member, folder: Path, watcher: Watcher, interrupted: Callable[[], bool]) -> Outcome:
    try:
        with watcher(member) as watching:
            run(
                member.experiment,
                folder,
                say=watching.say,
                plan=watching.plan,
                watch=watching,
                interrupted=interrupted,
                member={
                    "index": member.index,
                    "label": member.label,
                    "values": dict(member.values),
                    "place": dict(member.place),
                },
            )
        return Outcome(member, read_manifest(folder))
    except Exception as error:  # whatever it is belongs to this member alone
        return Outcome(member, {"status": FAILED, "error": describe(error)})


def _folder_of(member: Member, folder: Path) -> Path:
    return folder / MEMBERS / str(member.index)


def _in_order(outcomes: Mapping[int, Outcome]) -> list[Outcome]:
    return [outcomes[index] for index in sorted(outcomes)]


def write_table(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Writes one line per member: the swept values, how it ended, and its numbers."""
    write_beside(path, csv_text([_row(outcome) for outcome in outcomes]).encode())


def _row(outcome: Outcome) -> dict[str, Any]:
    member, manifest = outcome.member, outcome.manifest
    row: dict[str, Any] = {"member": member.index, "label": member.label, **member.values, "status": outcome.status}
    if outcome.status != FAILED:
        row |= {"loss": manifest["loss"], "evaluations": manifest["evaluations"]}
        row |= {"run_seconds": round(manifest["run_seconds"], 3), **flatten(manifest["metrics"])}
    if outcome.error:
        row["error"] = outcome.error
    return row
