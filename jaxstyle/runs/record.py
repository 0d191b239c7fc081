"""A run's folder: the resolved experiment, the manifest, the metrics as they come, and the image."""

import contextlib
import csv
import io
import json
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from jaxstyle.config import Experiment
from jaxstyle.devices.environment import environment
from jaxstyle.errors import CheckpointError, DiskFullError, JaxstyleError, Note
from jaxstyle.files import clear_parts, write_atomically
from jaxstyle.images import write_image
from jaxstyle.optimizers import Status
from jaxstyle.runs import checkpoints, previews
from jaxstyle.runs.checkpoints import Checkpoint
from jaxstyle.runs.folders import (
    CHECKPOINT,
    EXPERIMENT,
    FAILED,
    FINISHED,
    MANIFEST,
    METRICS,
    RESULT,
    SCALES,
    ensure_usable,
    holds_run,
    is_extended,
    read_manifest,
)
from jaxstyle.runs.lines import Lines
from jaxstyle.runs.locks import claimed, made, now
from jaxstyle.trackers import Tracked, Tracker, Tracking
from jaxstyle.trackers.tensorboard import TensorBoard

IMAGES, SOURCES = "images", "sources"
"""The folders, in a run's, of the images on the way, and of small copies of content and styles."""


class Recorder(Protocol):
    """Keeps a record: the `Record` itself, or what sends it from another machine.

    Attributes:
      folder: the run's, on the machine that keeps the record.
    """

    folder: Path

    def update(self, **facts: Any) -> None:
        """Adds facts to the manifest."""

    def add(self, iterations: Sequence[Mapping[str, Any]]) -> None:
        """Appends a line of metrics for each iteration."""

    def rewind(self, iterations: Sequence[Mapping[str, Any]]) -> None:
        """Makes these lines all there is of the metrics, and takes back the images that were saved after them."""

    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Keeps what a later process needs to go on, in place of what was kept before."""

    def restore_checkpoint(self) -> Checkpoint | None:
        """Returns what an earlier process has kept; None where the run has not begun.

        Raises:
          CheckpointError: it is damaged, or the run has begun and there is none.
        """

    def delete_checkpoint(self) -> None:
        """Keeps nothing any longer."""

    def discard(self) -> None:
        """Keeps neither a checkpoint nor a result any longer."""

    def save_image(
        self, name: str, pixels: np.ndarray, *, bits: int, metadata: Mapping[str, str], status: Status
    ) -> None:
        """Writes an image into the folder: the result, or one on the way while the run goes on."""

    def is_watched(self) -> bool:
        """Whether the run is watched, so that images on the way are wanted."""
        ...

    def close(self, status: str, **facts: Any) -> None:
        """Ends the record."""


class Record:
    """One run's folder, written as the run goes on.

    The experiment and the manifest are there from the start, a line of metrics after every iteration, and every file
    except the growing metrics is written atomically. What an earlier process has left of the same run is kept: its
    checkpoint, its metrics until `rewind`, when it started.

    Once the run has begun, a full disk does not end it: lines of metrics wait, a checkpoint or an image on the way is
    left out, with one note of each kind, and for the result the checkpoint makes room.
    """

    def __init__(
        self, folder: Path, experiment: Experiment, *, elsewhere: bool = False, trackers: Iterable[Tracker] = ()
    ):
        """Makes the folder, or opens that of an unfinished run.

        Args:
          folder: the run's own.
          experiment: without a sweep.
          elsewhere: whether another process runs it, and will report its own versions and device.
          trackers: receive what is recorded.

        Raises:
          JaxstyleError: it holds a finished run or another experiment, or cannot be made; or there is no device.
        """
        self.folder = folder
        self._experiment = experiment
        self._tracking = Tracking([*trackers, *built_in(experiment, folder)])
        self._reached = 0
        surroundings = {} if elsewhere else environment()
        ensure_usable(folder, experiment)
        made(folder)
        clear_parts(folder)
        earlier = read_manifest(folder) if holds_run(folder) else {}
        self._extends = is_extended(folder, experiment)
        since = {"started": now()} if "started" not in earlier else {"started": earlier["started"], "resumed": now()}
        scales = {SCALES: earlier[SCALES]} if SCALES in earlier else {}
        self.manifest: dict[str, Any] = {"status": "running", **since, **surroundings, **scales}
        if earlier:  # from now on what has ended here is not taken for the end of a run that is extended
            self.update()
        write_json(folder / EXPERIMENT, experiment.to_json())
        self._noted: set[str] = set()
        self.update()
        self._metrics = Lines(folder / METRICS)

    def update(self, **facts: Any) -> None:
        """Adds facts to the manifest."""
        self.manifest |= facts
        write_json(self.folder / MANIFEST, self.manifest)

    def rewind(self, iterations: Sequence[Mapping[str, Any]]) -> None:
        """Makes these lines all there is of the metrics, and takes back the images that were saved after them.

        The result of a run that is extended becomes the last of the images on the way.
        """
        self._metrics.replace("".join(map(_line, iterations)))
        reached = iterations[-1]["iteration"] if iterations else -1
        member = self.manifest.get("member", {})
        name = str(member.get("label") or self._experiment.title or self.folder.name)
        self._reached = max(reached, 0)
        self._tracking.start(Tracked(name, self._experiment.to_json(), self.folder, member.get("values") or {}))
        self._tracking.iterations(iterations)
        for image in (self.folder / IMAGES).glob("*"):
            if image.stem.isdecimal() and int(image.stem) > reached:
                image.unlink()
        if self._extends and reached >= 0:
            (self.folder / IMAGES).mkdir(exist_ok=True)
            (self.folder / RESULT).replace(self.folder / IMAGES / f"{reached:06d}.png")

    def add(self, iterations: Sequence[Mapping[str, Any]]) -> None:
        """Appends a line of metrics for each iteration."""
        self._tracking.iterations(iterations)
        self._reached = iterations[-1]["iteration"] if iterations else self._reached
        try:
            self._metrics.append("".join(map(_line, iterations)))
        except JaxstyleError as error:
            self._note(error, "the run continues, and its lines wait")

    def save_image(
        self, name: str, pixels: np.ndarray, *, bits: int, metadata: Mapping[str, str], status: Status
    ) -> None:
        """Writes an image into the folder: the result, or one on the way while the run goes on.

        Raises:
          JaxstyleError: it is the result, and cannot be written.
        """

        def write() -> None:
            write_image(self.folder / name, pixels, bits=bits, metadata=metadata)

        if name == RESULT or Path(name).stem.isdecimal():
            self._tracking.image(self._reached, pixels)
        if status is not Status.RUNNING:
            self._write_last(write, status)
            return
        try:
            write()
        except JaxstyleError as error:
            self._note(error, "the run continues without images on the way")
            return
        if (path := self.folder / name).suffix == previews.SUFFIX and path.stem.isdecimal():
            previews.thin(path.parent)

    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Keeps what a later process needs to go on, in place of what was kept before."""
        try:
            checkpoints.save(self.folder / CHECKPOINT, checkpoint)
        except CheckpointError as error:
            self._note(error, "the run continues without a new checkpoint")

    def restore_checkpoint(self) -> Checkpoint | None:
        """Returns what an earlier process has kept; None where the run has not begun.

        Raises:
          CheckpointError: it is damaged, or the run has begun and there is none.
        """
        checkpoint = checkpoints.restore(self.folder / CHECKPOINT)
        if checkpoint is None and (self.folder / METRICS).stat().st_size:
            raise CheckpointError("there is no checkpoint")
        return checkpoint

    def delete_checkpoint(self) -> None:
        """Keeps nothing any longer."""
        checkpoints.delete(self.folder / CHECKPOINT)

    def discard(self) -> None:
        """Keeps neither a checkpoint nor a result any longer."""
        self.delete_checkpoint()
        (self.folder / RESULT).unlink(missing_ok=True)

    def is_watched(self) -> bool:
        """Whether the run is watched, so that images on the way are wanted."""
        return bool(self._tracking) or previews.is_watched(self.folder)

    def lose_attempt(self, reasons: Sequence[str]) -> None:
        """Notes that an attempt was lost; the run is to be resumed from its checkpoint."""
        self._metrics.reopen()
        self.update(status="running", lost_attempts=list(reasons))

    def close(self, status: str, **facts: Any) -> None:
        """Ends the record.

        Raises:
          JaxstyleError: what is left to write cannot be written.
        """

        self._tracking.end(status, facts)
        with contextlib.closing(self._metrics):
            self._write_last(lambda: self.update(status=status, ended=now(), **facts), status)
            try:
                self._write_last(self._metrics.append, status)
            except JaxstyleError as error:
                self._note(error, "its last lines are missing")

    def _write_last(self, write: Callable[[], None], status: str) -> None:
        """Writes what remains of a run that has ended; where a finished one finds no room, its checkpoint makes some.

        Raises:
          JaxstyleError: it cannot be written.
        """
        try:
            write()
        except DiskFullError:
            if status not in FINISHED:
                raise
            self.delete_checkpoint()
            write()

    def _note(self, error: JaxstyleError, consequence: str) -> None:
        """Warns of what cannot be written, once of each kind."""
        if consequence not in self._noted:
            self._noted.add(consequence)
            warnings.warn(f"{str(error).rstrip('.')}; {consequence}", Note, stacklevel=3)


@contextlib.contextmanager
def open_record(
    folder: Path, experiment: Experiment, *, elsewhere: bool = False, trackers: Iterable[Tracker] = ()
) -> Iterator[Record]:
    """A record that says `failed`, and why, if the block raises; `interrupted` after a second Ctrl-C.

    Raises:
      JaxstyleError: another process is at work in the folder, or the folder is not this experiment's.
    """
    ensure_usable(folder, experiment)
    with claimed(folder):  # the record looks again: until now another process may have been at work there
        record = Record(folder, experiment, elsewhere=elsewhere, trackers=trackers)
        try:
            yield record
        except BaseException as error:
            facts = {"status": FAILED, "error": describe(error)}
            with contextlib.suppress(JaxstyleError):  # the reason itself may be that nothing can be written
                record.close(**({"status": "interrupted"} if isinstance(error, KeyboardInterrupt) else facts))
            raise


def built_in(experiment: Experiment, folder: Path) -> list[Tracker]:
    """The trackers that an experiment asks for.

    Raises:
      JaxstyleError: one of them is not installed.
    """
    return [TensorBoard(folder)] if experiment.output.tensorboard else []


def _line(iteration: Mapping[str, Any]) -> str:
    return json.dumps(finite(iteration)) + "\n"


def describe(error: BaseException) -> str:
    """What a record says of an error: a user's mistake in its own words, anything else with its type."""
    if isinstance(error, JaxstyleError):
        return str(error)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def write_json(path: Path, content: Any) -> None:
    """Writes a JSON file in one step; what is no Unicode, in a file's name, becomes JSON's escapes."""
    text = json.dumps(finite(content), indent=2, ensure_ascii=False) + "\n"
    write_atomically(path, text.encode("utf-8", "backslashreplace"))


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Returns rows as CSV: the columns of all of them in the order of their first use, lists and tables as JSON."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="")
    writer.writeheader()
    writer.writerows({column: _field(value) for column, value in row.items()} for row in rows)
    return text.getvalue()


def _field(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, Mapping | list | tuple) else value


def finite(value: Any) -> Any:
    """Returns a value as JSON can hold it, which has no infinities and no NaN: they become their names."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [finite(entry) for entry in value]
    return value
