"""TensorBoard's event files: the loss and its terms, the image on the way, and a sweep's keys as hyperparameters."""

import contextlib
import importlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxstyle.errors import JaxstyleError
from jaxstyle.images import encode_png
from jaxstyle.metrics import flatten
from jaxstyle.trackers.base import Tracked, Tracker

if TYPE_CHECKING:
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

FOLDER = "tensorboard"
"""The folder of the event files within a run's folder."""
_FLUSH = 10
"""Seconds after which new values are in the file."""


def ensure_installed() -> None:
    """Does nothing if the extra is installed.

    Raises:
      JaxstyleError: it is not.
    """
    try:
        import tensorboard.summary.writer.event_file_writer  # noqa: F401
    except ModuleNotFoundError:
        message = "output.tensorboard: TensorBoard is not installed: pip install 'jaxstyle[tensorboard]'"
        raise JaxstyleError(message) from None


class TensorBoard(Tracker):
    """Writes event files into a run's folder; a resumed run writes them anew."""

    def __init__(self, folder: Path):
        """Writes nothing yet.

        Args:
          folder: the run's.

        Raises:
          JaxstyleError: the extra is not installed.
        """
        ensure_installed()
        self._folder = folder / FOLDER
        self._open: EventFileWriter | None = None

    def start(self, run: Tracked) -> None:
        """Starts a file and deletes those of earlier processes, whose iterations are passed again."""
        from tensorboard.plugins.hparams.summary_v2 import hparams_pb
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._close()
        for file in self._folder.glob("events.out.tfevents.*"):
            file.unlink()
        self._open = EventFileWriter(str(self._folder), flush_secs=_FLUSH)
        if run.swept:
            values = {key: _hyperparameter(value) for key, value in run.swept.items()}
            self._write(hparams_pb(values, trial_id=run.name))

    def iterations(self, iterations: Sequence[Mapping[str, Any]]) -> None:
        """Writes the loss, its terms, the gradient's norm and the step size of each iteration."""
        for each in iterations:
            scalars = {name: each[name] for name in ("loss", "gradient_norm", "step_size") if name in each}
            self._scalars(
                scalars | {f"terms/{name}": value for name, value in each["terms"].items()}, each["iteration"]
            )

    def image(self, iteration: int, pixels: np.ndarray) -> None:
        """Writes an image."""
        summary = _message("summary", "Summary")
        height, width, _ = pixels.shape
        found = summary.Image(height=height, width=width, colorspace=3, encoded_image_string=encode_png(pixels))
        self._write(summary(value=[summary.Value(tag="image", image=found)]), iteration)

    def end(self, status: str, facts: Mapping[str, Any]) -> None:
        """Writes the metrics, and closes the file."""
        metrics = flatten(facts.get("metrics", {}), "metrics/")
        numbers = {name: value for name, value in metrics.items() if isinstance(value, int | float)}
        self._scalars(numbers, int(facts.get("iterations", 0)))
        self._close()

    def _scalars(self, values: Mapping[str, float], step: int) -> None:
        summary = _message("summary", "Summary")
        found = [summary.Value(tag=tag, simple_value=float(value)) for tag, value in values.items()]
        self._write(summary(value=found), step)

    def _write(self, summary: Any, step: int = 0) -> None:
        if self._open is not None:
            event = _message("event", "Event")
            self._open.add_event(event(wall_time=time.time(), step=step, summary=summary))

    def _close(self) -> None:
        if self._open is not None:
            with contextlib.closing(self._open):
                self._open = None


def _message(file: str, name: str) -> Any:
    """A message type of TensorBoard's format, which protobuf creates at import."""
    return getattr(importlib.import_module(f"tensorboard.compat.proto.{file}_pb2"), name)


def _hyperparameter(value: Any) -> float | int | str | bool:
    """A swept value as TensorBoard takes it: a list of layers or images becomes JSON."""
    return value if isinstance(value, bool | int | float | str) else json.dumps(value, ensure_ascii=False)
