"""A run's folder from outside: its name, what it holds, and that one process at a time works in it."""

import contextlib
import datetime
import functools
import hashlib
import json
import os
import re
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import filelock

from jaxstyle.config import Experiment, load_experiment
from jaxstyle.errors import JaxstyleError
from jaxstyle.optimizers import Status

EXPERIMENT, MANIFEST, METRICS, RESULT = "experiment.json", "manifest.json", "metrics.jsonl", "result.png"
MEMBERS, LOCK = "members", ".lock"
FAILED = "failed"
"""The status of a run that an error ended."""
FINISHED = frozenset({Status.BUDGET_SPENT, Status.CONVERGED, Status.STALLED})
"""The statuses of runs that have nothing left to do."""
_MOST_DIFFERENCES = 5


def new_folder(root: Path, name: str) -> Path:
    """Returns `root/name/<id>` that does not exist yet; the id is the time, so that names sort by it."""
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    candidates = (
        _family(root, name) / (stamp if attempt == 0 else f"{stamp}-{attempt:03d}") for attempt in range(1000)
    )
    return next(folder for folder in candidates if not folder.exists())


def latest_folder(root: Path, name: str, experiment: Experiment) -> Path | None:
    """Returns the newest folder `root/name/<id>` of exactly this experiment on the same pictures, if there is one."""
    family = _family(root, name)
    folders = sorted(family.iterdir(), reverse=True) if family.is_dir() else []
    return next((folder for folder in folders if holds_run(folder) and not differences(folder, experiment)), None)


def _family(root: Path, name: str) -> Path:
    return root / (re.sub(r"[^\w.-]+", "-", name).strip("-.") or "run")


def holds_run(folder: Path) -> bool:
    """Whether a run or a sweep has begun there, and there is something to lose."""
    has_record = (folder / EXPERIMENT).exists() or (folder / MANIFEST).exists()
    return has_record and not _failed_before_it_began(folder)


def _failed_before_it_began(folder: Path) -> bool:
    """Whether a run there has failed without a single iteration, so that there is nothing to lose."""
    try:
        return read_manifest(folder).get("status") == FAILED and (folder / METRICS).stat().st_size == 0
    except OSError:
        return False


def read_manifest(folder: Path) -> dict[str, Any]:
    """Returns a run's manifest, empty if there is none that can be read."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def is_finished(folder: Path) -> bool:
    """Whether a run's folder has nothing left to do."""
    return read_manifest(folder).get("status") in FINISHED and (folder / RESULT).is_file()


def make_folder(folder: Path, experiment: Experiment) -> None:
    """Makes the folder of a run or of a sweep, or finds one in which this experiment is to go on.

    Raises:
      JaxstyleError: it holds a finished run or another experiment, or cannot be made.
    """
    try:
        if holds_run(folder):
            refuse_another(folder, experiment)
            if is_finished(folder):
                raise JaxstyleError(f"{folder}: already holds a run, and it is finished; name another folder")
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise JaxstyleError(f"{folder}: the run's folder cannot be made ({error.strerror})") from None


def refuse_another(folder: Path, experiment: Experiment) -> None:
    """Does nothing if a folder's run or sweep is of exactly this experiment.

    Raises:
      JaxstyleError: it is of another, and in what they differ.
    """
    if differing := differences(folder, experiment):
        more = [f"{len(differing) - _MOST_DIFFERENCES} more"] if len(differing) > _MOST_DIFFERENCES else []
        found = "; ".join([*differing[:_MOST_DIFFERENCES], *more])
        raise JaxstyleError(
            f"{folder}: already holds a run of another experiment ({found}); name another folder, or delete this one"
        )


def differences(folder: Path, experiment: Experiment) -> list[str]:
    """Says in what a folder's run or sweep is not the one that this experiment gives; nothing if it is the same.

    Compares the resolved experiments, and the pictures with those that the record's checksums are of.
    """
    try:
        recorded = load_experiment(folder / EXPERIMENT)
    except JaxstyleError as error:
        return [str(error)]
    there, here = _keys(recorded.to_json()), _keys(experiment.to_json())
    keys = [key for key in {**there, **here} if there.get(key) != here.get(key)]
    changed = [f"{key}: {_shown(there, key)} there, {_shown(here, key)} here" for key in keys]
    return [*changed, *(f"{path} has changed since" for path in _changed_pictures(folder))]


def _keys(experiment: Mapping[str, Any]) -> dict[str, Any]:
    """An experiment's values by dotted key."""
    sections = {name: table for name, table in experiment.items() if isinstance(table, Mapping)}
    alone = {name: value for name, value in experiment.items() if name not in sections}
    return alone | {f"{name}.{key}": value for name, table in sections.items() for key, value in table.items()}


def _shown(values: Mapping[str, Any], key: str) -> str:
    return json.dumps(values[key], ensure_ascii=False) if key in values else "absent"


def _changed_pictures(folder: Path) -> list[str]:
    """The pictures of a run, or of a sweep's members, whose files are no longer what was read."""
    manifests = [read_manifest(found.parent) for found in (folder / MANIFEST, *folder.glob(f"{MEMBERS}/*/{MANIFEST}"))]
    read = {(facts["path"], facts["sha256"]) for manifest in manifests for facts in manifest.get("images", {}).values()}
    checksum = functools.cache(lambda path: hashlib.sha256(Path(path).read_bytes()).hexdigest())
    return sorted({path for path, sha256 in read if Path(path).is_file() and checksum(path) != sha256})


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps other processes out of a folder; the kernel's lock, which ends with the process however that ends.

    Raises:
      JaxstyleError: another process is at work there, or nothing can be written.
    """
    path = folder.absolute() / LOCK
    lock = filelock.FileLock(path)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        if not path.exists():  # where nobody can write there is nobody to wait for either
            raise JaxstyleError(f"{path}: cannot be written") from None
        raise JaxstyleError(f"{folder}: {_occupant(path)}; wait for it, end it, or name another folder") from None
    except OSError as error:
        raise JaxstyleError(f"{path}: cannot be written: {error.strerror or error}") from None
    try:
        with contextlib.suppress(OSError):  # what it says is for people; the lock holds without
            path.write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": now()}))
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.release()


def ensure_free(folder: Path) -> None:
    """Does nothing if no process is at work in a folder.

    Raises:
      JaxstyleError: one is.
    """
    if (folder / LOCK).exists():
        with locked(folder):
            pass


def _occupant(path: Path) -> str:
    try:
        who = json.loads(path.read_text())
        return f"process {who['pid']} on {who['host']} is at work here since {who['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process is at work here"


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
