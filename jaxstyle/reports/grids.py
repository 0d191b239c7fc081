"""A number over a grid: a table with the rows and columns of the contact sheet."""

import csv
import dataclasses
import io
import math
from collections.abc import Sequence
from typing import Any

from jaxstyle import metrics
from jaxstyle.reports.html import tabular, text, value
from jaxstyle.reports.layout import Sheet
from jaxstyle.reports.ranking import Ranking
from jaxstyle.reports.records import Recorded
from jaxstyle.reports.words import number, readable

MEAN = "mean"
MOST_ROWS, MOST_COLUMNS = 40, 12
"""Of a table that is printed on a terminal."""


@dataclasses.dataclass(frozen=True)
class Grid:
    """A number of every run on a sheet.

    Attributes:
      name: the number's, such as `ssim`.
      sheet: the rows and columns.
      values: as recorded, by row and column; None where a run has no such number.
    """

    name: str
    sheet: Sheet
    values: tuple[tuple[Any, ...], ...]

    @property
    def row_means(self) -> list[float]:
        """The mean of each row's numbers."""
        return [_mean(row) for row in self.values]

    @property
    def column_means(self) -> list[float]:
        """The mean of each column's numbers."""
        return [_mean(column) for column in zip(*self.values, strict=True)]


def grids(runs: Sequence[Recorded], sheets: Sequence[Sheet], ranking: Ranking) -> list[Grid]:
    """Returns a table for each sheet of a grid: of the number that runs are ranked by, else of every metric there is.

    Args:
      runs: the records.
      sheets: where they lie; nothing is made of those without columns.
      ranking: by which number they are ranked, if by one.
    """
    numbers = [run.numbers for run in runs]
    names = [ranking.metric] if ranking.metric else metrics.names()
    found = []
    for name in names:
        for sheet in sheets:
            values = tuple(tuple(numbers[run].get(name) for run in row.runs) for row in sheet.rows)
            if sheet.columns and any(not math.isnan(number(entry)) for row in values for entry in row):
                found.append(Grid(name, sheet, values))
    return found


def grid_section(tables: Sequence[Grid]) -> str:
    """Returns the tables as HTML; the best of each row stands out."""
    parts = []
    for table in tables:
        sheet = table.sheet
        best = [_best(table.name, row) for row in table.values]
        rows = {
            f'<th scope="row">{text(row.label)}</th>': [
                *(_cell(entry, place == best[index]) for place, entry in enumerate(table.values[index])),
                value(_known(table.row_means[index])),
            ]
            for index, row in enumerate(sheet.rows)
        }
        rows[f'<th scope="row">{MEAN}</th>'] = [*(value(_known(mean)) for mean in table.column_means), value(None)]
        heading = ", ".join(part for part in (table.name.replace("_", " "), sheet.heading) if part)
        note = f'<p class="note">Down: {text(sheet.down)}; across: {text(sheet.across)}.</p>'
        parts.append(f"<h3>{text(heading)}</h3>{note}{tabular(['', *sheet.columns, MEAN], rows)}")
    return f"<h2>Numbers over the grid</h2>{''.join(parts)}" if parts else ""


def grid_text(tables: Sequence[Grid]) -> str:
    """Returns the tables as CSV, one below the other, each with a line of its columns' names."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    for table in tables:
        writer.writerow(["number", "sheet", table.sheet.down, *table.sheet.columns])
        for row, values in zip(table.sheet.rows, table.values, strict=True):
            writer.writerow([table.name, table.sheet.heading, row.label, *values])
    return text.getvalue()


def grid_lines(tables: Sequence[Grid]) -> list[str]:
    """Returns the tables as lines of text, as far as they have no more than `MOST_ROWS` and `MOST_COLUMNS`."""
    lines = []
    for table in tables:
        sheet = table.sheet
        if len(sheet.rows) > MOST_ROWS or len(sheet.columns) > MOST_COLUMNS:
            lines.append(f"  {table.name}: {len(sheet.rows)} rows and {len(sheet.columns)} columns, in grid.csv")
            continue
        means = zip(table.values, table.row_means, strict=True)
        cells = [[*sheet.columns, MEAN]]
        cells += [[readable(entry) for entry in (*values, _known(mean))] for values, mean in means]
        cells = [
            [label, *row] for label, row in zip([table.name, *(row.label for row in sheet.rows)], cells, strict=True)
        ]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines += [f"  {sheet.heading}"] if sheet.heading else []
        lines += ["  " + "  ".join(map(str.rjust, row, widths)) for row in cells]
    return lines


def _cell(entry: Any, is_best: bool) -> str:
    cell = value(entry)
    return cell.replace('class="number"', 'class="number best"', 1) if is_best else cell


def _best(name: str, row: Sequence[Any]) -> int | None:
    """The place of a row's best number; None where there is none or no choice."""
    known = {place: number(entry) for place, entry in enumerate(row) if not math.isnan(number(entry))}
    if len(known) < 2:
        return None
    return (max if metrics.higher_is_better(name) else min)(known, key=lambda place: known[place])


def _mean(entries: Sequence[Any]) -> float:
    known = [number(entry) for entry in entries if not math.isnan(number(entry))]
    return sum(known) / len(known) if known else math.nan


def _known(mean: float) -> float | None:
    return None if math.isnan(mean) else mean
