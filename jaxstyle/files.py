"""Reading and writing whole files: mistakes as answers, and never a half-written file."""

import contextlib
import errno
import os
import secrets
from pathlib import Path

from jaxstyle.errors import JaxstyleError


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


def write_atomically(path: Path, data: bytes) -> None:
    """Writes a file in one step: under another name in the same folder, then renamed over `path`.

    Folders that are missing are made. Two processes that write the same file do no harm: the last one stays.

    Raises:
      JaxstyleError: the folder cannot be made or written to.
    """
    part = _part(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_bytes(data)
            os.replace(part, path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise JaxstyleError(f"{path}: cannot be written: {error.strerror or error}.") from error


def ensure_writable(path: Path) -> None:
    """Does nothing if `write_beside` can write a file there; it is tried, and no trace is left.

    Raises:
      JaxstyleError: it cannot.
    """
    missing: list[Path] = []
    try:
        missing += [folder for folder in path.parents if not _exists(folder)]
        if _exists(path) and path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        path.parent.mkdir(parents=True, exist_ok=True)
        part = _part(path)
        part.touch(exist_ok=False)
        part.unlink()
    except OSError as error:
        raise JaxstyleError(f"{path}: cannot be written: {error.strerror or error}.") from error
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


def _part(path: Path) -> Path:
    """Where a file is written first; a name of its own, for the file's may be as long as a name can be."""
    return path.with_name(f".{os.getpid()}-{secrets.token_hex(8)}.part")
