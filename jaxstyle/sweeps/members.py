"""A sweep's members, each with its own record, and the table of all; one that fails does not stop the others."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxstyle.config import Experiment
from jaxstyle.devices.jax_settings import pinned
from jaxstyle.errors import JaxstyleError, Note
from jaxstyle.files import write_atomically
from jaxstyle.metrics import flatten
from jaxstyle.runs.folders import (
    EXPERIMENT,
    FAILED,
    IMAGES,
    LANES,
    MEMBERS,
    checksum,
    ensure_usable,
    is_finished,
    read_manifest,
)
from jaxstyle.runs.locks import claimed
from jaxstyle.runs.record import csv_text, write_json
from jaxstyle.sweeps.continuing import numbered
from jaxstyle.sweeps.engines import Engine, EventsOf, Job, Local, Outcome
from jaxstyle.sweeps.expansion import Member
from jaxstyle.sweeps.lanes import Lanes
from jaxstyle.sweeps.sharing import share

TABLE = "table.csv"


def finished_members(members: Sequence[Member], folder: Path) -> list[Outcome]:
    """Returns how those members ended that have nothing left to do in a sweep's folder."""
    places = [(member, folder_of(member, folder)) for member in members]
    return [Outcome(member, read_manifest(place)) for member, place in places if is_finished(place, member.experiment)]


def continued(experiment: Experiment, members: Sequence[Member], found: Path | None) -> tuple[list[Member], set[int]]:
    """The members by the numbers that they have in a sweep's folder, and which of these have nothing left to do.

    Args:
      experiment: the sweep.
      members: what it expands to.
      found: where it has run before; None for a new folder.
    """
    if found is None:
        return [*members], set()
    members = numbered(experiment, members, found)
    return members, {outcome.member.index for outcome in finished_members(members, found)}


@pinned()
def run_members(
    experiment: Experiment,
    members: Sequence[Member],
    folder: Path,
    *,
    events_of: EventsOf,
    interrupted: Callable[[], bool] = lambda: False,
    engine: Engine = Local(),  # noqa: B008  (it has no state)
    lanes: Lanes | None = None,
) -> list[Outcome]:
    """Runs the members of a sweep into `folder/members/<n>`, and keeps `folder/table.csv` up to date.

    Members that an earlier process has finished are not run again, and those that it has begun are resumed.

    Args:
      experiment: the sweep, recorded as it is.
      members: what it expands to.
      folder: the sweep's folder; made, or that of the same sweep, whose patterns may have found other images then.
      events_of: opens the events of a member.
      interrupted: polled between evaluations; once true, the sweep ends after saving the best images of the members
        that run.
      engine: where they run.
      lanes: what was asked for, recorded for when the sweep is resumed.

    Returns:
      The outcomes of the members that were begun, now or before, in the sweep's order.

    Raises:
      JaxstyleError: the folder holds another sweep or a run, or cannot be made, or another process is at work there.
    """
    ensure_usable(folder, experiment)
    with claimed(folder):
        ensure_usable(folder, experiment)  # until now another process may have been at work there
        members = numbered(experiment, members, folder)
        recorded = (experiment, *(member.experiment for member in members))
        names = {name for each in recorded for name in each.file_names().values()}
        write_json(folder / IMAGES, {name: known for name in sorted(names) if (known := checksum(name))})
        write_json(folder / EXPERIMENT, experiment.to_json())
        write_json(folder / LANES, {"lanes": lanes})
        outcomes = {outcome.member.index: outcome for outcome in finished_members(members, folder)}
        write_table(folder / TABLE, _in_order(outcomes))
        reads = share([member.experiment for member in members])  # finished ones too: the programs stay the same
        jobs = [
            Job(member, folder_of(member, folder), {"member": _facts(member)}, read_together)
            for member, read_together in zip(members, reads, strict=True)
            if member.index not in outcomes
        ]
        for outcome in engine.run_jobs(jobs, events_of=events_of, interrupted=interrupted):
            outcomes[outcome.member.index] = outcome
            write_table(folder / TABLE, _in_order(outcomes))
    return _in_order(outcomes)


def folder_of(member: Member, folder: Path) -> Path:
    """A member's folder in a sweep's."""
    return folder / MEMBERS / str(member.index)


def _in_order(outcomes: Mapping[int, Outcome]) -> list[Outcome]:
    return [outcomes[index] for index in sorted(outcomes)]


def _facts(member: Member) -> dict[str, Any]:
    """What a member's manifest says of its place in the sweep."""
    return {
        "index": member.index,
        "label": member.label,
        "values": dict(member.values),
        "place": dict(member.place),
    }


def write_table(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Writes one line per member: the swept values, how it ended, and its numbers; a note says where it cannot."""
    try:
        write_atomically(path, csv_text([_row(outcome) for outcome in outcomes]).encode("utf-8", "backslashreplace"))
    except JaxstyleError as error:  # the members are well, and the next one's end writes it again
        warnings.warn(str(error), Note, stacklevel=2)


def _row(outcome: Outcome) -> dict[str, Any]:
    member, manifest = outcome.member, outcome.manifest
    row: dict[str, Any] = {"member": member.index, "label": member.label, **member.values, "status": outcome.status}
    if outcome.status != FAILED:
        row |= {"loss": manifest["loss"], "evaluations": manifest["evaluations"]}
        row |= {"run_seconds": round(manifest["run_seconds"], 3), **flatten(manifest["metrics"])}
    if outcome.error:
        row["error"] = outcome.error
    return row
