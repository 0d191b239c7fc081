"""An experiment and its record: what `jaxstyle run` and `jaxstyle transfer` do for one image."""

import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from jaxstyle.config import Experiment
from jaxstyle.devices.jax_settings import pinned
from jaxstyle.devices.sharding import Devices
from jaxstyle.errors import JaxstyleError
from jaxstyle.network.weights import load as load_weights
from jaxstyle.optimizers import Result
from jaxstyle.runs.folders import RESULT, sides_in
from jaxstyle.runs.record import open_record
from jaxstyle.runs.recorded import Inputs, RecordedRun
from jaxstyle.synthesis.cache import Cache
from jaxstyle.synthesis.events import Events
from jaxstyle.synthesis.loss_terms import Terms
from jaxstyle.synthesis.preparation import read_images
from jaxstyle.synthesis.tiles import Sides
from jaxstyle.trackers import Tracker

SILENT = Events()


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished or interrupted run.

    Attributes:
      result: what the optimization found.
      folder: the record.
      manifest: the record's facts: status, metrics, versions, what it took.
    """

    result: Result
    folder: Path
    manifest: Mapping[str, Any]

    @property
    def image(self) -> Path:
        """The image in the record."""
        return self.folder / RESULT

    @property
    def metrics(self) -> dict[str, Any]:
        """Of the result."""
        return self.manifest["metrics"]

    def __repr__(self) -> str:
        """Where it is and what was found, without the record's facts."""
        return f"Run({self.folder}: {self.result!r})"

    def _repr_html_(self) -> str:
        return self.result._repr_html_()


def read_inputs(
    experiment: Experiment, *, log: Callable[[str], None] = SILENT.log, cache: Cache | None = None
) -> Inputs:
    """Reads the images and the weights that an experiment names.

    Raises:
      JaxstyleError: some are missing, or not what they should be.
    """
    cache, name = cache or Cache(), experiment.network.weights
    return Inputs(
        read_images(experiment, cache=cache), cache("weights", name, lambda: load_weights(name, progress=log))
    )


@pinned()
def run(
    experiment: Experiment,
    folder: str | os.PathLike[str],
    *,
    inputs: Inputs | None = None,
    reads: Terms | None = None,
    cache: Cache | None = None,
    events: Events = SILENT,
    interrupted: Callable[[], bool] = lambda: False,
    compile_seconds: float = 0.0,
    devices: Devices = 1,
    trackers: Iterable[Tracker] = (),
    sides: Sides = MappingProxyType({}),
    **facts: Any,
) -> Run:
    """Runs one experiment and records it; resumes where an earlier process stopped in the same folder.

    Args:
      experiment: without a sweep.
      folder: the run's own folder; made, or that of an unfinished run of the same experiment.
      inputs: the experiment's, if they have been read already.
      reads: the terms to compute, so that members of a sweep share a program: those that the experiment does not ask
        for have weight 0.
      cache: what earlier members have read, built and computed.
      events: called with what happens.
      interrupted: polled between evaluations; once true, the run ends and saves the best image so far.
      compile_seconds: spent on compiling this run's programs before.
      devices: over how many the image is spread.
      trackers: receive what is recorded; one that fails is dropped.
      sides: those of the tiles where `image.tile = "auto"` was decided before; those that are recorded prevail.
      **facts: added to the manifest.

    Raises:
      JaxstyleError: an image, the weights or the folder are not what they should be, or the loss is not finite; the
        record says `failed`. Or the folder holds a finished run or another experiment, or another process is at work
        there; it is left alone.
    """
    if experiment.sweep is not None:
        raise JaxstyleError("an experiment with a sweep is several runs; expand it first")
    folder = Path(folder)
    with open_record(folder, experiment, trackers=trackers) as record:
        record.update(title=experiment.title, **facts)
        inputs = inputs or read_inputs(experiment, log=events.log, cache=cache)
        options = {"reads": reads, "cache": cache, "devices": devices, "sides": {**sides, **sides_in(record.manifest)}}
        recorded = RecordedRun.prepare(experiment, inputs, record, events, **options)
        result = recorded.conclude(recorded.optimize(interrupted), compile_seconds=compile_seconds)
    return Run(result, folder, record.manifest)
