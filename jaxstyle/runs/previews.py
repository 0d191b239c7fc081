"""Images on the way, for runs that are watched: whether a run is, and which images are kept."""

import contextlib
import math
import time
from pathlib import Path

from jaxstyle.runs.folders import MEMBERS

MARK = ".watched"
"""A file in the folder of a run or its sweep, which a server that follows it touches every few seconds."""
RECENT = 60.0
"""For so many seconds after the last touch a run counts as watched."""
LONGEST = 1024
"""The long side in pixels, at most."""
MOST = 40
"""How many images are kept."""
SUFFIX = ".jpg"
"""Images of `output.save_every` have another."""


def mark(folder: Path) -> None:
    """Marks a folder as watched, if it can be written."""
    with contextlib.suppress(OSError):
        (folder / MARK).touch()


def unmark(folder: Path) -> None:
    """Removes the mark."""
    with contextlib.suppress(OSError):
        (folder / MARK).unlink(missing_ok=True)


def is_watched(folder: Path) -> bool:
    """Whether a run is watched, or the sweep it belongs to."""
    places = [folder, folder.parents[1]] if folder.parent.name == MEMBERS else [folder]
    return any(map(_is_recent, places))


def _is_recent(folder: Path) -> bool:
    try:
        return abs(time.time() - (folder / MARK).stat().st_mtime) < RECENT
    except OSError:
        return False


def thin(folder: Path) -> None:
    """Deletes images from a folder until `MOST` are left."""
    there = sorted(int(path.stem) for path in folder.glob(f"*{SUFFIX}") if path.stem.isdecimal())
    for iteration in superfluous(there):
        (folder / f"{iteration:06d}{SUFFIX}").unlink(missing_ok=True)


def superfluous(iterations: list[int]) -> list[int]:
    """Returns the iterations whose images to delete, so that `MOST` are left.

    Those left are closer together early on, where the image changes fastest: they are spaced roughly evenly in the
    square root of the iteration. The first and the newest stay.

    Args:
      iterations: of the images that are there, in order.

    Examples:
      >>> superfluous(list(range(MOST + 1)))
      [39]
    """
    kept = list(iterations)
    while len(kept) > MOST:
        kept.pop(min(range(1, len(kept) - 1), key=lambda at: math.sqrt(kept[at + 1]) - math.sqrt(kept[at - 1])))
    return [iteration for iteration in iterations if iteration not in kept]
