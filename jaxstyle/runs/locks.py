"""One process at a time in a run's folder, which is made and locked before the work begins."""

import contextlib
import datetime
import json
import os
import socket
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import filelock

from jaxstyle.errors import JaxstyleError

LOCK = ".lock"

_held: set[tuple[int, Path]] = set()
"""The folders that are claimed in this process, with the thread that has claimed each."""


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[Path]:
    """Makes a folder if it is not there, and keeps everybody else out of it; within the same claim it does nothing.

    A folder that it has made and that is empty in the end is removed again.

    Raises:
      JaxstyleError: it cannot be made, or another process is at work there.
    """
    holder = (threading.get_ident(), folder.absolute())
    if holder in _held:
        yield folder
        return
    with _removed_if_empty(made(folder)), locked(folder):
        _held.add(holder)
        try:
            yield folder
        finally:
            _held.discard(holder)


@contextlib.contextmanager
def claimed_anew(candidates: Iterable[Path]) -> Iterator[Path]:
    """As `claimed`, for the first of the candidates that this process makes: nobody else can have made it."""
    for folder in candidates:
        before = made(folder.parent)
        try:
            folder.mkdir()
        except (FileExistsError, FileNotFoundError):  # somebody else has just made it, or removed those around it
            continue
        except OSError as error:
            raise JaxstyleError(f"{folder}: the run's folder cannot be made ({error.strerror})") from None
        with _removed_if_empty([folder, *before]), claimed(folder):
            yield folder
        return
    raise JaxstyleError("no name is left for the run's folder; name one with --out")


def made(folder: Path) -> list[Path]:
    """Makes a folder and those around it that are missing, which are returned, the innermost first.

    Raises:
      JaxstyleError: it cannot be made.
    """
    try:
        missing = [place for place in (folder, *folder.parents) if not place.exists()]
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise JaxstyleError(f"{folder}: the run's folder cannot be made ({error.strerror})") from None
    return missing


@contextlib.contextmanager
def _removed_if_empty(folders: Iterable[Path]) -> Iterator[None]:
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # it is not empty, or somebody else has removed it
            for folder in folders:
                folder.rmdir()


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


def is_at_work(folder: Path) -> bool | None:
    """Whether the process that last claimed a folder still runs; None where that cannot be known from this machine.

    Nothing is locked for it, so that nobody who would begin there is kept out.
    """
    try:
        who = _holder(folder / LOCK)
        host, pid = who["host"], int(who["pid"])
    except FileNotFoundError:
        return False
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if host != socket.gethostname() or os.name == "nt":  # where asking with signal 0 would end the process
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's
        return True
    return True


def _holder(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def _occupant(path: Path) -> str:
    try:
        who = _holder(path)
        return f"process {who['pid']} on {who['host']} is at work here since {who['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process is at work here"


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
