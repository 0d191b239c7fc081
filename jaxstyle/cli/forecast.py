"""Estimates before a run starts."""

import math
from collections.abc import Sequence

from jaxstyle.cli.show import echo
from jaxstyle.devices import compilation_cache, memory
from jaxstyle.devices.sharding import Devices
from jaxstyle.network.weights import Weights
from jaxstyle.runs import runner
from jaxstyle.sweeps.expansion import Member
from jaxstyle.sweeps.fitting import advice, ensure_it_fits, extent, first_of
from jaxstyle.sweeps.programs import Program, outline_members, programs
from jaxstyle.synthesis.estimates import Outline, gigabytes, pairs_of, share_of_memory, sides_of, time_evaluation
from jaxstyle.synthesis.preparation import prepare
from jaxstyle.synthesis.sources import result_shape
from jaxstyle.synthesis.time_left import duration

ENOUGH = 1024
"""The size at which an image in tiles is timed if it is larger: a pixel takes as long."""
LARGE = 0.5
"""The share of the available memory from which an image is worth spreading over several devices."""


def keep_programs() -> None:
    """Switches the compilation cache on; prints a note where that fails."""
    if note := compilation_cache.switch_on():
        echo(f"note: {note}")


def load_weights(name: str) -> Weights:
    """Loads a set of weights, with messages about slow steps."""
    return runner.load_weights(name, progress=echo)


def echo_estimates(members: Sequence[Member], *, source: str, devices: Devices = 1) -> None:
    """Says how much memory and how much time the members will take; compiles their programs and times each.

    Raises:
      JaxstyleError: a member needs more than is available.
    """
    compiled = programs(outline_members(members, load_weights, devices=devices))
    peaks, seconds = [], []
    for program in compiled:
        peaks.append(ensure_it_fits(program.outline, source=first_of(program, source, members)))
        each = _time(program, devices)
        seconds.append(each * program.evaluations)
        work = f"{each:.2g} s an evaluation, {_extent(program)}"
        echo(f"  about {gigabytes(peaks[-1])}{_places(program.outline)}, about {duration(seconds[-1])} ({work})")
        if share_of_memory(peaks[-1]) > LARGE and (pairs := pairs_of(program.outline)):
            echo(f"  {pairs} (optimizer.history_size, optimizer.history_precision)")
        if share_of_memory(peaks[-1]) > LARGE and (better := advice(program.outline)):
            echo(f"  {better}")
    if len(members) > 1 or len(compiled) > 1:
        echo(f"  {extent(members, compiled)}: about {gigabytes(max(peaks))}, about {duration(sum(seconds))}")


def _time(program: Program, devices: Devices) -> float:
    """Seconds of an evaluation: of an image in tiles, those of a smaller one, in proportion to the pixels."""
    experiment, outline = program.members[0].experiment, program.outline
    inputs = runner.read_inputs(experiment, log=echo)
    scale, side = outline.scale, sides_of([outline]).get(outline.scale.size)
    if side:
        scale = scale._replace(size=min(scale.size, max(ENOUGH, 2 * side)))
    height, width = result_shape(experiment, inputs.images, scale.size)
    echo(f"  timing a few evaluations at {width}×{height}{f', in {outline.objective.parts}' if side else ''}")
    sides = {} if side is None else {scale.size: side}
    (prepared,) = prepare(experiment, *inputs, scales=[scale], reads=outline.reads, devices=devices, sides=sides)
    return time_evaluation(prepared) * math.prod(outline.size) / (height * width)


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
