"""An experiment and its record: what `jaxstyle run` and `jaxstyle transfer` do for one picture."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxstyle import memory, record
from jaxstyle.config import Experiment
from jaxstyle.errors import JaxstyleError
from jaxstyle.images import Picture
from jaxstyle.measurements import measure_result
from jaxstyle.optimizers import Iteration, Result
from jaxstyle.preparation import Pictures, Prepared, prepare, read_pictures
from jaxstyle.record import Record, recording
from jaxstyle.scales import Scale
from jaxstyle.sharding import Devices, count_devices
from jaxstyle.synthesis import optimize
from jaxstyle.weights import Weights
from jaxstyle.weights import load as load_weights

Watch = Callable[[Sequence[Iteration]], None]
"""Receives the iterations that are new."""
Say = Callable[[str], None]
"""Is told what is being done."""


class Inputs(NamedTuple):
    """What an experiment names, read."""

    pictures: Pictures
    weights: Weights


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished or interrupted run.

    Attributes:
      result: what the optimization found.
      folder: the record.
      picture: the picture in it.
      metadata: what travels in the picture.
      metrics: what was measured on it.
      notes: what was done to the pictures on the way in.
    """

    result: Result
    folder: Path
    picture: Path
    metadata: dict[str, str]
    metrics: dict[str, Any]
    notes: tuple[str, ...]


def read_inputs(experiment: Experiment, *, say: Say = lambda message: None) -> Inputs:
    """Reads the pictures and the weights that an experiment names.

    Raises:
      JaxstyleError: some are missing, or not what they should be.
    """
    return Inputs(read_pictures(experiment), load_weights(experiment.network.weights, progress=say))


def run(
    experiment: Experiment,
    folder: Path,
    *,
    inputs: Inputs | None = None,
    say: Say = lambda message: None,
    plan: Callable[[Sequence[Scale]], None] = lambda scales: None,
    watch: Watch = lambda iterations: None,
    interrupted: Callable[[], bool] = lambda: False,
    compiled_ahead: float = 0.0,
    devices: Devices = 1,
    **facts: Any,
) -> Run:
    """Runs one experiment and records it.

    Args:
      experiment: without a sweep.
      folder: the run's own folder; made, and must not hold a run yet.
      inputs: the experiment's, if they have been read already.
      say: told what is being done.
      plan: told the scales that the run will go through.
      watch: told of iterations as they come.
      interrupted: asked between evaluations; true ends the run, and the best picture so far is saved.
      compiled_ahead: seconds that compiling this run's programs has taken before.
      devices: over how many the picture is spread.
      **facts: what else the manifest should hold.

    Raises:
      JaxstyleError: a picture, the weights or the folder are not what they should be; the record says `failed`.
    """
    if experiment.sweep is not None:
        raise JaxstyleError("an experiment with a sweep is several runs; expand it first")
    with recording(folder, experiment) as notebook:
        notebook.update(title=experiment.title, **facts)
        pictures, weights = inputs or read_inputs(experiment, say=say)
        notebook.update(weights=_weights_facts(weights), images=_picture_facts(pictures))
        say("computing targets")
        scales = prepare(experiment, pictures, weights, devices=devices)
        planned = [prepared.scale for prepared in scales]
        notebook.update(scales=[scale._asdict() for scale in planned], devices=count_devices(devices))
        plan(planned)
        metadata = _metadata(experiment, weights, pictures)
        result = _optimize(experiment, scales, notebook, metadata, say, watch, interrupted)
        metadata["jaxstyle:status"] = str(result.status)
        picture = notebook.save_picture(record.RESULT, result.image, bits=experiment.output.bits, metadata=metadata)
        metrics = measure_result(scales[-1], result.image)
        notebook.close(
            str(result.status),
            evaluations=result.evaluations,
            iterations=result.history[-1].iteration if result.history else 0,
            loss=result.loss,
            compile_seconds=compiled_ahead + result.compile_seconds,
            run_seconds=result.run_seconds,
            peak_memory_bytes=memory.peak(),
            metrics=metrics,
        )
    return Run(result, folder, picture, metadata, metrics, _notes(pictures))


def _optimize(
    experiment: Experiment,
    scales: Sequence[Prepared],
    notebook: Record,
    metadata: dict[str, str],
    say: Callable[[str], None],
    watch: Watch,
    interrupted: Callable[[], bool],
) -> Result:
    every, saved = experiment.output.save_every, 0

    def observe(iterations: Sequence[Iteration], best: Callable[[], np.ndarray]) -> None:
        nonlocal saved
        notebook.add([iteration._asdict() for iteration in iterations])
        watch(iterations)
        reached = iterations[-1].iteration if iterations else 0
        if every and reached // every > saved:
            saved = reached // every
            notebook.save_picture(f"pictures/{reached:06d}.png", best(), bits=experiment.output.bits, metadata=metadata)

    return optimize(scales, say=say, observe=observe, interrupted=interrupted)


def _metadata(experiment: Experiment, weights: Weights, pictures: Pictures) -> dict[str, str]:
    """What travels in the picture: enough to make it again."""
    return {
        "Software": f"jaxstyle {record.__version__}",
        "jaxstyle:experiment": json.dumps(experiment.to_json()),
        "jaxstyle:weights": json.dumps(_weights_facts(weights)),
        "jaxstyle:images": json.dumps(_picture_facts(pictures)),
        "jaxstyle:versions": json.dumps(record.environment()["versions"]),
    }


def _weights_facts(weights: Weights) -> dict[str, str]:
    return {"name": weights.name, "network": weights.network, "sha256": weights.sha256}


def _picture_facts(pictures: Pictures) -> dict[str, dict[str, Any]]:
    def facts(picture: Picture) -> dict[str, Any]:
        return {"path": str(picture.path), "sha256": picture.sha256, "notes": list(picture.notes)}

    return {role: facts(picture) for role, picture in pictures.by_role().items()}


def _notes(pictures: Pictures) -> tuple[str, ...]:
    return tuple(f"{picture.path}: {note}" for picture in pictures.by_role().values() for note in picture.notes)
