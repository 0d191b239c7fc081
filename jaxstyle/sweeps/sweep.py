"""`jaxstyle.sweep`: a sweep from Python, with the records that `jaxstyle run` leaves."""

import dataclasses
import importlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jaxstyle.config import Experiment, experiment_from_mapping, load_experiment
from jaxstyle.devices.jax_settings import pinned
from jaxstyle.devices.sharding import Devices, count_devices
from jaxstyle.errors import JaxstyleError
from jaxstyle.runs.folders import MEMBERS, RESULT
from jaxstyle.runs.places import find_folder, open_place
from jaxstyle.sweeps.conduct import conduct
from jaxstyle.sweeps.engines import Engine, Local, Outcome
from jaxstyle.sweeps.expansion import Member, expand
from jaxstyle.sweeps.fitting import PYTHON
from jaxstyle.sweeps.lanes import Lanes, parse_lanes
from jaxstyle.sweeps.members import TABLE, continued
from jaxstyle.synthesis.interrupt import CTRL_C
from jaxstyle.synthesis.notebook import Progress

SOURCE = "jaxstyle.sweep"
"""What to call an experiment in messages that is no file."""


@dataclasses.dataclass(frozen=True)
class SweptRun(Outcome):
    """One run of a sweep that was begun.

    Attributes:
      member: its place in the sweep: `member.label`, `member.values`, `member.experiment`.
      manifest: what the record says of it: status, loss, metrics, versions, what it took.
      folder: its record.
    """

    folder: Path

    @property
    def label(self) -> str:
        """What distinguishes it, such as `α = 1e-3`."""
        return self.member.label

    @property
    def loss(self) -> float | None:
        """Of the result; None of a run that failed."""
        return None if self.error else float(self.manifest["loss"])

    @property
    def metrics(self) -> Mapping[str, Any]:
        """Of the result; empty of a run that failed."""
        return self.manifest.get("metrics", {})

    @property
    def image(self) -> Path | None:
        """The image file in its record; None of a run that failed."""
        return path if (path := self.folder / RESULT).is_file() else None

    def __repr__(self) -> str:
        """What it is and how it ended, without its settings."""
        loss = "" if self.loss is None else f", loss {self.loss:.4g}"
        return f"SweptRun({self.label}: {self.status}{loss})"


@dataclasses.dataclass(frozen=True)
class Sweep:
    """A sweep and its records; in a notebook it shows its images.

    Attributes:
      folder: the record.
      runs: those that were begun, in the sweep's order: all of them unless it was interrupted.
      members: how many there are in all.
    """

    folder: Path
    runs: tuple[SweptRun, ...]
    members: int

    @property
    def table(self) -> Path:
        """A line for each run: the swept values, how it ended, its numbers."""
        return self.folder / TABLE

    def __repr__(self) -> str:
        """Where it is and how much of it was begun, without the runs."""
        return f"Sweep({self.folder}: {len(self.runs)} of {self.members} members begun)"

    def __len__(self) -> int:
        """How many runs were begun."""
        return len(self.runs)

    def __iter__(self) -> Iterator[SweptRun]:
        """The runs."""
        return iter(self.runs)

    def __getitem__(self, index: int) -> SweptRun:
        """One of the runs."""
        return self.runs[index]

    def _repr_html_(self) -> str:
        # The last room's, which nothing here depends on unless a notebook asks for it.
        return importlib.import_module("jaxstyle.reports.notebook").of_sweep(self)


@pinned()
def sweep(
    experiment: Experiment | Mapping[str, Any] | str | os.PathLike[str],
    folder: str | os.PathLike[str] | None = None,
    *,
    fresh: bool = False,
    ignore_memory: bool = False,
    lanes: Lanes | None = None,
    devices: Devices = 1,
    engine: Engine = Local(),  # noqa: B008  (it has no state)
    progress: bool = True,
) -> Sweep:
    """Runs every member of a sweep and records it, as `jaxstyle run` does; resumes where the same sweep was stopped.

    Args:
      experiment: an experiment file; or its tables by name, with images by path or name; or an `Experiment`.
      folder: the record's; by default where this experiment was run last, or runs/NAME/TIME in the current folder.
      fresh: begin anew even where an earlier sweep could be resumed.
      ignore_memory: run even what is estimated to need more memory than is available.
      lanes: how many members may run at once, or "auto": as many as the device gains by, which on a CPU changes their
        rounding. By default as when the sweep was begun, else "auto" on an accelerator and 1 on a CPU.
      devices: over how many of this process's devices each image is spread, a number or "all".
      engine: where members run; `jaxstyle.sweeps.engines.ray.Ray` runs them on a cluster.
      progress: show in a notebook how far it is.

    Returns:
      The runs with their records. One that failed does not stop the others: its `error` says why. Ctrl-C, or a
      notebook's interrupt, ends the sweep with the best images so far; the same call goes on from there.

    Raises:
      JaxstyleError: the experiment is not what it should be, has no `[sweep]`, does not fit into memory, or the folder
        holds something else.
    """
    experiment, source, name = _read(experiment)
    if experiment.sweep is None:
        raise JaxstyleError(f"{source}: sweep: absent; allowed: lists of values by key; for one run: jaxstyle.run")
    lanes = parse_lanes(lanes, f"{SOURCE}: lanes")
    if not engine.here and (lanes is not None or devices != 1):
        raise JaxstyleError(f"{SOURCE}: lanes and devices are of members that run in this process, not of this engine")
    over = count_devices(devices)
    if over > 1 and lanes not in (None, 1):
        raise JaxstyleError(
            f"{SOURCE}: lanes: members that are spread over devices go one after another; found {lanes}"
        )
    members = expand(experiment, source=source)
    found = find_folder(experiment, name, Path(folder) if folder is not None else None, fresh=fresh)
    members, done = continued(experiment, members, found)
    shown = Progress(shown=progress)
    begun = len(done)

    def events_of(member: Member, at_once: int) -> Progress:
        nonlocal begun
        begun += 1
        return shown.of_member(f"{begun}/{len(members)} {member.label}", member.experiment.optimizer.iterations)

    with shown:
        place, outcomes = conduct(
            experiment,
            members,
            open_place(found, name),
            engine,
            found=found,
            done=done,
            source=source,
            words=None if ignore_memory else PYTHON,
            lanes=lanes if over == 1 else 1,
            devices=over,
            signals=CTRL_C,
            events_of=events_of,
            log=shown.log,
        )
        earlier = f", {len(done)} of them earlier" if done else ""
        shown.log(f"{len(outcomes)} of {len(members)} runs begun{earlier}")
    return Sweep(place, tuple(_swept(outcome, place) for outcome in outcomes), len(members))


def _read(given: Any) -> tuple[Experiment, str, str]:
    """The experiment, what to call it in messages, and the name of its folders."""
    if isinstance(given, Experiment):
        return given, SOURCE, "sweep"
    if isinstance(given, Mapping):
        return experiment_from_mapping(given, source=SOURCE, folder=Path.cwd()), SOURCE, "sweep"
    if isinstance(given, str | os.PathLike):
        path = Path(given)
        return load_experiment(path), str(path), path.parent.name if path.name == "experiment.json" else path.stem
    raise JaxstyleError(
        f"{SOURCE}: found a {type(given).__name__}; allowed: an experiment file, its tables by name, or an Experiment"
    )


def _swept(outcome: Outcome, place: Path) -> SweptRun:
    return SweptRun(outcome.member, outcome.manifest, place / MEMBERS / str(outcome.member.index))
