"""Whether the programs of a run, or of a sweep, fit into memory, and the refusal of what does not."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jaxstyle.devices import memory
from jaxstyle.devices.sharding import ALL, count_devices
from jaxstyle.sweeps.expansion import Member
from jaxstyle.sweeps.programs import Program
from jaxstyle.synthesis.estimates import (
    Outline,
    estimate_memory,
    gigabytes,
    on_devices,
    refuse_too_large,
    share_of_memory,
)


class Words(NamedTuple):
    """How whoever asks would write what a refusal advises.

    Attributes:
      ignore_memory: to run what is estimated not to fit.
      devices: to spread an image over all devices.
    """

    ignore_memory: str
    devices: str

    @property
    def remedy(self) -> str:
        """The last sentence of a refusal."""
        return f"To run it all the same: {self.ignore_memory}"


COMMAND = Words("--ignore-memory", f"--devices {ALL}")
PYTHON = Words("ignore_memory=True", f'devices="{ALL}"')


def ensure_it_fits(outline: Outline, *, source: str, lanes: int = 1, words: Words = COMMAND) -> int:
    """Compiles a run's programs; returns the memory that it will need, or so many of it at once.

    Raises:
      JaxstyleError: more than is available.
    """
    peak_bytes = estimate_memory(outline, lanes=lanes)
    better = advice(outline, words) if share_of_memory(peak_bytes) > 1 else ""
    remedy = f"{better[0].upper()}{better[1:]}. {words.remedy}" if better else words.remedy
    refuse_too_large(outline, peak_bytes, source=source, remedy=remedy)
    return peak_bytes


def advice(outline: Outline, words: Words = COMMAND) -> str:
    """What an image would take of each device if it were spread over all; nothing where that is no help."""
    count = count_devices(ALL)
    if count == 1 or outline.objective.bands is not None or memory.is_shared():
        return ""
    each = gigabytes(estimate_memory(on_devices(outline, ALL)))
    return f"over {count} devices it would take about {each} on each: {words.devices}"


def ensure_all_fit(
    compiled: Sequence[Program],
    members: Sequence[Member],
    lanes: Mapping[int, int],
    *,
    source: str,
    words: Words = COMMAND,
) -> None:
    """As `ensure_it_fits`, for every program of a sweep, with the lanes of its first member.

    Raises:
      JaxstyleError: a member needs more than is available.
    """
    for program in compiled:
        first = program.members[0].index
        name = first_of(program, source, members)
        ensure_it_fits(program.outline, source=name, lanes=lanes[first], words=words)


def extent(members: Sequence[Member], compiled: Sequence[Program] | None, *, finished: int = 0) -> str:
    """Returns `16 members, 1 compiled program`, or as much of it as is known.

    Args:
      members: of a sweep, or one experiment.
      compiled: the programs of those that are left; None where others compile them.
      finished: how many members finished before.
    """
    parts = [f"{len(members)} members"] if len(members) > 1 or not compiled else []
    parts += [f"{finished} of them finished before"] if finished else []
    if compiled:
        parts.append("1 compiled program" if len(compiled) == 1 else f"{len(compiled)} compiled programs")
    return ", ".join(parts)


def first_of(program: Program, source: str, members: Sequence[Member]) -> str:
    """What to call a program's first member in messages."""
    first = program.members[0]
    return f"{source}: member {first.index} ({first.label})" if len(members) > 1 else source
