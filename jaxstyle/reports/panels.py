"""The panel image: every run's image, lettered as in a paper, with its numbers."""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from matplotlib.figure import Figure

from jaxstyle.reports.cells import (
    DETAIL,
    GUTTER,
    LINE,
    MARGIN,
    TALLEST,
    TITLE,
    Cell,
    draw,
    row_height,
    run_cell,
    source_cells,
)
from jaxstyle.reports.drawing import WIDTH, new_figure, plain, wrapped
from jaxstyle.reports.images import Shown, Source, missing_sources
from jaxstyle.reports.records import Recorded

PLEASANT = 1.6
"""The ratio of width to height that the layout aims at."""
NARROWEST = 1.7
"""Inches; with many columns the figure grows wider instead."""


def panels(
    runs: Sequence[Recorded],
    shown: Sequence[Shown],
    sources: Sequence[Source],
    title: str,
    beside: Mapping[int, Cell] = MappingProxyType({}),
) -> Figure:
    """Draws the runs' images; the sources that all runs share come first, the others are insets.

    Args:
      runs: the records.
      shown: each run's image.
      sources: the content and style images.
      title: above all.
      beside: what follows a run in the same row, by its place.
    """
    groups = [[cell] for cell in source_cells(sources)]
    for index, run in enumerate(runs):
        cell = run_cell(run, shown[index], index, sources, _label(run, title))
        groups.append([cell, beside[index]] if index in beside else [cell])
    columns = _columns(groups)
    width = max(WIDTH, columns * NARROWEST)
    column = (width - 2 * MARGIN - (columns - 1) * GUTTER) / columns
    rows = _rows(groups, columns)
    notes = missing_sources(sources)
    footnote = wrapped(notes, inches=width, points=DETAIL, lines=2) if notes else []
    heading = wrapped(title, inches=width, points=TITLE, lines=2)
    top = MARGIN + len(heading) * 0.19 + 0.06
    heights = [row_height(row, column) for row in rows]
    height = top + sum(heights) + len(footnote) * LINE + MARGIN
    figure = new_figure(width, height)
    figure.text(0.5, 1 - MARGIN / height, plain("\n".join(heading)), fontsize=TITLE, ha="center", va="top")
    for row, high in zip(rows, heights, strict=True):
        start = (width - len(row) * column - (len(row) - 1) * GUTTER) / 2 if len(rows) == 1 else MARGIN
        for place, cell in enumerate(row):
            draw(figure, cell, left=start + place * (column + GUTTER), top=top, width=column)
        top += high
    if footnote:
        figure.text(MARGIN / width, MARGIN / height, plain("\n".join(footnote)), fontsize=DETAIL, color="0.4")
    return figure


def _label(run: Recorded, title: str) -> str:
    """What a run is called below its image; a run alone gives the figure its title, which need not be said twice."""
    return "result" if run.label == title else run.label


def _rows(groups: Sequence[Sequence[Cell]], columns: int) -> list[list[Cell]]:
    """Fills rows of so many columns one after another; no group is parted."""
    rows: list[list[Cell]] = [[]]
    for group in groups:
        if len(rows[-1]) + len(group) > columns:
            rows.append([])
        rows[-1] += group
    return rows


def _columns(groups: Sequence[Sequence[Cell]]) -> int:
    """The number of columns that comes nearest to a pleasant ratio, with few places left empty."""
    count = sum(map(len, groups))
    height = float(np.median([min(cell.height, TALLEST) for group in groups for cell in group])) + 0.2

    def cost(columns: int) -> float:
        rows = len(_rows(groups, columns))
        return abs(math.log(columns / (rows * height) / PLEASANT)) + 2 * (rows * columns - count) / count

    return min(range(max(map(len, groups)), count + 1), key=cost)
