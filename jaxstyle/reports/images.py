"""The images of a report: each run's, and the content and style images, as far as they can still be read."""

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32

from jaxstyle.config import Display
from jaxstyle.errors import JaxstyleError
from jaxstyle.images import encode_png, read_image, read_metadata, resize_long_side
from jaxstyle.reports.masks import base_role, overlay
from jaxstyle.reports.records import Recorded, mapping
from jaxstyle.reports.words import lettered
from jaxstyle.runs.display import PAPER_INTERVAL, Look, recorded_look, shown
from jaxstyle.runs.folders import RESULT

Pixels = Float32[np.ndarray, "height width 3"]
PRINTED = 1200
"""Pixels of the long side that a printed panel shows at most."""
THUMBNAIL = 360
MANY, OF_MANY, SOURCE_OF_MANY = 60, 256, 128
"""With more runs than so many, the long sides of their images have at most so many pixels, also on the page, and those
of the sources: a page with hundreds of whole images would open nowhere."""


@dataclasses.dataclass(frozen=True)
class Shown:
    """A run's image.

    Attributes:
      pixels: for print, reduced if need be; None where there is no image.
      data: the file itself.
      note: what is to be said of it: that there is none, or that it is not the final one.
    """

    pixels: Pixels | None = None
    data: bytes = b""
    note: str = ""


class _File(NamedTuple):
    """A file as a record names it."""

    path: str
    sha256: str


@dataclasses.dataclass(frozen=True)
class Source:
    """A content or style image.

    Attributes:
      role: `content`, `style`, `style 2`, ….
      path: where it was when it was used.
      sha256: of the file that was used.
      runs: the places of the runs that used it.
      shared: whether all runs used it that used any image in this role.
      pixels: a thumbnail; None where the file is gone or another.
      problem: why there is no thumbnail.
    """

    role: str
    path: str
    sha256: str
    runs: tuple[int, ...]
    shared: bool
    pixels: Pixels | None
    problem: str = ""

    @property
    def role_of_runs(self) -> str:
        """Its role, and of which runs where that is not all."""
        return self.role if self.shared else f"{self.role} of {lettered(self.runs)}"


def show(run: Recorded, display: Display | None = None, *, size: int | None = None) -> Shown:
    """Reads a run's image.

    Args:
      run: the record.
      size: the most pixels of its long side, also of what stands for the file; by default the file itself.
      display: the look to show it in, by default that of the file; of a file that does not say how it was printed, as
        if it had the range of the paper's panels.
    """
    path = run.image
    if path is None:
        return Shown(note="no image")
    try:
        pixels, data = _reduced(path, size or PRINTED), path.read_bytes()
        look = recorded_look(read_metadata(path)) or Look(Display.IMAGE, PAPER_INTERVAL)
        if display not in (None, look.display):
            pixels = shown(pixels, look, display).clip(0, 1)
            data = encode_png(pixels if size else shown(read_image(path).pixels, look, display))
        elif size:
            data = encode_png(pixels)
    except (JaxstyleError, OSError):
        return Shown(note="the image is damaged")
    on_the_way = path.name != RESULT
    return Shown(pixels, data, f"at iteration {int(path.stem)}" if on_the_way and path.stem.isdecimal() else "")


def find_sources(runs: Sequence[Recorded]) -> list[Source]:
    """The distinct source images of some runs: contents first, then styles, each in the order of their first use.

    An image is shown only if the file at the recorded path still is the one that was used; a mask over its image.
    """
    uses: dict[tuple[str, _File, _File | None], list[int]] = {}
    with_images = 0
    for index, run in enumerate(runs):
        images = mapping(run.manifest.get("images"))
        with_images += bool(images)
        for role, facts in images.items():
            base = base_role(str(role), run.experiment)
            below = _file(images[base]) if base is not None and base in images else None
            uses.setdefault((str(role), _file(facts), below), []).append(index)
    size = THUMBNAIL if len(runs) <= MANY else SOURCE_OF_MANY
    found: list[Source] = []
    for (role, file, below), places in uses.items():
        pixels, problem = _look(file, size)
        if pixels is not None and below is not None:
            image, problem = _look(below, size)
            pixels = None if image is None else overlay(image, pixels)
        found.append(Source(role, file.path, file.sha256, tuple(places), len(places) == with_images, pixels, problem))
    roles = list(dict.fromkeys(source.role for source in found))
    return sorted(found, key=lambda source: roles.index(source.role))


def missing_sources(sources: Sequence[Source]) -> str:
    """Says which source images cannot be shown, and why."""
    return "; ".join(f"{source.role_of_runs} not shown: {source.problem}" for source in sources if source.problem)


def _file(facts: Any) -> _File:
    known = mapping(facts)
    return _File(str(known.get("path", "")), str(known.get("sha256", "")))


def _look(file: _File, size: int) -> tuple[Pixels | None, str]:
    path = Path(file.path)
    try:
        if not path.is_file():
            return None, "the file is no longer there"
        if hashlib.sha256(path.read_bytes()).hexdigest() != file.sha256:
            return None, "the file has changed since"
        return _reduced(path, size), ""
    except (JaxstyleError, OSError, ValueError):  # ValueError: a path with a null character
        return None, "the file cannot be read"


def _reduced(path: Path, size: int) -> Pixels:
    pixels = read_image(path).pixels
    return resize_long_side(pixels, size) if max(pixels.shape[:2]) > size else pixels
