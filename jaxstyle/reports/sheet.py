"""The contact sheet: a sweep's images in rows and columns that are named by the swept keys."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from jaxstyle.reports.cells import (
    DETAIL,
    GUTTER,
    LABEL,
    LINE,
    MARGIN,
    TITLE,
    Cell,
    draw,
    image_size,
    row_height,
    run_cell,
    source_cells,
)
from jaxstyle.reports.drawing import WIDTH, new_figure, plain, wrapped
from jaxstyle.reports.images import MANY, Shown, Source, missing_sources
from jaxstyle.reports.layout import Sheet
from jaxstyle.reports.records import Recorded

NARROWEST = 1.25
"""Inches; with many columns the figure grows wider instead."""
SOURCE = 1.0
"""Inches: a source image's column."""
SIDE = 0.42
"""Inches at the left for what the rows are called."""
_HEADING, _AXIS = 9.0, 8.0


def contact_sheet(
    sheets: Sequence[Sheet], runs: Sequence[Recorded], shown: Sequence[Shown], sources: Sequence[Source], title: str
) -> Figure:
    """Draws sheets below each other; above them the sources that all runs share, the others as insets.

    Args:
      sheets: at least one.
      runs: the records.
      shown: each run's image.
      sources: the content and style images.
      title: above all.
    """
    columns = max(len(row.runs) for sheet in sheets for row in sheet.rows)
    width = max(WIDTH, SIDE + 2 * MARGIN + columns * (NARROWEST + GUTTER))
    column = (width - SIDE - 2 * MARGIN - (columns - 1) * GUTTER) / columns
    grids = [_cells(sheet, runs, shown, sources) for sheet in sheets]
    shared, notes = source_cells(sources), missing_sources(sources)
    footnote = wrapped(notes, inches=width, points=DETAIL, lines=2) if notes else []
    heading = wrapped(title, inches=width, points=TITLE, lines=2)
    top = MARGIN + len(heading) * 0.19 + 0.06
    above = row_height(shared, SOURCE) if shared else 0.0
    bodies = [sum(row_height(row, column) for row in grid) for grid in grids]
    height = top + above + sum(map(_head_height, sheets)) + sum(bodies) + len(footnote) * LINE + MARGIN
    figure = new_figure(width, height)
    _write(figure, heading, left=width / 2, top=MARGIN, points=TITLE)
    for place, cell in enumerate(shared):
        draw(figure, cell, left=MARGIN + SIDE + place * (SOURCE + GUTTER), top=top, width=SOURCE)
    top += above
    for sheet, grid in zip(sheets, grids, strict=True):
        top = _draw_sheet(figure, sheet, grid, top=top, column=column)
    if footnote:
        look = {"fontsize": DETAIL, "color": "0.4"}
        figure.text(MARGIN / width, MARGIN / height, plain("\n".join(footnote)), **look)
    return figure


def _cells(
    sheet: Sheet, runs: Sequence[Recorded], shown: Sequence[Shown], sources: Sequence[Source]
) -> list[list[Cell]]:
    rows = [zip(row.runs, row.captions or [""] * len(row.runs), strict=True) for row in sheet.rows]
    insets = sources if len(runs) <= MANY else []  # of many, each would take as long to draw as a run's own image
    return [[run_cell(runs[run], shown[run], run, insets, caption) for run, caption in row] for row in rows]


def _head_height(sheet: Sheet) -> float:
    return (0.24 if sheet.heading else 0.0) + (0.36 if sheet.columns else 0.04)


def _draw_sheet(figure: Figure, sheet: Sheet, grid: Sequence[Sequence[Cell]], *, top: float, column: float) -> float:
    """Draws a sheet from a place in inches below the figure's upper edge; returns the place below it."""
    start = MARGIN + SIDE
    lefts = [start + place * (column + GUTTER) for place in range(max(map(len, grid)))]
    if sheet.heading:
        _write(figure, [sheet.heading], left=start, top=top, points=_HEADING, ha="left", weight="bold")
    top += _head_height(sheet)
    if sheet.columns:
        middle = (lefts[0] + lefts[-1] + column) / 2
        _write(figure, [sheet.across], left=middle, top=top - 0.35, points=_AXIS, style="italic")
        for left, label in zip(lefts, sheet.columns, strict=True):
            line = wrapped(label, inches=column, points=LABEL, lines=1)
            _write(figure, line, left=left + column / 2, top=top - 0.17, points=LABEL)
    begin = top
    for row, cells in zip(sheet.rows, grid, strict=True):
        high = max(image_size(cell, column)[1] for cell in cells)
        look = {"style": "italic", "points": _AXIS} if not sheet.down else {"points": LABEL}
        label = wrapped(row.label, inches=high + 0.2, points=LABEL, lines=2)
        _write(figure, label, left=start - 0.06, top=top + high / 2, ha="right", va="center", rotation=90, **look)
        for left, cell in zip(lefts, cells, strict=False):
            draw(figure, cell, left=left, top=top, width=column)
        top += row_height(cells, column)
    if sheet.down:
        middle = (begin + top) / 2
        place = {"left": MARGIN, "top": middle, "ha": "left", "va": "center", "rotation": 90}
        _write(figure, [sheet.down], points=_AXIS, style="italic", **place)
    return top


def _write(figure: Figure, lines: Sequence[str], *, left: float, top: float, points: float, **look: object) -> None:
    """Writes lines at a place in inches from the figure's upper left corner."""
    across, down = figure.get_size_inches()
    kind: Mapping[str, object] = {"ha": "center", "va": "top", "multialignment": "center", "fontsize": points} | look
    figure.text(left / across, 1 - top / down, plain("\n".join(lines)), **kind)  # pyright: ignore[reportArgumentType]
