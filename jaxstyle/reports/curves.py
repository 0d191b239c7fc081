"""Loss curves: small multiples of every term against evaluations of loss and gradient, on shared logarithmic axes."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.typing import ColorType

from jaxstyle.reports.drawing import WIDTH, new_figure, plain, wrapped
from jaxstyle.reports.images import MANY
from jaxstyle.reports.layout import lay_out
from jaxstyle.reports.records import Recorded, scale_starts
from jaxstyle.reports.words import letters, number

LARGEST = 1e100
"""Beyond this a loss is as good as infinite, and an axis cannot be computed."""
WIDEST = 8
"""The most columns."""
DEEPEST = 1e-7
"""The smallest part of the largest loss that is drawn: a content term that starts at 0 would stretch the axis."""


@dataclasses.dataclass(frozen=True)
class Theme:
    """Colours for a light or a dark page."""

    ink: ColorType
    faint: ColorType
    content: ColorType
    styles: str
    """matplotlib's name of the colours that deepen with the layers."""
    span: tuple[float, float]


LIGHT = Theme("#1c1b19", "#dedad2", "#c2410c", "viridis", (0.85, 0.1))
DARK = Theme("#e9e6df", "#3d3a35", "#fb923c", "viridis", (0.95, 0.35))


def curves(runs: Sequence[Recorded], title: str = "", theme: Theme = LIGHT) -> Figure:
    """Draws the runs of which an iteration was recorded, those of a grid in its columns; of many the losses alone.

    Args:
      runs: the records.
      title: above all; absent if empty.
      theme: its colours.
    """
    drawn = [(f"({letters(index)}) {run.label}", run) for index, run in enumerate(runs) if run.iterations]
    if len(drawn) > MANY:
        return _overlaid([run for _, run in drawn], title, theme)
    layout = lay_out(runs)
    across = len(layout.axes[-1].labels)
    columns = across if layout.is_grid and len(drawn) == len(runs) and across <= WIDEST else _columns(len(drawn))
    rows = max(1, math.ceil(len(drawn) / columns))
    width = max(WIDTH, 1.8 * columns)
    figure = new_figure(width, rows * (3.2 if columns == 1 else 1.9) + 0.95, layout="constrained")
    if title:
        heading = wrapped(title, inches=width, points=10, lines=2)
        figure.suptitle(plain("\n".join(heading)), fontsize=10, color=theme.ink)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    names = list(dict.fromkeys(str(name) for _, run in drawn for line in run.iterations for name in line["terms"]))
    styles = _line_styles(names, theme)
    for index, axes in enumerate(grid.flat):
        if index < len(drawn):
            label, run = drawn[index]
            heading = wrapped(label, inches=width / columns, points=7, lines=2)
            axes.set_title(plain("\n".join(heading)), fontsize=7, color=theme.ink, pad=3)
            _draw(axes, run, styles, theme)
            _label(axes, theme, left=index % columns == 0, lowest=index + columns >= len(drawn))
        else:
            axes.set_axis_off()
    if not drawn:
        grid.flat[0].text(0.5, 0.5, "no iteration was recorded", ha="center", color=theme.ink)
        return figure
    _limit(grid.flat[0], [run for _, run in drawn])
    handles = [Line2D([], [], **style) for style in styles.values()]
    legend = figure.legend(
        handles, [plain(name) for name in styles], loc="outside lower center", ncols=4, fontsize=6.5, frameon=False
    )
    for text in legend.get_texts():
        text.set_color(theme.ink)
    return figure


def _overlaid(runs: Sequence[Recorded], title: str, theme: Theme) -> Figure:
    """Draws the losses of many runs over each other."""
    figure = new_figure(WIDTH, 4.0, layout="constrained")
    if title:
        heading = wrapped(title, inches=WIDTH, points=10, lines=2)
        figure.suptitle(plain("\n".join(heading)), fontsize=10, color=theme.ink)
    axes = figure.subplots()
    style = {"color": theme.ink, "linewidth": 0.6, "alpha": 0.35}
    for run in runs:
        _draw(axes, run, {"total": style}, theme, marked=False)
    axes.set_title(f"the losses of {len(runs)} runs", fontsize=7, color=theme.ink, pad=3)
    _label(axes, theme, left=True, lowest=True)
    return figure


def _columns(count: int) -> int:
    return max(1, count if count <= 3 else 2 if count == 4 else 3 if count <= 9 else 4 if count <= 24 else 6)


def _line_styles(names: Sequence[str], theme: Theme) -> dict[str, dict[str, Any]]:
    """A line's looks by term: dashes for the content, colours that deepen with the layers for the style."""
    style_names = [name for name in names if name.startswith("style")]
    shades = matplotlib.colormaps[theme.styles](np.linspace(*theme.span, max(len(style_names), 1)))
    looks: dict[str, dict[str, Any]] = {"total": {"color": theme.ink, "linewidth": 1.9}}
    for name in names:
        if name.startswith("content"):
            looks[name] = {"color": theme.content, "linewidth": 1.1, "linestyle": (0, (4, 1.5))}
        elif name in style_names:
            looks[name] = {"color": tuple(shades[style_names.index(name)]), "linewidth": 1.0}
        else:
            looks[name] = {"color": "0.55", "linewidth": 1.0, "linestyle": ":"}
    return looks


def draw_alone(axes: Axes, run: Recorded, theme: Theme = LIGHT) -> None:
    """Draws one run's total and terms, with a legend, as the report's curves do."""
    styles = _line_styles([str(name) for name in run.iterations[0]["terms"]] if run.iterations else [], theme)
    _draw(axes, run, styles, theme)
    _label(axes, theme, left=True, lowest=True)
    if run.iterations:
        _limit(axes, [run])
    handles = [Line2D([], [], label=plain(name), **style) for name, style in styles.items()]
    axes.legend(handles=handles, fontsize=6.5, frameon=False, labelcolor=theme.ink)


def _draw(
    axes: Axes, run: Recorded, styles: Mapping[str, Mapping[str, Any]], theme: Theme, *, marked: bool = True
) -> None:
    evaluations = _drawable([line["evaluations"] for line in run.iterations])
    marker = "." if len(evaluations) == 1 else ""
    scales = scale_starts(run)
    for name, style in styles.items():
        values = _series(run, name)
        if np.isfinite(values).any():
            apart = (np.insert(column, [*scales][1:], np.nan) for column in (evaluations, values))
            axes.plot(*apart, marker=marker, zorder=3 if name == "total" else 2, **style)
    if len(scales) > 1 and marked:
        _mark_scales(axes, {evaluations[line]: size for line, size in scales.items()}, theme)
    axes.set_yscale("log")
    axes.set_facecolor("none")
    axes.tick_params(labelsize=6.5, colors=theme.ink, width=0.5, length=2)
    axes.tick_params(which="minor", length=0)
    axes.grid(color=theme.faint, linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set(color=theme.ink, linewidth=0.5)


def _mark_scales(axes: Axes, scales: Mapping[float, int], theme: Theme) -> None:
    """Says above each scale how long the image's long side is, with a line where it was enlarged."""
    for index, (evaluation, size) in enumerate(scales.items()):
        if index:
            axes.axvline(evaluation, color=theme.ink, linewidth=0.5, linestyle=(0, (1, 2)), zorder=1)
        place = {"xy": (evaluation, 1), "xycoords": axes.get_xaxis_transform(), "textcoords": "offset points"}
        words = f"{size} px" if index == 0 else str(size)
        axes.annotate(words, xytext=(2, -1), fontsize=5.5, color=theme.ink, va="top", **place)


def _label(axes: Axes, theme: Theme, *, left: bool, lowest: bool) -> None:
    """Words and figures only at the left, and at the bottom of each column."""
    axes.tick_params(labelleft=left, labelbottom=lowest)
    if left:
        axes.set_ylabel("loss", fontsize=7, color=theme.ink)
    if lowest:
        axes.set_xlabel("evaluations of loss and gradient", fontsize=7, color=theme.ink)


def _limit(axes: Axes, runs: Sequence[Recorded]) -> None:
    """Leaves out what is so small that it only stretches the shared axis."""
    positive = [
        value for run in runs for name in (*run.iterations[-1]["terms"], "total") for value in _series(run, name)
    ]
    finite = np.asarray([value for value in positive if math.isfinite(value)])
    if finite.size:
        smallest = max(float(np.percentile(finite, 0.5)), finite.max() * DEEPEST)
        axes.set_ylim(0.6 * smallest, 1.6 * finite.max())


def _series(run: Recorded, name: str) -> np.ndarray:
    """A term's values; NaN, which leaves a gap, where a value is absent, not finite or not positive."""
    whole = [line["loss"] if name == "total" else line["terms"].get(name) for line in run.iterations]
    return _drawable(whole)


def _drawable(values: Sequence[Any]) -> np.ndarray:
    found = np.asarray([number(value) for value in values])
    return np.where((found > 0) & (found < LARGEST), found, np.nan)
