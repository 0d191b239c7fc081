"""The panel picture: every run's picture, lettered as in a paper, with its numbers."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxstyle.report.drawing import WIDTH, new_figure, plain, wrapped
from jaxstyle.report.pictures import Pixels, Shown, Source
from jaxstyle.report.records import Recorded
from jaxstyle.report.words import letters, number

PLEASANT = 1.6
"""The ratio of width to height that the layout aims at."""
NARROWEST = 1.7
"""Inches; with many columns the figure grows wider instead."""
GUTTER, MARGIN, LINE = 0.12, 0.08, 0.135
TALLEST = 1.4
"""A picture's height over its width beyond which it is made smaller."""
FLATTEST = 0.05
"""A picture that is flatter still is drawn higher, so that something is to be seen."""
_TITLE, _LABEL, _DETAIL = 10.0, 7.5, 6.5


@dataclasses.dataclass(frozen=True)
class Cell:
    """A place in the grid.

    Attributes:
      pixels: the picture, if there is one.
      letter: such as `(a)`; empty for a source picture.
      label: below the picture.
      detail: its numbers, below the label.
      message: what stands in the picture's place.
      insets: source pictures that are this run's own.
    """

    pixels: Pixels | None
    letter: str
    label: str
    detail: str = ""
    message: str = ""
    insets: tuple[Pixels, ...] = ()

    @property
    def height(self) -> float:
        """The picture's height over its width."""
        return max(self.pixels.shape[0] / self.pixels.shape[1], FLATTEST) if self.pixels is not None else 0.75


def panels(runs: Sequence[Recorded], shown: Sequence[Shown], sources: Sequence[Source], title: str) -> Figure:
    """Draws the runs' pictures; the sources that all runs share come first, the others are insets.

    Args:
      runs: the records.
      shown: each run's picture.
      sources: the content and style pictures.
      title: above all.
    """
    cells = [
        *(Cell(source.pixels, "", source.role) for source in sources if source.shared and source.pixels is not None),
        *(_cell(run, shown[index], index, sources) for index, run in enumerate(runs)),
    ]
    columns = _columns(cells)
    width = max(WIDTH, columns * NARROWEST)
    column = (width - 2 * MARGIN - (columns - 1) * GUTTER) / columns
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    notes = [f"{source.role_of_runs} not shown: {source.problem}" for source in sources if source.problem]
    footnote = wrapped("; ".join(notes), inches=width, points=_DETAIL, lines=2) if notes else []
    heading = wrapped(title, inches=width, points=_TITLE, lines=2)
    top = MARGIN + len(heading) * 0.19 + 0.06
    heights = [_row_height(row, column) for row in rows]
    height = top + sum(heights) + len(footnote) * LINE + MARGIN
    figure = new_figure(width, height)
    figure.text(0.5, 1 - MARGIN / height, plain("\n".join(heading)), fontsize=_TITLE, ha="center", va="top")
    for row, row_height in zip(rows, heights, strict=True):
        start = (width - len(row) * column - (len(row) - 1) * GUTTER) / 2 if len(rows) == 1 else MARGIN
        for place, cell in enumerate(row):
            _draw(figure, cell, left=start + place * (column + GUTTER), top=top, width=column)
        top += row_height
    if footnote:
        figure.text(MARGIN / width, MARGIN / height, plain("\n".join(footnote)), fontsize=_DETAIL, color="0.4")
    return figure


def numbers_of(run: Recorded) -> list[str]:
    """The numbers that stand by a picture."""
    known = {"grey_correlation": "grey correlation {:.3f}", "psnr": "PSNR\N{NO-BREAK SPACE}{:.1f}\N{NO-BREAK SPACE}dB"}
    found = {form: number(run.metrics.get(name)) for name, form in known.items()}
    said = [form.format(value) for form, value in found.items() if not math.isnan(value)]
    return [words.replace("-", "−").replace("inf", "∞") for words in said]


def _cell(run: Recorded, shown: Shown, index: int, sources: Sequence[Source]) -> Cell:
    own = [source.pixels for source in sources if index in source.runs and not source.shared]
    insets = tuple(pixels for pixels in own if pixels is not None)
    detail = ", ".join([*numbers_of(run), *([shown.note] if shown.pixels is not None and shown.note else [])])
    message = "" if shown.pixels is not None else f"{shown.note}\n{run.status}\n{run.error or ''}".strip()
    return Cell(shown.pixels, f"({letters(index)})", run.label, detail, message, insets)


def _columns(cells: Sequence[Cell]) -> int:
    """The number of columns that comes nearest to a pleasant ratio, with few places left empty."""
    height = float(np.median([min(cell.height, TALLEST) for cell in cells])) + 0.2

    def cost(columns: int) -> float:
        rows = math.ceil(len(cells) / columns)
        return abs(math.log(columns / (rows * height) / PLEASANT)) + 2 * (rows * columns - len(cells)) / len(cells)

    return min(range(1, len(cells) + 1), key=cost)


def _row_height(row: Sequence[Cell], column: float) -> float:
    return max(_picture_size(cell, column)[1] + _caption_height(cell, column) for cell in row) + 0.14


def _picture_size(cell: Cell, column: float) -> tuple[float, float]:
    width = column * min(1.0, TALLEST / cell.height)
    return width, width * cell.height


def _caption(cell: Cell, column: float) -> list[str]:
    return wrapped(f"{cell.letter} {cell.label}".strip(), inches=column, points=_LABEL, lines=3)


def _details(cell: Cell, column: float) -> list[str]:
    return wrapped(cell.detail, inches=column, points=_DETAIL, lines=2) if cell.detail else []


def _caption_height(cell: Cell, column: float) -> float:
    return 0.05 + (len(_caption(cell, column)) + len(_details(cell, column))) * LINE


def _draw(figure: Figure, cell: Cell, *, left: float, top: float, width: float) -> None:
    """Draws a cell at a place in inches from the figure's upper left corner."""
    across, down = figure.get_size_inches()
    wide, high = _picture_size(cell, width)
    corner = left + (width - wide) / 2
    axes = figure.add_axes((corner / across, 1 - (top + high) / down, wide / across, high / down))
    _fill(axes, cell, wide)
    label = {"fontsize": _LABEL, "style": "normal" if cell.letter else "italic"}
    detail = {"fontsize": _DETAIL, "color": "0.35"}
    lines = [(text, label) for text in _caption(cell, width)] + [(text, detail) for text in _details(cell, width)]
    for line, (text, look) in enumerate(lines):
        place = 1 - (top + high + 0.05 + line * LINE) / down
        figure.text((left + width / 2) / across, place, plain(text), ha="center", va="top", **look)


def _fill(axes: Axes, cell: Cell, inches: float) -> None:
    """Puts the picture, or what is to be said in its place, into its axes."""
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
