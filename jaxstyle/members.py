"""A sweep's members, each with its own record, and the table of all; one that fails does not stop the others."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jaxstyle.config import Experiment
from jaxstyle.engines import Engine, Job, Local, Outcome, Watcher
from jaxstyle.files import write_beside
from jaxstyle.record import EXPERIMENT, csv_text, flatten, make_folder, write_json
from jaxstyle.sharing import share
from jaxstyle.sweep import Member

MEMBERS, TABLE = "members", "table.csv"


def run_members(
    experiment: Experiment,
    members: Sequence[Member],
    folder: Path,
    *,
    watcher: Watcher,
    interrupted: Callable[[], bool] = lambda: False,
    engine: Engine = Local(),  # noqa: B008  (it has no state)
) -> list[Outcome]:
    """Runs the members of a sweep into `folder/members/<n>`, and keeps `folder/table.csv` up to date.

    Args:
      experiment: the sweep, recorded as it is.
      members: what it expands to.
      folder: the sweep's folder; made, and must not hold a sweep yet.
      watcher: whom to tell of each member.
      interrupted: asked between evaluations; true ends the sweep after saving the current members' best pictures.
      engine: where they are carried out.

    Returns:
      The outcomes of the members that were begun, in the sweep's order.

    Raises:
      JaxstyleError: the folder already holds a sweep or a run, or cannot be made.
    """
    make_folder(folder)
    write_json(folder / EXPERIMENT, experiment.to_json())
    outcomes: list[Outcome] = []
    reads = share([member.experiment for member in members])
    jobs = [
        Job(member, folder / MEMBERS / str(member.index), {"member": _facts(member)}, read_together)
        for member, read_together in zip(members, reads, strict=True)
    ]
    for outcome in engine.carry_out(jobs, watcher=watcher, interrupted=interrupted):
        outcomes = sorted([*outcomes, outcome], key=lambda outcome: outcome.member.index)
        write_table(folder / TABLE, outcomes)
    return outcomes


def _facts(member: Member) -> dict[str, Any]:
    """What a member's manifest says of its place in the sweep."""
    return {
        "index": member.index,
        "label": member.label,
        "values": dict(member.values),
        "place": dict(member.place),
    }


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
