"""How many members of a sweep run at once, in the lanes of one program, and which.

Lanes pay where one image does not fill the device. How many are taken by default depends on the image's size alone,
never on a timing: the same sweep runs in the same programs on every day.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax

from jaxstyle.devices.sharding import Devices
from jaxstyle.optimizers import has_lanes
from jaxstyle.sweeps.engines import Batch, Job, Local
from jaxstyle.sweeps.expansion import Member
from jaxstyle.sweeps.programs import OutlinedMember
from jaxstyle.synthesis.estimates import sides_of

PIXELS_AT_ONCE = 8 * 256 * 256
"""Of all lanes together, by default on an accelerator: at 256 pixels, 8 lanes give 1.7 times as many images a minute on
an H100, and 32 lanes 2.1 times (docs/performance.md)."""


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


def choose_lanes(group: Sequence[OutlinedMember], wanted: int | None) -> int:
    """How many lanes a group of members is given.

    Args:
      group: of `groups`.
      wanted: at most so many; None for the default: 1 on the CPU, where a member in another program would not be the
        same to the bit, else as many as make up `PIXELS_AT_ONCE`.
    """
    outline = group[0].outlines[-1]
    if not has_lanes(outline.objective, outline.settings):
        return 1
    if wanted is None:
        wanted = 1 if jax.default_backend() == "cpu" else max(1, PIXELS_AT_ONCE // math.prod(outline.size))
    return min(wanted, len(group))


def lanes_of_members(
    members: Sequence[OutlinedMember], wanted: int | None, log: Callable[[str], None] = lambda message: None
) -> dict[int, int]:
    """How many lanes each member's group is given, by the members' indices. The arguments are those of `choose_lanes`.

    Args:
      members: the members.
      wanted: at most so many lanes.
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
