"""`--lanes`: how many members of a sweep go side by side in this process."""

from collections.abc import Iterator, Mapping, Sequence

from jaxstyle import runs
from jaxstyle.cli.show import tell
from jaxstyle.engines import Batch, Job, Local
from jaxstyle.errors import JaxstyleError
from jaxstyle.estimates import Planned
from jaxstyle.kept import Kept
from jaxstyle.lanes import batches, choose_lanes, groups
from jaxstyle.optimizers import has_lanes
from jaxstyle.preparation import Prepared, prepare
from jaxstyle.sharding import Devices

AUTO = "auto"


def parse_lanes(text: str) -> int | None:
    """The number that was asked for; None for `auto`.

    Raises:
      JaxstyleError: it is neither.
    """
    if text == AUTO:
        return None
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise JaxstyleError(f"--lanes: found '{text}'; allowed: {AUTO}, or a whole number, at least 1")
    return int(text)


def lanes_of_members(planned: Sequence[Planned], wanted: int | None) -> dict[int, int]:
    """How many lanes each member's group is given, by the members' indices; measured where that is not said."""
    found: dict[int, int] = {}
    for group in groups(planned):
        outline = group[0].outlines[-1]
        if wanted is None:
            lanes = choose_lanes(group, _prepare, say=tell)
        else:
            lanes = min(wanted, len(group)) if has_lanes(outline.objective, outline.settings) else 1
        if lanes > 1:
            height, width = outline.size
            tell(f"{len(group)} members at {width}×{height}, {lanes} side by side")
        found |= {each.member.index: lanes for each in group}
    return found


def in_lanes(planned: Sequence[Planned], lanes: Mapping[int, int], *, devices: Devices = 1) -> Local:
    """The engine that carries members out in this process, group by group.

    Members that are not planned, because their pictures cannot be had, are carried out alone, and say so.
    """
    members = [[each.member for each in group] for group in groups(planned)]

    def schedule(jobs: Sequence[Job]) -> Iterator[Batch]:
        waiting = {job.member.index: job for job in jobs}
        for group in members:
            here = [member for member in group if member.index in waiting]
            for batch, width in batches(here, lanes[group[0].index]):
                yield Batch([waiting.pop(member.index) for member in batch], width)
        yield from (Batch([job], 1) for job in waiting.values())

    return Local(schedule, devices=devices)


def _prepare(planned: Planned) -> Prepared:
    outline, experiment = planned.outlines[-1], planned.member.experiment
    inputs = runs.read_inputs(experiment, say=tell, kept=Kept())
    return prepare(experiment, *inputs, scales=[outline.scale], reads=outline.reads)[0]
