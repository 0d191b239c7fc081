"""Reading and writing whole files: mistakes as answers, and never a half-written file."""

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from jaxstyle.errors import DiskFullError, JaxstyleError

_PART = ".part"
"""The suffix of folders in which files are written first."""


def read_bytes(path: Path) -> bytes:
    """Returns a file's bytes.

    Raises:
      JaxstyleError: the file is not there, is a folder, is empty or may not be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise JaxstyleError(f"{path}: cannot be read: {error.strerror or error}.") from error
    if not data:
        raise JaxstyleError(f"{path}: the file is empty.")
    return data


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields where to write a file; when the block ends, it takes the place of `path` in one step.

    Folders that are missing are made. Where the block raises, `path` is as it was. Two processes that write the same
    file do no harm: the last one stays.

    Raises:
      DiskFullError: there is no room.
      JaxstyleError: the folder cannot be made or written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix=".", suffix=_PART, dir=path.parent, ignore_cleanup_errors=True
        ) as folder:
            part = Path(folder) / "part"  # a name of its own, for the file's may be as long as a name can be
            yield part
            os.replace(part, path)
    except OSError as error:
        raise cannot_be_written(path, error) from error


def cannot_be_written(path: Path, error: OSError) -> JaxstyleError:
    """Returns the answer to a file that the system does not let be written; a full disk has its own type."""
    kind = DiskFullError if error.errno in (errno.ENOSPC, errno.EDQUOT) else JaxstyleError
    return kind(f"{path}: cannot be written: {error.strerror or error}.")


def write_atomically(path: Path, data: bytes) -> None:
    """Writes a file in one step.

    Raises:
      DiskFullError: there is no room.
      JaxstyleError: the folder cannot be made or written to.
    """
    with replacing(path) as part:
        part.write_bytes(data)


def clear_parts(folder: Path) -> None:
    """Deletes what processes that were killed have half written into a folder in which nobody writes now."""
    for part in folder.glob(f".*{_PART}"):
        shutil.rmtree(part, ignore_errors=True)


def ensure_writable(path: Path) -> None:
    """Does nothing if `write_atomically` can write a file there; it is tried, and no trace is left.

    Raises:
      JaxstyleError: it cannot.
    """
    missing: list[Path] = []
    try:
        missing += [folder for folder in path.parents if not _exists(folder)]
        if _exists(path) and path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        path.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryDirectory(prefix=".", suffix=_PART, dir=path.parent).cleanup()
    except OSError as error:
        raise cannot_be_written(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            for folder in missing:
                folder.rmdir()


def _exists(path: Path) -> bool:
    """As `Path.exists`, but what stands in the way is raised.

    Raises:
      OSError: such as a name that is too long.
    """
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True
