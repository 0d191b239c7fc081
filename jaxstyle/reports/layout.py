"""How runs lie on the axes of their sweep: sheets of rows and columns, and a slider's positions."""

import dataclasses
import math
from collections.abc import Sequence

from jaxstyle.reports.records import Recorded
from jaxstyle.sweeps.labels import axis_title

_IMAGES = ("image.content", "image.style")
"""Where both are swept, contents are a sheet's rows and styles its columns, in whatever order the file has them."""


@dataclasses.dataclass(frozen=True)
class Axis:
    """A key that was swept.

    Attributes:
      title: what it is called.
      labels: its values, in the sweep's order.
    """

    title: str
    labels: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where each run lies.

    Attributes:
      axes: at least one; of runs that lie on no axes, the runs themselves.
      places: each run's position on every axis, no two the same.
    """

    axes: tuple[Axis, ...]
    places: tuple[tuple[int, ...], ...]

    @property
    def is_grid(self) -> bool:
        """Whether there is a run for every combination on several axes."""
        return len(self.axes) > 1 and len(self.places) == math.prod(len(axis.labels) for axis in self.axes)

    @property
    def is_ablation(self) -> bool:
        """Whether every run differs from the first on one of several axes."""
        first = self.places[0]
        apart = [sum(own != its for own, its in zip(place, first, strict=True)) for place in self.places[1:]]
        return len(self.axes) > 1 and all(count == 1 for count in apart)


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of a sheet.

    Attributes:
      label: what its runs have in common.
      runs: their places among all runs.
      captions: what each is called within the row; empty where the columns' labels say it.
    """

    label: str
    runs: tuple[int, ...]
    captions: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Sheet:
    """Runs in rows and columns.

    Attributes:
      heading: distinguishes it from the other sheets; empty if it is the only one.
      down: what varies from row to row; empty if each row varies something of its own.
      across: what varies from column to column; empty likewise.
      columns: the columns' labels; none where each row has its own captions.
      rows: the rows, from above.
    """

    heading: str
    down: str
    across: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def lay_out(runs: Sequence[Recorded]) -> Layout:
    """Finds the axes that distinguish the runs, and each run's place on them.

    Args:
      runs: at least one.
    """
    keys = list(runs[0].place)
    if all(list(run.place) == keys for run in runs):
        found = {key: tuple(dict.fromkeys(run.place[key] for run in runs)) for key in keys}
        found = {key: labels for key, labels in found.items() if len(labels) > 1}
        if {*_IMAGES} <= found.keys():
            found = {key: found[key] for key in (*(key for key in found if key not in _IMAGES), *_IMAGES)}
        places = tuple(tuple(labels.index(run.place[key]) for key, labels in found.items()) for run in runs)
        axes = tuple(Axis(axis_title(key), labels) for key, labels in found.items())
        layout = Layout(axes, places)
        if len({*places}) == len(runs) and (len(axes) == 1 or layout.is_grid or layout.is_ablation):
            return layout
    return Layout((Axis("run", tuple(run.label for run in runs)),), tuple((index,) for index in range(len(runs))))


def sheets(layout: Layout) -> list[Sheet]:
    """Returns the sheets of a grid or an ablation; none where runs lie on a single axis.

    The last axis of a grid goes across and the one before it down; every combination of the others is a sheet. An
    ablation has a row for each axis, with the baseline first.
    """
    if layout.is_grid:
        return _grid_sheets(layout)
    return [_ablation_sheet(layout)] if layout.is_ablation else []


def _grid_sheets(layout: Layout) -> list[Sheet]:
    *outer, down, across = layout.axes
    run_at = {place: index for index, place in enumerate(layout.places)}
    found = []
    for around in dict.fromkeys(place[:-2] for place in layout.places):
        heading = ", ".join(f"{axis.title}: {axis.labels[at]}" for axis, at in zip(outer, around, strict=True))
        rows = tuple(
            Row(label, tuple(run_at[*around, row, column] for column in range(len(across.labels))))
            for row, label in enumerate(down.labels)
        )
        found.append(Sheet(heading, down.title, across.title, across.labels, rows))
    return found


def _ablation_sheet(layout: Layout) -> Sheet:
    rows = []
    for number, axis in enumerate(layout.axes):
        inside = [0] + [index for index, place in enumerate(layout.places) if place[number] != layout.places[0][number]]
        labels = [axis.labels[layout.places[index][number]] for index in inside]
        rows.append(Row(axis.title, tuple(inside), (f"{labels[0]} (baseline)", *labels[1:])))
    return Sheet("", "", "", (), tuple(rows))
