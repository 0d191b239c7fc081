"""Estimates before a run starts, and the refusal of what does not fit into memory."""

from collections.abc import Mapping, Sequence

from jaxstyle.cli.show import duration, echo
from jaxstyle.devices import compilation_cache, memory
from jaxstyle.devices.sharding import ALL, Devices, count_devices
from jaxstyle.network.weights import Weights
from jaxstyle.runs import runner
from jaxstyle.sweeps.expansion import Member
from jaxstyle.sweeps.programs import Program, outline_members, programs
from jaxstyle.synthesis.estimates import (
    Outline,
    estimate_memory,
    gigabytes,
    on_devices,
    pairs_of,
    refuse_too_large,
    share_of_memory,
    time_evaluation,
)
from jaxstyle.synthesis.preparation import prepare

REMEDY = "To run it all the same: --ignore-memory"
LARGE = 0.5
"""The share of the available memory from which an image is worth spreading over several devices."""


def keep_programs() -> None:
    """Switches the compilation cache on; prints a note where that fails."""
    if note := compilation_cache.switch_on():
        echo(f"note: {note}")


def load_weights(name: str) -> Weights:
    """Loads a set of weights, with messages about slow steps."""
    return runner.load_weights(name, progress=echo)


def ensure_it_fits(outline: Outline, *, source: str, lanes: int = 1) -> int:
    """Compiles a run's programs; returns the memory that it will need, or so many of it at once.

    Raises:
      JaxstyleError: more than is available.
    """
    peak_bytes = estimate_memory(outline, lanes=lanes)
    advice = _advice(outline) if share_of_memory(peak_bytes) > 1 else ""
    remedy = f"{advice[0].upper()}{advice[1:]}. {REMEDY}" if advice else REMEDY
    refuse_too_large(outline, peak_bytes, source=source, remedy=remedy)
    return peak_bytes


def _advice(outline: Outline) -> str:
    """What an image would take of each device if it were spread over all; nothing where that is no help."""
    count = count_devices(ALL)
    if count == 1 or outline.objective.bands is not None or memory.is_shared():
        return ""
    each = gigabytes(estimate_memory(on_devices(outline, ALL)))
    return f"over {count} devices it would take about {each} on each: --devices {ALL}"


def ensure_all_fit(
    compiled: Sequence[Program], members: Sequence[Member], lanes: Mapping[int, int], *, source: str
) -> None:
    """As `ensure_it_fits`, for every program of a sweep, with the lanes of its first member.

    Raises:
      JaxstyleError: a member needs more than is available.
    """
    for program in compiled:
        first = program.members[0].index
        ensure_it_fits(program.outline, source=_first_of(program, source, members), lanes=lanes[first])


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


def echo_estimates(members: Sequence[Member], *, source: str, devices: Devices = 1) -> None:
    """Says how much memory and how much time the members will take; compiles their programs and times each.

    Raises:
      JaxstyleError: a member needs more than is available.
    """
    compiled = programs(outline_members(members, load_weights, devices=devices))
    peaks, seconds = [], []
    for program in compiled:
        peaks.append(ensure_it_fits(program.outline, source=_first_of(program, source, members)))
        height, width = program.outline.size
        tiles = program.outline.objective.parts
        echo(f"  timing a few evaluations at {width}×{height}{f', in {tiles}' if tiles else ''}")
        each = _time(program, devices)
        seconds.append(each * program.evaluations)
        work = f"{each:.2g} s an evaluation, {_extent(program)}"
        echo(f"  about {gigabytes(peaks[-1])}{_places(program.outline)}, about {duration(seconds[-1])} ({work})")
        if share_of_memory(peaks[-1]) > LARGE and (pairs := pairs_of(program.outline)):
            echo(f"  {pairs} (optimizer.history_size, optimizer.history_precision)")
        if share_of_memory(peaks[-1]) > LARGE and (advice := _advice(program.outline)):
            echo(f"  {advice}")
    if len(members) > 1 or len(compiled) > 1:
        echo(f"  {extent(members, compiled)}: about {gigabytes(max(peaks))}, about {duration(sum(seconds))}")


def _time(program: Program, devices: Devices) -> float:
    experiment, outline = program.members[0].experiment, program.outline
    inputs = runner.read_inputs(experiment, log=echo)
    (prepared,) = prepare(experiment, *inputs, scales=[outline.scale], reads=outline.reads, devices=devices)
    return time_evaluation(prepared)


def _places(outline: Outline) -> str:
    """Returns ` on each of 4 devices`, ` on 4 devices together`, or nothing."""
    bands = outline.objective.bands
    if bands is None:
        return ""
    return f" on {bands.count} devices together" if memory.is_shared() else f" on each of {bands.count} devices"


def _extent(program: Program) -> str:
    """Returns `526 evaluations`, or `2104 evaluations of 4 members`."""
    evaluations = f"{program.evaluations} evaluations"
    return evaluations if len(program.members) == 1 else f"{evaluations} of {len(program.members)} members"


def _first_of(program: Program, source: str, members: Sequence[Member]) -> str:
    first = program.members[0]
    return f"{source}: member {first.index} ({first.label})" if len(members) > 1 else source
