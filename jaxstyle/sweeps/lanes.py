"""How many members of a sweep run at once, in the lanes of one program, and which.

Lanes pay where one image does not fill the device. How many are chosen depends on the image's size alone, never on a
timing: the same sweep runs in the same programs on every day.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

import jax

from jaxstyle.devices.sharding import Devices
from jaxstyle.errors import JaxstyleError
from jaxstyle.optimizers import has_lanes
from jaxstyle.runs.folders import LANES, read_lanes
from jaxstyle.sweeps.engines import Batch, Job, Local
from jaxstyle.sweeps.expansion import Member
from jaxstyle.sweeps.programs import OutlinedMember
from jaxstyle.synthesis.estimates import sides_of

AUTO = "auto"
Lanes: TypeAlias = int | Literal["auto"]
"""At most so many members at once; `auto`: as many as the device gains by."""
PIXELS_AT_ONCE, PIXELS_AT_ONCE_ON_CPU = 8 * 256 * 256, 4 * 64 * 64
"""Of all lanes together that are chosen. On an H100, 8 lanes at 256 pixels give 1.7 times as many images a minute and
32 lanes 2.1 times; two cores gain at 64 pixels alone, most with 4 to 8 lanes (docs/notebook.md)."""


def parse_lanes(given: object, name: str) -> Lanes | None:
    """What was asked for, if it is something that can be.

    Args:
      given: a number, `auto`, or None.
      name: what to call it in messages.

    Raises:
      JaxstyleError: it is something else.

    Examples:
      >>> parse_lanes("auto", "lanes"), parse_lanes(2, "lanes")
      ('auto', 2)
    """
    is_number = isinstance(given, int) and not isinstance(given, bool) and given >= 1
    if given is None or given == AUTO or is_number:
        return cast(Lanes | None, given)
    raise JaxstyleError(f'{name}: found {given!r}; allowed: a whole number, at least 1, or "{AUTO}"')


def recorded_lanes(folder: Path) -> Lanes | None:
    """What was asked for when a sweep was begun there; None if nothing was, or it cannot be read."""
    try:
        return parse_lanes(read_lanes(folder), LANES)
    except JaxstyleError:
        return None


def groups(members: Sequence[OutlinedMember]) -> list[list[OutlinedMember]]:
    """The members that can run at once, in the order of their first: of the same programs and the same network."""
    found: dict[Any, list[OutlinedMember]] = {}
    for member in members:
        programs = tuple(outline.program for outline in member.outlines)
        found.setdefault((member.member.experiment.network.weights, programs), []).append(member)
    return list(found.values())


def batches(members: Sequence[Member], lanes: int) -> Iterator[tuple[Sequence[Member], int]]:
    """Yields members in as few batches of at most `lanes` as there can be, all about as large, and their lanes.

    Examples:
      >>> [(list(batch), lanes) for batch, lanes in batches("abcdefg", 4)]
      [(['a', 'b', 'c', 'd'], 4), (['e', 'f', 'g'], 4)]
    """
    count = max(1, math.ceil(len(members) / lanes))
    width = math.ceil(len(members) / count)
    for first in range(0, len(members), max(1, width)):
        yield members[first : first + width], width


def choose_lanes(group: Sequence[OutlinedMember], wanted: Lanes | None) -> int:
    """How many lanes a group of members is given.

    Args:
      group: of `groups`.
      wanted: at most so many; `auto`: as many as make up `PIXELS_AT_ONCE`; None: on the CPU 1, because a member in
        another program is not the same to the bit, else as `auto`.
    """
    outline = group[0].outlines[-1]
    if not has_lanes(outline.objective, outline.settings):
        return 1
    on_cpu = jax.default_backend() == "cpu"
    if wanted is None and on_cpu:
        return 1
    if wanted in (None, AUTO):
        wanted = max(1, (PIXELS_AT_ONCE_ON_CPU if on_cpu else PIXELS_AT_ONCE) // math.prod(outline.size))
    return min(cast(int, wanted), len(group))


def lanes_of_members(
    members: Sequence[OutlinedMember], wanted: Lanes | None, log: Callable[[str], None] = lambda message: None
) -> dict[int, int]:
    """How many lanes each member's group is given, by the members' indices.

    Args:
      members: the members.
      wanted: as in `choose_lanes`.
      log: called with a message about each group that is given several.
    """
    found: dict[int, int] = {}
    for group in groups(members):
        lanes = choose_lanes(group, wanted)
        if lanes > 1:
            height, width = group[0].outlines[-1].size
            log(f"{len(group)} members at {width}×{height}, {lanes} at once")
        found |= {each.member.index: lanes for each in group}
    return found


def in_lanes(members: Sequence[OutlinedMember], lanes: Mapping[int, int], *, devices: Devices = 1) -> Local:
    """The engine that runs members in this process, group by group; all others alone."""
    grouped = [[each.member for each in group] for group in groups(members)]
    sides = {each.member.index: sides_of(each.outlines) for each in members}

    def schedule(jobs: Sequence[Job]) -> Iterator[Batch]:
        waiting = {job.member.index: dataclasses.replace(job, sides=sides[job.member.index]) for job in jobs}
        for group in grouped:
            here = [member for member in group if member.index in waiting]
            for batch, width in batches(here, lanes[group[0].index]):
                yield Batch([waiting.pop(member.index) for member in batch], width)
        yield from (Batch([job], 1) for job in waiting.values())

    return Local(schedule, devices=devices)
