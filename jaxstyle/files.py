"""Reading and writing whole files: mistakes as answers, and never a half-written file."""

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


def write_beside(path: Path, data: bytes) -> None:
    """Writes a file in one step: under another name in the same folder, then renamed over `path`.

    Folders that are missing are made. Two processes that write the same file do no harm: the last one stays.

    Raises:
      JaxstyleError: the folder cannot be made or written to.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
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
