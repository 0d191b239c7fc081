"""Checkpoints on disk: a flat tree of arrays with plain facts beside it, whole or not there at all.

The only user of orbax, which is imported when the first checkpoint is written or read.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxstyle.errors import CheckpointError

if TYPE_CHECKING:
    from orbax.checkpoint import CheckpointManager


class Checkpoint(NamedTuple):
    """What a process leaves for the one that goes on.

    Attributes:
      arrays: by name.
      facts: what JSON can hold.
    """

    arrays: Mapping[str, np.ndarray]
    facts: Mapping[str, Any]


def save(folder: Path, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint beside the one in the folder, and then deletes that one.

    Raises:
      CheckpointError: it cannot be written.
    """
    import orbax.checkpoint as ocp

    facts = {"facts": checkpoint.facts, "digest": _digest(checkpoint)}
    try:
        with _manager(folder) as manager:
            manager.save(
                (manager.latest_step() or 0) + 1,
                args=ocp.args.Composite(
                    arrays=ocp.args.PyTreeSave(dict(checkpoint.arrays)), facts=ocp.args.JsonSave(facts)
                ),
            )
    except Exception as error:  # whatever the libraries below make of a full disk
        raise CheckpointError(f"{folder}: cannot be written: {_first_line(error)}") from error


def restore(folder: Path) -> Checkpoint | None:
    """Returns the folder's checkpoint, if there is one.

    Raises:
      CheckpointError: it is damaged.
    """
    if not folder.is_dir():
        return None
    import orbax.checkpoint as ocp

    try:
        with _manager(folder) as manager:
            step = manager.latest_step()
            if step is None:
                return None
            found = manager.restore(
                step, args=ocp.args.Composite(arrays=ocp.args.PyTreeRestore(), facts=ocp.args.JsonRestore())
            )
        checkpoint = Checkpoint({name: np.asarray(array) for name, array in found.arrays.items()}, found.facts["facts"])
        is_whole = found.facts["digest"] == _digest(checkpoint)  # orbax does not notice changed bytes of an array
    except Exception as error:  # a damaged file can raise anything
        raise CheckpointError(f"{folder}: damaged: {_first_line(error)}") from error
    if not is_whole:
        raise CheckpointError(f"{folder}: damaged: it is not what was written")
    return checkpoint


def delete(folder: Path) -> None:
    """Deletes the folder with its checkpoint; nothing is there is well too."""
    shutil.rmtree(folder, ignore_errors=True)


def _manager(folder: Path) -> "CheckpointManager":
    """Orbax's manager of the folder: it keeps the latest, and clears away what a killed process has half written."""
    import orbax.checkpoint as ocp

    options = ocp.CheckpointManagerOptions(
        max_to_keep=1, cleanup_tmp_directories=True, enable_async_checkpointing=False, create=True
    )
    return ocp.CheckpointManager(folder.absolute(), options=options)


def _digest(checkpoint: Checkpoint) -> str:
    digest = hashlib.sha256(json.dumps(checkpoint.facts, sort_keys=True).encode())
    for name, array in sorted(checkpoint.arrays.items()):
        digest.update(json.dumps([name, str(array.dtype), array.shape]).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0][:200]
