"""A place in a figure of images: the image, its letter, what it is called, its numbers."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxstyle import metrics as kinds
from jaxstyle.config import Display
from jaxstyle.reports.drawing import plain, wrapped
from jaxstyle.reports.images import Pixels, Shown, Source
from jaxstyle.reports.records import Recorded
from jaxstyle.reports.references import Reference
from jaxstyle.reports.words import letters, number

GUTTER, MARGIN, LINE = 0.12, 0.08, 0.135
"""Inches between images, around the figure, and from one line of a caption to the next."""
BETWEEN_ROWS = 0.14
TALLEST = 1.4
"""An image's height over its width beyond which it is made smaller."""
FLATTEST = 0.05
"""An image that is flatter still is drawn higher, so that something is to be seen."""
TITLE, LABEL, DETAIL = 10.0, 7.5, 6.5
"""Sizes of type in points."""


@dataclasses.dataclass(frozen=True)
class Cell:
    """A place in a figure.

    Attributes:
      pixels: the image, if there is one.
      letter: such as `(a)`; empty for a source image.
      label: below the image.
      detail: its numbers, below the label.
      message: shown in the image's place.
      insets: source images that are this run's own.
    """

    pixels: Pixels | None
    letter: str
    label: str
    detail: str = ""
    message: str = ""
    insets: tuple[Pixels, ...] = ()

    @property
    def height(self) -> float:
        """The image's height over its width."""
        return max(self.pixels.shape[0] / self.pixels.shape[1], FLATTEST) if self.pixels is not None else 0.75


def source_cells(sources: Sequence[Source]) -> list[Cell]:
    """Returns the content and style images that all runs share."""
    return [Cell(source.pixels, "", source.role) for source in sources if source.shared and source.pixels is not None]


def run_cell(run: Recorded, shown: Shown, index: int, sources: Sequence[Source], label: str | None = None) -> Cell:
    """Returns a run's cell.

    Args:
      run: the record.
      shown: its image.
      index: its place among the runs, which gives its letter.
      sources: of which those that are not shared become insets.
      label: below the image, in the place of the run's own.
    """
    own = [source.pixels for source in sources if index in source.runs and not source.shared]
    insets = tuple(pixels for pixels in own if pixels is not None)
    detail = ", ".join([*numbers_of(run), *([shown.note] if shown.pixels is not None and shown.note else [])])
    message = "" if shown.pixels is not None else f"{shown.note}\n{run.status}\n{run.error or ''}".strip()
    return Cell(shown.pixels, f"({letters(index)})", run.label if label is None else label, detail, message, insets)


def reference_cell(index: int, reference: Reference, display: Display | None) -> Cell:
    """Returns the cell of what a run is compared with; its numbers are against the content."""
    detail = ", ".join(_words(reference.numbers))
    return Cell(reference.shown(display), "", f"({letters(index)}) reference: {reference.name}", detail)


def numbers_of(run: Recorded) -> list[str]:
    """The numbers that stand by an image."""
    return _words(run.metrics)


def _words(metrics: Mapping[str, Any]) -> list[str]:
    forms = {name: kinds.load(name).form for name in kinds.names()}
    found = {form: number(metrics.get(name)) for name, form in forms.items() if form}
    said = [form.format(value) for form, value in found.items() if not math.isnan(value)]
    return [words.replace("-", "−").replace("inf", "∞") for words in said]


def row_height(row: Sequence[Cell], column: float) -> float:
    """Returns the height of cells beside each other in columns of a width, in inches, with the space below."""
    return max(image_size(cell, column)[1] + _caption_height(cell, column) for cell in row) + BETWEEN_ROWS


def image_size(cell: Cell, column: float) -> tuple[float, float]:
    """Returns the width and the height in inches of a cell's image in a column of a width."""
    width = column * min(1.0, TALLEST / cell.height)
    return width, width * cell.height


def _caption(cell: Cell, column: float) -> list[str]:
    return wrapped(f"{cell.letter} {cell.label}".strip(), inches=column, points=LABEL, lines=3)


def _details(cell: Cell, column: float) -> list[str]:
    return wrapped(cell.detail, inches=column, points=DETAIL, lines=2) if cell.detail else []


def _caption_height(cell: Cell, column: float) -> float:
    return 0.05 + (len(_caption(cell, column)) + len(_details(cell, column))) * LINE


def draw(figure: Figure, cell: Cell, *, left: float, top: float, width: float) -> None:
    """Draws a cell at a place in inches from the figure's upper left corner."""
    across, down = figure.get_size_inches()
    wide, high = image_size(cell, width)
    corner = left + (width - wide) / 2
    axes = figure.add_axes((corner / across, 1 - (top + high) / down, wide / across, high / down))
    _fill(axes, cell, wide)
    label = {"fontsize": LABEL, "style": "normal" if cell.letter else "italic"}
    detail = {"fontsize": DETAIL, "color": "0.35"}
    lines = [(text, label) for text in _caption(cell, width)] + [(text, detail) for text in _details(cell, width)]
    for line, (text, look) in enumerate(lines):
        place = 1 - (top + high + 0.05 + line * LINE) / down
        figure.text((left + width / 2) / across, place, plain(text), ha="center", va="top", **look)


def _fill(axes: Axes, cell: Cell, inches: float) -> None:
    """Puts the image, or what is to be said in its place, into its axes."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(cell.pixels is None)
    if cell.pixels is None:
        axes.spines[:].set(color="0.75", linestyle=(0, (3, 3)), linewidth=0.6)
        said = [line for part in cell.message.split("\n") for line in wrapped(part, inches=inches, points=7, lines=4)]
        axes.text(0.5, 0.5, plain("\n".join(said)), ha="center", va="center", fontsize=6.5, color="0.4")
        return
    axes.imshow(cell.pixels, aspect="auto", interpolation="lanczos")
    left = 0.0
    for pixels in cell.insets:
        height = min(0.27 * pixels.shape[0] / pixels.shape[1] / cell.height, 0.5)
        inset = axes.inset_axes((left, 0.0, 0.27, height))
        inset.imshow(pixels, aspect="auto", interpolation="lanczos")
        inset.set(xticks=[], yticks=[])
        inset.spines[:].set(color="white", linewidth=1.2)
        left += 0.28
