"""An experiment and its record: what `jaxstyle run` and `jaxstyle transfer` do for one image."""

import dataclasses
import functools
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxstyle.config import Display, Experiment
from jaxstyle.devices import memory
from jaxstyle.devices.environment import versions
from jaxstyle.devices.jax_settings import pinned
from jaxstyle.devices.sharding import Devices, count_devices
from jaxstyle.errors import CheckpointError, JaxstyleError
from jaxstyle.images import LoadedImage
from jaxstyle.network.weights import Weights
from jaxstyle.network.weights import load as load_weights
from jaxstyle.optimizers import Iteration, Observer, Result, Status, ensure_finite
from jaxstyle.runs.display import look_of, shown
from jaxstyle.runs.folders import RESULT
from jaxstyle.runs.record import IMAGES, Recorder, recording
from jaxstyle.runs.resume import keeper, pack, unpack
from jaxstyle.synthesis.cache import Cache
from jaxstyle.synthesis.events import Events
from jaxstyle.synthesis.loss_terms import Terms
from jaxstyle.synthesis.measurements import measure_result
from jaxstyle.synthesis.optimization import optimize
from jaxstyle.synthesis.preparation import Prepared, SourceImages, prepare, read_images
from jaxstyle.synthesis.recolouring import finish
from jaxstyle.synthesis.state import KeepRunState, RunState
from jaxstyle.version import __version__

Say = Callable[[str], None]
"""Is told what is being done."""
SILENT = Events()


class Inputs(NamedTuple):
    """What an experiment names, read."""

    images: SourceImages
    weights: Weights


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished or interrupted run.

    Attributes:
      result: what the optimization found.
      folder: the record.
      metadata: what travels in the image.
      metrics: what was measured on it.
      notes: what was done to the images on the way in.
    """

    result: Result
    folder: Path
    metadata: dict[str, str]
    metrics: dict[str, Any]
    notes: tuple[str, ...]

    @property
    def image(self) -> Path:
        """The image in the record."""
        return self.folder / RESULT


def read_inputs(experiment: Experiment, *, say: Say = lambda message: None, cache: Cache | None = None) -> Inputs:
    """Reads the images and the weights that an experiment names.

    Raises:
      JaxstyleError: some are missing, or not what they should be.
    """
    cache, name = cache or Cache(), experiment.network.weights
    return Inputs(
        read_images(experiment, cache=cache), cache("weights", name, lambda: load_weights(name, progress=say))
    )


@pinned()
def run(
    experiment: Experiment,
    folder: Path,
    *,
    inputs: Inputs | None = None,
    reads: Terms | None = None,
    cache: Cache | None = None,
    events: Events = SILENT,
    interrupted: Callable[[], bool] = lambda: False,
    compiled_ahead: float = 0.0,
    devices: Devices = 1,
    **facts: Any,
) -> Run:
    """Runs one experiment and records it; goes on where an earlier process was stopped in the same folder.

    Args:
      experiment: without a sweep.
      folder: the run's own folder; made, or that of an unfinished run of the same experiment.
      inputs: the experiment's, if they have been read already.
      reads: what to read besides with weight 0, so that members of a sweep share a program.
      cache: what members before have read, built and measured.
      events: told what happens.
      interrupted: asked between evaluations; true ends the run, and the best image so far is saved.
      compiled_ahead: seconds that compiling this run's programs has taken before.
      devices: over how many the image is spread.
      **facts: what else the manifest should hold.

    Raises:
      JaxstyleError: an image, the weights or the folder are not what they should be, or the loss is not finite; the
        record says `failed`. Or the folder holds a finished run or another experiment, or another process is at work
        there; it is left alone.
    """
    if experiment.sweep is not None:
        raise JaxstyleError("an experiment with a sweep is several runs; expand it first")
    with recording(folder, experiment) as notebook:
        notebook.update(title=experiment.title, **facts)
        return carry_out(
            experiment,
            inputs or read_inputs(experiment, say=events.log, cache=cache),
            notebook,
            reads=reads,
            cache=cache,
            events=events,
            interrupted=interrupted,
            compiled_ahead=compiled_ahead,
            devices=devices,
        )


@pinned()
def carry_out(
    experiment: Experiment,
    inputs: Inputs,
    notebook: Recorder,
    *,
    events: Events,
    interrupted: Callable[[], bool],
    reads: Terms | None = None,
    cache: Cache | None = None,
    compiled_ahead: float = 0.0,
    devices: Devices = 1,
) -> Run:
    """Optimizes and measures, and tells a recorder; touches no file itself. The arguments are those of `run`."""
    begun = begin(experiment, inputs, notebook, events=events, reads=reads, cache=cache, devices=devices)
    result = _optimize(begun, events, interrupted)
    return conclude(begun, result, compiled_ahead=compiled_ahead)


@dataclasses.dataclass(frozen=True)
class Begun:
    """A run whose optimization is ready to begin.

    Attributes:
      experiment: which.
      inputs: its images and weights.
      notebook: told of all that happens.
      scales: what is to be optimized.
      metadata: what travels in its images.
    """

    experiment: Experiment
    inputs: Inputs
    notebook: Recorder
    scales: tuple[Prepared, ...]
    metadata: dict[str, str]


def begin(
    experiment: Experiment,
    inputs: Inputs,
    notebook: Recorder,
    *,
    events: Events,
    reads: Terms | None = None,
    cache: Cache | None = None,
    devices: Devices = 1,
) -> Begun:
    """Prepares what is to be optimized, and tells a recorder. The arguments are those of `run`."""
    images, weights = inputs
    notebook.update(weights=_weights_facts(weights), images=_image_facts(images))
    events.log("computing targets")
    scales = prepare(experiment, images, weights, reads=reads, cache=cache, devices=devices)
    planned = [prepared.scale for prepared in scales]
    notebook.update(scales=[scale._asdict() for scale in planned], devices=count_devices(devices))
    events.plan(planned)
    return Begun(experiment, inputs, notebook, scales, _metadata(experiment, weights, images))


def conclude(begun: Begun, result: Result, *, compiled_ahead: float = 0.0) -> Run:
    """Measures and records what an optimization has found.

    Raises:
      JaxstyleError: that is not finite; the record keeps its metrics, and nothing to go on from.
    """
    spent = {
        "evaluations": result.evaluations,
        "iterations": result.history[-1].iteration if result.history else 0,
        "compile_seconds": compiled_ahead + result.compile_seconds,
        "run_seconds": result.run_seconds,
    }
    if result.status is Status.NOT_FINITE:
        begun.notebook.update(**spent)
        begun.notebook.discard()
    ensure_finite(result)
    metrics = measure_result(begun.scales[-1], result.image)
    result = dataclasses.replace(result, image=_finished(begun, result.image))
    metadata = _save(begun, RESULT, result.image, {"jaxstyle:status": str(result.status)})
    begun.notebook.close(
        str(result.status),
        **spent,
        loss=result.loss,
        peak_memory_bytes=memory.peak(),
        metrics=metrics,
    )
    return Run(result, begun.notebook.folder, metadata, metrics, _notes(begun.inputs.images))


def observer(begun: Begun, events: Events, resume: RunState | None) -> Observer:
    """Takes the record back to where the run goes on; from there on records iterations, and the images on the way."""
    notebook, every = begun.notebook, begun.experiment.output.save_every
    history = resume.history if resume else ()
    reached = history[-1].iteration if history else 0
    saved = reached // every if every else 0
    notebook.rewind([iteration._asdict() for iteration in history])
    events.progress(history)

    def observe(iterations: Sequence[Iteration], best: Callable[[], np.ndarray]) -> int | None:
        nonlocal saved, reached
        notebook.add([iteration._asdict() for iteration in iterations])
        events.progress(iterations)
        reached = iterations[-1].iteration if iterations else reached
        if every and reached // every > saved:
            saved = reached // every
            name = f"{IMAGES}/{reached:06d}.png"
            _save(begun, name, _finished(begun, best()))
        return every - reached % every if every else None

    return observe


def _finished(begun: Begun, image: np.ndarray) -> np.ndarray:
    """An optimized image in the colours that are asked for."""
    return finish(begun.experiment.colour, begun.inputs.images.content, image)


def _save(begun: Begun, name: str, image: np.ndarray, facts: Mapping[str, str] | None = None) -> dict[str, str]:
    """Saves an image in the look that is wanted; returns what travels in it."""
    output = begun.experiment.output
    own = look_of(output.display, image, begun.inputs.weights.preprocessing)
    metadata = {**begun.metadata, **(facts or {}), **own.to_metadata()}
    pixels = shown(image, own._replace(display=Display.IMAGE), output.display)
    begun.notebook.save_image(name, pixels, bits=output.bits, metadata=metadata)
    return metadata


def restored(begun: Begun, events: Events) -> RunState | None:
    """Where an earlier process has left the run, if it has.

    Raises:
      CheckpointError: that is damaged, or was made with something else.
    """
    checkpoint = begun.notebook.restore_checkpoint()
    standing = unpack(checkpoint, _ingredients(begun.inputs)) if checkpoint else None
    if standing and standing.history:
        events.log(f"going on after iteration {standing.history[-1].iteration}")
    return standing


def begin_anew(begun: Begun, error: CheckpointError) -> None:
    """Gives up what an earlier process has left, with a warning."""
    warnings.warn(f"{begun.notebook.folder}: begins anew: {error}", stacklevel=2)
    begun.notebook.delete_checkpoint()


def keeps(begun: Begun) -> KeepRunState:
    """Keeps checkpoints in the record."""
    ingredients = _ingredients(begun.inputs)
    return keeper(functools.partial(_keep, begun.notebook, ingredients), begun.experiment.output.checkpoint_seconds)


def _optimize(begun: Begun, events: Events, interrupted: Callable[[], bool]) -> Result:
    def attempt(resume: RunState | None) -> Result:
        observe = observer(begun, events, resume)
        return optimize(
            begun.scales, say=events.log, observe=observe, interrupted=interrupted, resume=resume, keep=keep
        )

    keep = keeps(begun)
    try:
        return attempt(restored(begun, events))
    except CheckpointError as error:
        begin_anew(begun, error)
        return attempt(None)


def _keep(notebook: Recorder, ingredients: Mapping[str, Any], standing: RunState) -> None:
    try:
        notebook.save_checkpoint(pack(standing, ingredients))
    except CheckpointError as error:  # the run itself is well
        warnings.warn(f"{error}; the run goes on, and could not be gone on with from here", stacklevel=2)


def _ingredients(inputs: Inputs) -> dict[str, str]:
    """What an optimizer's state depends on besides the experiment: libraries, weights, images."""
    here = versions()
    return {
        **{package: here[package] for package in ("jaxstyle", "jax", "jaxlib", "jaxopt", "optax")},
        "weights": inputs.weights.sha256,
        **{role: image.sha256 for role, image in inputs.images.by_role().items()},
    }


def _metadata(experiment: Experiment, weights: Weights, images: SourceImages) -> dict[str, str]:
    """What travels in the image: enough to make it again."""
    return {
        "Software": f"jaxstyle {__version__}",
        "jaxstyle:experiment": json.dumps(experiment.to_json()),
        "jaxstyle:weights": json.dumps(_weights_facts(weights)),
        "jaxstyle:images": json.dumps(_image_facts(images)),
        "jaxstyle:versions": json.dumps(dict(versions())),
    }


def _weights_facts(weights: Weights) -> dict[str, str]:
    return {"name": weights.name, "network": weights.network, "sha256": weights.sha256}


def _image_facts(images: SourceImages) -> dict[str, dict[str, Any]]:
    def facts(image: LoadedImage) -> dict[str, Any]:
        return {"path": str(image.path), "sha256": image.sha256, "notes": list(image.notes)}

    return {role: facts(image) for role, image in images.by_role().items()}


def _notes(images: SourceImages) -> tuple[str, ...]:
    return tuple(f"{image.path}: {note}" for image in images.by_role().values() for note in image.notes)
