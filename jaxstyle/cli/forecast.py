"""What the commands say of a run before it starts, and when they refuse it."""

from collections.abc import Mapping, Sequence

from jaxstyle import compilation_cache, runs
from jaxstyle.cli.show import duration, tell
from jaxstyle.estimates import (
    Outline,
    Program,
    estimate_memory,
    gigabytes,
    outline_members,
    programs,
    refuse_too_large,
    time_evaluation,
)
from jaxstyle.preparation import prepare
from jaxstyle.sweep import Member
from jaxstyle.weights import Weights

REMEDY = "To run it all the same: --ignore-memory"


def keep_programs() -> None:
    """Switches the compilation cache on; where it cannot be, a note says so and every program is compiled."""
    if note := compilation_cache.switch_on():
        tell(f"note: {note}")


def load_weights(name: str) -> Weights:
    """Loads a set of weights and says what takes long about it."""
    return runs.load_weights(name, progress=tell)


def ensure_it_fits(planned: Outline, *, source: str, lanes: int = 1) -> int:
    """Compiles a run's programs; returns the memory that it will need, or so many of it side by side.

    Raises:
      JaxstyleError: more than can be had.
    """
    peak_bytes = estimate_memory(planned, lanes=lanes)
    refuse_too_large(planned, peak_bytes, source=source, remedy=REMEDY)
    return peak_bytes


def ensure_all_fit(
    planned: Sequence[Program], members: Sequence[Member], lanes: Mapping[int, int], *, source: str
) -> None:
    """As `ensure_it_fits`, for every program of a sweep, with the lanes of its first member.

    Raises:
      JaxstyleError: a member needs more than can be had.
    """
    for program in planned:
        first = program.members[0].index
        ensure_it_fits(program.outline, source=_first_of(program, source, members), lanes=lanes[first])


def extent(members: Sequence[Member], planned: Sequence[Program] | None, *, finished: int = 0) -> str:
    """Returns `16 members, 1 compiled program`, or as much of it as is known.

    Args:
      members: of a sweep, or one experiment.
      planned: their programs; None where others compile them.
      finished: how many members finished before.
    """
    parts = [f"{len(members)} members"] if len(members) > 1 or planned is None else []
    parts += [f"{finished} of them finished before"] if finished else []
    if planned is not None:
        parts.append("1 compiled program" if len(planned) == 1 else f"{len(planned)} compiled programs")
    return ", ".join(parts)


def tell_estimates(members: Sequence[Member], *, source: str) -> None:
    """Says how much memory and how much time the members will take; compiles their programs and times each.

    Raises:
      JaxstyleError: a member needs more than can be had.
    """
    planned = programs(outline_members(members, load_weights))
    peaks, seconds = [], []
    for program in planned:
        peaks.append(ensure_it_fits(program.outline, source=_first_of(program, source, members)))
        height, width = program.outline.size
        tell(f"  timing a few evaluations at {width}×{height}")
        each = _time(program)
        seconds.append(each * program.evaluations)
        work = f"{each:.2g} s an evaluation, {_extent(program)}"
        tell(f"  about {gigabytes(peaks[-1])}, about {duration(seconds[-1])} ({work})")
    if len(members) > 1 or len(planned) > 1:
        tell(f"  {extent(members, planned)}: about {gigabytes(max(peaks))}, about {duration(sum(seconds))}")


def _time(program: Program) -> float:
    experiment, outline = program.members[0].experiment, program.outline
    inputs = runs.read_inputs(experiment, say=tell)
    (prepared,) = prepare(experiment, *inputs, scales=[outline.scale], reads=outline.reads)
    return time_evaluation(prepared)


def _extent(program: Program) -> str:
    """Returns `511 evaluations`, or `2044 evaluations of 4 members`."""
    evaluations = f"{program.evaluations} evaluations"
    return evaluations if len(program.members) == 1 else f"{evaluations} of {len(program.members)} members"


def _first_of(program: Program, source: str, members: Sequence[Member]) -> str:
    first = program.members[0]
    return f"{source}: member {first.index} ({first.label})" if len(members) > 1 else source
