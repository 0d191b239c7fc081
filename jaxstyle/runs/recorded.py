"""One run with its record: prepared, optimized, measured, each step passed to a recorder."""

import dataclasses
import functools
import json
import warnings
from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from jaxstyle.config import Display, Experiment
from jaxstyle.devices import memory
from jaxstyle.devices.environment import versions
from jaxstyle.devices.sharding import Devices, count_devices
from jaxstyle.errors import CheckpointError, Note
from jaxstyle.images import LoadedImage, resize_long_side
from jaxstyle.network.weights import Weights
from jaxstyle.optimizers import Iteration, Observer, Result, Status, ensure_finite, state_bytes
from jaxstyle.runs import previews
from jaxstyle.runs.display import look_of, shown
from jaxstyle.runs.folders import FINISHED, LIBRARIES, RESULT, SCALES, TILE
from jaxstyle.runs.record import IMAGES, SOURCES, Recorder
from jaxstyle.runs.resume import pack, periodic_checkpoints, unpack
from jaxstyle.synthesis.cache import Cache
from jaxstyle.synthesis.estimates import sides_of
from jaxstyle.synthesis.events import Events
from jaxstyle.synthesis.loss_terms import Terms
from jaxstyle.synthesis.measurements import measure_result
from jaxstyle.synthesis.optimization import optimize
from jaxstyle.synthesis.preparation import Prepared, SourceImages, prepare
from jaxstyle.synthesis.recolouring import finish
from jaxstyle.synthesis.state import KeepRunState, RunState
from jaxstyle.synthesis.tiles import Sides
from jaxstyle.trackers.periodic import periodic_images
from jaxstyle.version import __version__

SMALL = 512
"""Pixels of the long side of a record's copies of the source images."""


class Inputs(NamedTuple):
    """The files that an experiment names, loaded."""

    images: SourceImages
    weights: Weights


@dataclasses.dataclass(frozen=True)
class RecordedRun:
    """A run from its preparation to its end; all that happens goes to a recorder and to events.

    Attributes:
      experiment: without a sweep.
      inputs: its images and weights.
      recorder: keeps the record, here or on another machine.
      events: called with what happens.
      scales: what is optimized.
      metadata: of the images that it saves.
    """

    experiment: Experiment
    inputs: Inputs
    recorder: Recorder
    events: Events
    scales: tuple[Prepared, ...]
    metadata: dict[str, str]

    @classmethod
    def prepare(
        cls,
        experiment: Experiment,
        inputs: Inputs,
        recorder: Recorder,
        events: Events,
        *,
        reads: Terms | None = None,
        cache: Cache | None = None,
        devices: Devices = 1,
        sides: Sides = MappingProxyType({}),
    ) -> "RecordedRun":
        """Computes all that the optimization needs. The arguments are those of `runner.run`."""
        recorder.update(weights=_weights_facts(inputs.weights), images=_image_facts(inputs.images))
        events.log("computing targets")
        prepared = prepare(experiment, *inputs, reads=reads, cache=cache, devices=devices, sides=sides)
        scales, sides = [each.scale for each in prepared], sides_of(prepared)
        facts = [scale._asdict() | ({TILE: sides[scale.size]} if scale.size in sides else {}) for scale in scales]
        recorder.update(**{SCALES: facts}, devices=count_devices(devices))
        _save_sources(inputs.images, recorder)
        events.plan(scales)
        return cls(experiment, inputs, recorder, events, prepared, _metadata(experiment, inputs))

    def optimize(self, interrupted: Callable[[], bool]) -> Result:
        """Optimizes from where an earlier process stopped, else from the start."""

        def attempt(state: RunState | None) -> Result:
            return optimize(
                self.scales,
                log=self.events.log,
                observe=self.observer(state),
                interrupted=interrupted,
                resume=state,
                keep=checkpoint,
            )

        checkpoint = self.checkpoint_callback()
        try:
            return attempt(self.restore())
        except CheckpointError as error:
            self.discard_checkpoint(error)
            return attempt(None)

    def conclude(self, result: Result, *, compile_seconds: float = 0.0) -> Result:
        """Measures and records the result of the optimization; returns it in the colours that `[colour]` asks for.

        Args:
          result: of `optimize`.
          compile_seconds: spent on compiling before it.

        Raises:
          JaxstyleError: the result is not finite; the record keeps its metrics, and nothing to resume from.
        """
        spent = {
            "evaluations": result.evaluations,
            "iterations": result.history[-1].iteration if result.history else 0,
            "compile_seconds": compile_seconds + result.compile_seconds,
            "run_seconds": result.run_seconds,
        }
        if result.status is Status.NOT_FINITE:
            self.recorder.update(**spent)
            self.recorder.discard()
        ensure_finite(result)
        metrics = measure_result(self.scales[-1], result.image)
        result = dataclasses.replace(result, image=self._recoloured(result.image))
        self._save(RESULT, result.image, result.status)
        self.recorder.close(
            str(result.status), **spent, loss=result.loss, peak_memory_bytes=memory.peak(), metrics=metrics
        )
        if result.status in FINISHED and not self.keeps_state:
            self.recorder.delete_checkpoint()
        return result

    @functools.cached_property
    def keeps_state(self) -> bool:
        """Whether the finished run can be extended: it has one scale, and its state is as small as was asked for."""
        last = self.scales[-1]
        size = state_bytes(last.objective, last.start, last.settings) if len(self.scales) == 1 else 0
        return 0 < size <= 1e6 * self.experiment.output.keep_state_mb

    def restore(self) -> RunState | None:
        """The state in which an earlier process stopped, if there is one.

        Raises:
          CheckpointError: it is damaged, or was made with other libraries, weights or images.
        """
        checkpoint = self.recorder.restore_checkpoint()
        state = unpack(checkpoint, self._ingredients()) if checkpoint else None
        if state and state.history:
            self.events.log(f"resuming after iteration {state.history[-1].iteration}")
        return state

    def discard_checkpoint(self, error: CheckpointError) -> None:
        """Warns that the run starts from the beginning, and why."""
        warnings.warn(f"{self.recorder.folder}: starts from the beginning: {error}", Note, stacklevel=2)
        self.recorder.delete_checkpoint()

    def checkpoint_callback(self) -> KeepRunState:
        """Saves checkpoints in the record."""

        def save(state: RunState) -> None:
            self.recorder.save_checkpoint(pack(state, self._ingredients()))

        return periodic_checkpoints(save, self.experiment.output.checkpoint_seconds, at_end=self.keeps_state)

    def observer(self, state: RunState | None) -> Observer:
        """Records iterations, and images of `output.save_every`, after taking the record back to `state`."""
        every = self.experiment.output.save_every
        history = state.history if state else ()
        reached = history[-1].iteration if history else 0
        saved = reached // every if every else 0
        preview = periodic_images(self._save_preview, self.recorder.is_watched)
        self.recorder.rewind([iteration._asdict() for iteration in history])
        self.events.progress(history)

        def observe(iterations: Sequence[Iteration], best: Callable[[], np.ndarray]) -> int | None:
            nonlocal saved, reached
            self.recorder.add([iteration._asdict() for iteration in iterations])
            self.events.progress(iterations)
            reached = iterations[-1].iteration if iterations else reached
            if every and reached // every > saved:
                saved = reached // every
                self._save(f"{IMAGES}/{reached:06d}.png", self._recoloured(best()), Status.RUNNING)
            else:
                preview(reached, lambda: self._recoloured(best()))
            return every - reached % every if every else None

        return observe

    def _recoloured(self, image: np.ndarray) -> np.ndarray:
        return finish(self.experiment.colour, self.inputs.images.content, image)

    def _save(self, name: str, image: np.ndarray, status: Status) -> None:
        """Saves an image as `output.display` says."""
        output = self.experiment.output
        own = look_of(output.display, image, self.inputs.weights.preprocessing)
        metadata = {**self.metadata, "jaxstyle:status": str(status), **own.to_metadata()}
        pixels = shown(image, own._replace(display=Display.IMAGE), output.display)
        self.recorder.save_image(name, pixels, bits=output.bits, metadata=metadata, status=status)

    def _save_preview(self, iteration: int, image: np.ndarray) -> None:
        """Saves an image on the way: small and with little metadata, so that it costs little."""
        output = self.experiment.output
        own = look_of(output.display, image, self.inputs.weights.preprocessing)
        pixels = _reduced(shown(image, own._replace(display=Display.IMAGE), output.display), previews.LONGEST)
        name = f"{IMAGES}/{iteration:06d}{previews.SUFFIX}"
        self.recorder.save_image(name, pixels, bits=8, metadata=own.to_metadata(), status=Status.RUNNING)

    def _ingredients(self) -> dict[str, str]:
        """What an optimizer's state depends on besides the experiment: libraries, weights, images."""
        here = versions()
        return {
            **{library: here[library] for library in LIBRARIES},
            "weights": self.inputs.weights.sha256,
            **{role: image.sha256 for role, image in self.inputs.images.by_role().items()},
        }


def _reduced(pixels: np.ndarray, longest: int) -> np.ndarray:
    """An image with a long side of so many pixels at most."""
    return resize_long_side(pixels, longest) if max(pixels.shape[:2]) > longest else pixels


def _save_sources(images: SourceImages, recorder: Recorder) -> None:
    """Saves small copies of content, styles and start, so that a record shows them wherever it is looked at."""
    for role, image in images.by_role().items():
        if role not in images.masks:
            pixels = image.pixels
            step = max(1, max(pixels.shape[:2]) // (2 * SMALL))
            copy = _reduced(pixels[::step, ::step], SMALL)
            recorder.save_image(f"{SOURCES}/{role}.jpg", copy, bits=8, metadata={}, status=Status.RUNNING)


def _metadata(experiment: Experiment, inputs: Inputs) -> dict[str, str]:
    """What an image says of itself: enough to make it again."""
    return {
        "Software": f"jaxstyle {__version__}",
        "jaxstyle:experiment": json.dumps(experiment.to_json()),
        "jaxstyle:weights": json.dumps(_weights_facts(inputs.weights)),
        "jaxstyle:images": json.dumps(_image_facts(inputs.images)),
        "jaxstyle:versions": json.dumps(dict(versions())),
    }


def _weights_facts(weights: Weights) -> dict[str, str]:
    return {"name": weights.name, "network": weights.network, "sha256": weights.sha256}


def _image_facts(images: SourceImages) -> dict[str, dict[str, Any]]:
    def facts(image: LoadedImage) -> dict[str, Any]:
        return {"path": str(image.path), "sha256": image.sha256, "notes": list(image.notes)}

    return {role: facts(image) for role, image in images.by_role().items()}
