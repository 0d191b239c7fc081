"""A run's folder: the resolved experiment, the manifest, the metrics as they come, and the picture."""

import contextlib
import csv
import datetime
import importlib.metadata
import io
import json
import math
import os
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

import jax
import numpy as np

from jaxstyle.config import Experiment
from jaxstyle.errors import JaxstyleError
from jaxstyle.files import write_beside
from jaxstyle.images import write_picture
from jaxstyle.version import __version__

EXPERIMENT, MANIFEST, METRICS, RESULT = "experiment.json", "manifest.json", "metrics.jsonl", "result.png"
PICTURES = "pictures"
"""The folder, in a run's, of the pictures on the way."""
PACKAGES = ("jax", "jaxlib", "flax", "optax", "jaxopt", "scipy", "numpy", "pillow")


class Recorder(Protocol):
    """Somebody who is told what a record holds: the `Record` itself, or who passes it on from another machine.

    Attributes:
      folder: the run's, on the machine that keeps the record.
    """

    folder: Path

    def update(self, **facts: Any) -> None:
        """Adds facts to the manifest."""

    def add(self, iterations: Sequence[Mapping[str, Any]]) -> None:
        """Appends a line of metrics for each iteration."""

    def save_picture(self, name: str, pixels: np.ndarray, *, bits: int, metadata: Mapping[str, str]) -> object:
        """Writes a picture into the folder."""

    def close(self, status: str, **facts: Any) -> None:
        """Ends the record."""


class Record:
    """One run's folder, written as the run goes on.

    The experiment and the manifest are there from the start, a line of metrics after every iteration, and every file
    except the growing metrics is written beside its name and then renamed.
    """

    def __init__(self, folder: Path, experiment: Experiment, *, elsewhere: bool = False):
        """Makes the folder.

        Args:
          folder: the run's own.
          experiment: without a sweep.
          elsewhere: whether another process carries the run out, which will tell of its own versions and device.

        Raises:
          JaxstyleError: it already holds a run that has begun, or cannot be made.
        """
        self.folder = folder
        make_folder(folder)
        own = {} if elsewhere else environment()
        self.manifest: dict[str, Any] = {"status": "running", "started": now(), **own}
        write_json(folder / EXPERIMENT, experiment.to_json())
        self._metrics: IO[str] = open(folder / METRICS, "w", encoding="utf-8")  # noqa: SIM115  (closed in `close`)
        self.update()

    def update(self, **facts: Any) -> None:
        """Adds facts to the manifest."""
        self.manifest |= facts
        write_json(self.folder / MANIFEST, self.manifest)

    def add(self, iterations: Sequence[Mapping[str, Any]]) -> None:
        """Appends a line of metrics for each iteration."""
        try:
            for iteration in iterations:
                self._metrics.write(json.dumps(finite(iteration)) + "\n")
            self._metrics.flush()
        except OSError as error:
            raise JaxstyleError(f"{self._metrics.name}: cannot be written: {error.strerror or error}") from None

    def begin_again(self) -> None:
        """Takes back the metrics and pictures of an attempt that was lost; the next one begins at the start."""
        self._metrics.close()
        self._metrics = open(self.folder / METRICS, "w", encoding="utf-8")  # noqa: SIM115  (closed in `close`)
        for picture in (self.folder / PICTURES).glob("*.png"):
            picture.unlink()
        self.update(status="running")

    def save_picture(self, name: str, pixels: np.ndarray, *, bits: int, metadata: Mapping[str, str]) -> Path:
        """Writes a picture into the folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_picture(path, pixels, bits=bits, metadata=metadata)
        return path

    def close(self, status: str, **facts: Any) -> None:
        """Ends the record."""
        self._metrics.close()
        self.update(status=status, ended=now(), **facts)


@contextlib.contextmanager
def recording(folder: Path, experiment: Experiment, *, elsewhere: bool = False) -> Iterator[Record]:
    """A record that says `failed`, and why, if the block raises; `interrupted` after a second Ctrl-C."""
    record = Record(folder, experiment, elsewhere=elsewhere)
    try:
        yield record
    except KeyboardInterrupt:
        record.close("interrupted")
        raise
    except BaseException as error:
        record.close("failed", error=describe(error))
        raise


def describe(error: BaseException) -> str:
    """What a record says of an error: a user's mistake in its own words, anything else with its type."""
    if isinstance(error, JaxstyleError):
        return str(error)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def make_folder(folder: Path) -> None:
    """Makes the folder of a run or of a sweep.

    Raises:
      JaxstyleError: it already holds one, or cannot be made.
    """
    try:
        holds_run = (folder / EXPERIMENT).exists() or (folder / MANIFEST).exists()
        if holds_run and not _failed_before_it_began(folder):
            raise JaxstyleError(f"{folder}: already holds a run; name another folder, or delete this one")
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise JaxstyleError(f"{folder}: the run's folder cannot be made ({error.strerror})") from None


def _failed_before_it_began(folder: Path) -> bool:
    """Whether a run there has failed without a single iteration, so that there is nothing to lose."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return (
            isinstance(manifest, dict) and manifest.get("status") == "failed" and (folder / METRICS).stat().st_size == 0
        )
    except (OSError, ValueError):
        return False


def new_folder(root: Path, name: str) -> Path:
    """Returns `root/name/<id>` that does not exist yet; the id is the time, so that names sort by it."""
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    safe = re.sub(r"[^\w.-]+", "-", name).strip("-.") or "run"
    candidates = (root / safe / (stamp if attempt == 0 else f"{stamp}-{attempt}") for attempt in range(1000))
    return next(folder for folder in candidates if not folder.exists())


def environment() -> dict[str, Any]:
    """The versions and the device that a result depends on."""
    device = jax.devices()[0]
    versions = {package: importlib.metadata.version(package) for package in PACKAGES}
    return {
        "versions": {"jaxstyle": __version__, "python": platform.python_version(), **versions},
        "device": {
            "platform": device.platform,
            "kind": device.device_kind,
            "count": jax.device_count(),
            "cpu_count": os.cpu_count(),
        },
    }


def write_json(path: Path, content: Any) -> None:
    """Writes a JSON file in one step."""
    write_beside(path, (json.dumps(finite(content), indent=2, ensure_ascii=False) + "\n").encode())


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns `{"gram_distance/conv1_1": …}` for nested tables."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        flat |= flatten(value, f"{prefix}{name}/") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat


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


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def finite(value: Any) -> Any:
    """Returns a value as JSON can hold it, which has no infinities and no NaN: they become their names."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [finite(entry) for entry in value]
    return value
