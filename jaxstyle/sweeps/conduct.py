"""What is left of a sweep: how many members run at once, whether they fit into memory, and their runs."""

import contextlib
import signal
from collections.abc import Callable, Sequence, Set
from pathlib import Path

from jaxstyle.config import Experiment
from jaxstyle.devices.sharding import Devices
from jaxstyle.network.weights import Weights
from jaxstyle.runs import runner
from jaxstyle.runs.folders import recorded_sides
from jaxstyle.sweeps.engines import Engine, Outcome
from jaxstyle.sweeps.expansion import Member
from jaxstyle.sweeps.fitting import Words, ensure_all_fit, extent
from jaxstyle.sweeps.keeping import limited
from jaxstyle.sweeps.lanes import Lanes, in_lanes, lanes_of_members, recorded_lanes
from jaxstyle.sweeps.members import folder_of, run_members
from jaxstyle.sweeps.programs import outline_members, programs
from jaxstyle.synthesis.events import Events
from jaxstyle.synthesis.interrupt import interruptible

Place = contextlib.AbstractContextManager[Path]
"""A run's folder, from where it is made and nobody else may work in it."""


def conduct(
    experiment: Experiment,
    members: Sequence[Member],
    place: Place,
    engine: Engine,
    *,
    found: Path | None,
    done: Set[int],
    source: str,
    words: Words | None,
    lanes: Lanes | None,
    devices: Devices,
    signals: Sequence[signal.Signals],
    events_of: Callable[[Member, int], contextlib.AbstractContextManager[Events]],
    log: Callable[[str], None],
) -> tuple[Path, list[Outcome]]:
    """Runs the members of a sweep that have not finished, and records them.

    Args:
      experiment: the sweep.
      members: what it expands to.
      place: its folder, which is made once nothing can be refused that the experiment decides.
      engine: where members run; one in this process is given its lanes.
      found: where it has run before; None for a new folder.
      done: the indices of the members that finished before.
      source: what to call the experiment in messages.
      words: for the refusal of what does not fit into memory; None refuses nothing.
      lanes: how many members may run at once; None: as when the sweep was begun, for a new one the default.
      devices: over how many each image is spread.
      signals: those that end the sweep with the best images so far.
      events_of: opens the events of a member, given how many run at once with it.
      log: called with what is being done.

    Returns:
      The folder, and the outcomes of the members that were begun, now or before.

    Raises:
      JaxstyleError: something would stop a member, or the folder holds something else.
    """

    def load_weights(name: str) -> Weights:
        return runner.load_weights(name, progress=log)

    lanes = recorded_lanes(found) if lanes is None and found else lanes
    side_by_side: dict[int, int] = {}
    unfinished = [member for member in members if member.index not in done]
    begun = {member.index: recorded_sides(folder_of(member, found)) for member in unfinished} if found else {}
    left = outline_members(members, load_weights, source=source, finished=done, devices=devices, sides=begun)
    members = limited(members, left, log)
    with place as folder:
        if engine.here:
            log(extent(members, programs(left), finished=len(done)))
            side_by_side = lanes_of_members(left, lanes, log)
            engine = in_lanes(left, side_by_side, devices=devices)
            if words is not None:
                ensure_all_fit(programs(left), members, side_by_side, source=source, words=words)
        else:
            log(extent(members, None, finished=len(done)))
        with interruptible(signals) as interrupted:
            outcomes = run_members(
                experiment,
                members,
                folder,
                events_of=lambda member: events_of(member, side_by_side.get(member.index, 1)),
                interrupted=interrupted,
                engine=engine,
                lanes=lanes,
            )
    return folder, outcomes
