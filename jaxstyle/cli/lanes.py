"""`--lanes`: how many members of a sweep go side by side in this process."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, TypeAlias

import jax

from jaxstyle.cli.show import echo
from jaxstyle.devices.sharding import Devices
from jaxstyle.errors import JaxstyleError
from jaxstyle.optimizers import has_lanes
from jaxstyle.runs import runner
from jaxstyle.sweeps.engines import Batch, Job, Local
from jaxstyle.sweeps.lanes import batches, choose_lanes, groups
from jaxstyle.sweeps.programs import Planned
from jaxstyle.synthesis.cache import Cache
from jaxstyle.synthesis.preparation import Prepared, prepare

AUTO = "auto"
Lanes: TypeAlias = int | Literal["auto"]


def parse_lanes(text: str) -> Lanes:
    """What was asked for.

    Raises:
      JaxstyleError: it is neither a number nor `auto`.
    """
    if text == AUTO:
        return AUTO
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise JaxstyleError(f"--lanes: found '{text}'; allowed: {AUTO}, or a whole number, at least 1")
    return int(text)


def lanes_of_members(planned: Sequence[Planned], wanted: Lanes | None) -> dict[int, int]:
    """How many lanes each member's group is given, by the members' indices.

    Where nothing is asked for, they are measured on an accelerator. On the CPU it is one: there the same experiment
    gives the same image to the bit, and would not if speed decided which members run in one program.
    """
    wanted = wanted or (1 if jax.default_backend() == "cpu" else AUTO)
    found: dict[int, int] = {}
    for group in groups(planned):
        outline = group[0].outlines[-1]
        if wanted == AUTO:
            lanes = choose_lanes(group, _prepare, log=echo)
        else:
            lanes = min(wanted, len(group)) if has_lanes(outline.objective, outline.settings) else 1
        if lanes > 1:
            height, width = outline.size
            echo(f"{len(group)} members at {width}×{height}, {lanes} side by side")
        found |= {each.member.index: lanes for each in group}
    return found


def in_lanes(planned: Sequence[Planned], lanes: Mapping[int, int], *, devices: Devices = 1) -> Local:
    """The engine that carries members out in this process, group by group; those that are not planned, alone."""
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
    inputs = runner.read_inputs(experiment, log=echo, cache=Cache())
    return prepare(experiment, *inputs, scales=[outline.scale], reads=outline.reads)[0]
