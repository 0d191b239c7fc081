"""A checkpoint on disk: arrays by name and plain facts in one safetensors file, whole or not there at all."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.numpy

from jaxstyle.errors import CheckpointError, JaxstyleError
from jaxstyle.files import replacing
from jaxstyle.network.weights.safetensors_files import read_safetensors

_FACTS, _DIGEST = "facts", "sha256"
"""Two arrays of bytes beside the checkpoint's own: its facts as JSON, because the format's header has a limit, and the
checksum of all others."""


class Checkpoint(NamedTuple):
    """What a process leaves for the one that goes on.

    Attributes:
      arrays: by name.
      facts: what JSON can hold.
    """

    arrays: Mapping[str, np.ndarray]
    facts: Mapping[str, Any]


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint in place of the one that is there.

    Raises:
      CheckpointError: it cannot be written; the one that is there is left as it is.
    """
    arrays = {name: np.asarray(array, order="C") for name, array in checkpoint.arrays.items()}
    arrays[_FACTS] = np.frombuffer(json.dumps(checkpoint.facts).encode(), np.uint8)
    digest = np.frombuffer(_digest(arrays), np.uint8)
    try:
        with replacing(path) as part:
            part.touch()
            mode = part.stat().st_mode
            safetensors.numpy.save_file({**arrays, _DIGEST: digest}, part)
            part.chmod(mode)  # the library lets nobody else read it
    except JaxstyleError as error:
        raise CheckpointError(str(error)) from error
    except safetensors.SafetensorError as error:
        reason = re.sub(r".*I/O error: (.*?) \(os error \d+\).*", r"\1", str(error))
        raise CheckpointError(f"{path}: cannot be written: {reason}") from error


def restore(path: Path) -> Checkpoint | None:
    """Returns the checkpoint, if there is one.

    Raises:
      CheckpointError: it cannot be read, or is damaged.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from error
    try:
        return _parsed(data)
    except (ValueError, KeyError) as error:
        raise CheckpointError(f"{path}: damaged: it is not what was written") from error


def delete(path: Path) -> None:
    """Deletes the checkpoint; that there is none is well too."""
    path.unlink(missing_ok=True)


def _parsed(data: bytes) -> Checkpoint:
    """Returns the checkpoint that a file holds.

    Raises:
      ValueError, KeyError: its bytes are not those that were written.
    """
    arrays = read_safetensors(data)
    if arrays.pop(_DIGEST).tobytes() != _digest(arrays):
        raise ValueError("another checksum")
    facts = json.loads(arrays.pop(_FACTS).tobytes())
    return Checkpoint(arrays, facts)


def _digest(arrays: Mapping[str, np.ndarray]) -> bytes:
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(json.dumps([name, str(array.dtype), array.shape]).encode())
        digest.update(array.reshape(-1).view(np.uint8))
    return digest.digest()
