"""Images on the way for whoever watches: whether somebody does, and which of them are kept."""

import contextlib
import math
import time
from pathlib import Path

from jaxstyle.runs.folders import MEMBERS

MARK = ".watched"
"""A file that whoever watches touches now and then, in the folder of the run or of its sweep."""
RECENT = 60.0
"""Seconds for which a touch counts."""
LONGEST = 1024
"""Pixels of the long side at most."""
MOST = 40
"""So many are kept."""
SUFFIX = ".jpg"
"""What tells them from the images of `output.save_every`."""


def mark(folder: Path) -> None:
    """Says that somebody watches; does nothing where that cannot be written."""
    with contextlib.suppress(OSError):
        (folder / MARK).touch()


def unmark(folder: Path) -> None:
    """Takes that back."""
    with contextlib.suppress(OSError):
        (folder / MARK).unlink(missing_ok=True)


def is_watched(folder: Path) -> bool:
    """Whether somebody watches a run, or the sweep that it belongs to."""
    places = [folder, folder.parents[1]] if folder.parent.name == MEMBERS else [folder]
    return any(map(_is_recent, places))


def _is_recent(folder: Path) -> bool:
    try:
        return abs(time.time() - (folder / MARK).stat().st_mtime) < RECENT
    except OSError:
        return False


def thin(folder: Path) -> None:
    """Deletes those that are too many in a folder."""
    there = sorted(int(path.stem) for path in folder.glob(f"*{SUFFIX}") if path.stem.isdecimal())
    for iteration in superfluous(there):
        (folder / f"{iteration:06d}{SUFFIX}").unlink(missing_ok=True)


def superfluous(iterations: list[int]) -> list[int]:
    """Returns those whose images go, so that `MOST` are left, close together where the image changes fast.

    That is early: between neighbours the square root of the iteration grows alike. The first and the newest stay.

    Args:
      iterations: of the images that are there, rising.

    Example:
      >>> superfluous(list(range(MOST + 1)))
      [39]
    """
    kept = list(iterations)
    while len(kept) > MOST:
        kept.pop(min(range(1, len(kept) - 1), key=lambda at: math.sqrt(kept[at + 1]) - math.sqrt(kept[at - 1])))
    return [iteration for iteration in iterations if iteration not in kept]
