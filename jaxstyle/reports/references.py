"""Images to compare runs with: the paper's printed panels, or any others; beside each run, with numbers."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxstyle.config import Display
from jaxstyle.errors import JaxstyleError
from jaxstyle.images import gallery, printed, read_image, read_metadata, resize_to
from jaxstyle.metrics import measure_all
from jaxstyle.reports.images import Pixels
from jaxstyle.reports.records import Recorded, mapping
from jaxstyle.runs.display import PAPER_INTERVAL, Look, recorded_look, shown

NONE = "none"
"""In place of a reference: the run has none."""


@dataclasses.dataclass(frozen=True)
class Reference:
    """An image that a run is compared with.

    Attributes:
      name: as it was asked for.
      look: how its file shows it.
      pixels: the image itself, a printed look undone; may lie beyond [0, 1].
      numbers: how it compares with the run's result and with the content.
    """

    name: str
    look: Look
    pixels: Pixels
    numbers: Mapping[str, Any]

    def shown(self, display: Display | None) -> Pixels:
        """Returns its pixels in a look, by default as they are in the file."""
        own = self.look._replace(display=Display.IMAGE)
        return shown(self.pixels, own, display or self.look.display).clip(0, 1)


def find_references(
    runs: Sequence[Recorded], asked: Sequence[str], display: Display | None = None
) -> dict[int, Reference]:
    """Reads the references and compares each with its run.

    Args:
      runs: the records.
      asked: files, or names such as `paper:fig4-1e-3`, or `paper:fig4` for all panels of a figure; one for all runs, or
        one for each in their order, `none` for a run without.
      display: the look of files that do not say theirs; by default that of the paper's panels.

    Returns:
      The references by the runs' places.

    Raises:
      JaxstyleError: there are neither one nor as many as runs, or one cannot be read.
    """
    names = [name for text in asked for name in _named(text)]
    if len(names) == 1:
        names *= len(runs)
    if len(names) != len(runs):
        raise JaxstyleError(
            f"--reference: found {len(names)} for {len(runs)} runs; give one for all, or one for each in their order, "
            f"'{NONE}' for a run without"
        )
    read = {name: _read(name, display or Display.PAPER) for name in dict.fromkeys(names) if name != NONE}
    return {
        index: Reference(name, *read[name], _compare(run, read[name][1]))
        for index, (run, name) in enumerate(zip(runs, names, strict=True))
        if name != NONE
    }


def _named(text: str) -> list[str]:
    """A whole figure's panels, or the one thing that is named."""
    bare = text.removeprefix(printed.PREFIX)
    if bare == text or bare in {entry.name for entry in gallery.entries()}:
        return [text]
    return [printed.PREFIX + name for name in printed.named(text)]


def _read(name: str, display: Display) -> tuple[Look, Pixels]:
    is_panel = name.startswith(printed.PREFIX) and printed.figure_of(name.removeprefix(printed.PREFIX)) != ""
    path = printed.find(name) if is_panel else gallery.resolve(name, relative_to=Path.cwd())
    pixels = read_image(path).pixels
    look = recorded_look(read_metadata(path)) or Look(Display.PAPER if is_panel else display, PAPER_INTERVAL)
    return look, shown(pixels, look, Display.IMAGE).astype(np.float32)


def _compare(run: Recorded, reference: Pixels) -> dict[str, Any]:
    """Every metric of two images and mean colours, each pair at the smaller one's size."""
    reference = reference.clip(0, 1)  # as a result is when it is written
    found: dict[str, Any] = {"mean_color": _mean_color(reference)}
    content, result = _content(run), _result(run)
    if content is not None:
        found |= measure_all(reference, resize_to(content, *reference.shape[:2]))
    if result is not None:
        ours, panel = _at_smaller_size(result, reference)
        found |= {f"{name}_with_result": value for name, value in measure_all(ours, panel).items()}
        found["mean_color_of_result"] = _mean_color(result)
    return found


def _at_smaller_size(result: Pixels, reference: Pixels) -> tuple[np.ndarray, np.ndarray]:
    if result.shape[0] * result.shape[1] <= reference.shape[0] * reference.shape[1]:
        return result, resize_to(reference, *result.shape[:2])
    return resize_to(result, *reference.shape[:2]), reference


def _mean_color(pixels: Pixels) -> list[float]:
    return [round(float(level), 4) for level in pixels.mean(axis=(0, 1))]


def _content(run: Recorded) -> Pixels | None:
    """The content as the run read it, if its file has not changed."""
    facts = mapping(mapping(run.manifest.get("images")).get("content"))
    path = Path(str(facts.get("path", "")))
    try:
        if hashlib.sha256(path.read_bytes()).hexdigest() != facts.get("sha256"):
            return None
        return read_image(path).pixels
    except (JaxstyleError, OSError, ValueError):
        return None


def _result(run: Recorded) -> Pixels | None:
    if run.image is None:
        return None
    try:
        look = recorded_look(read_metadata(run.image))
        pixels = read_image(run.image).pixels
    except JaxstyleError:
        return None
    return shown(pixels, look, Display.IMAGE).clip(0, 1) if look else pixels
