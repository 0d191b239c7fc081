"""The panel picture and the loss curves, as matplotlib figures without any global state."""

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from jaxstyle.errors import JaxstyleError
from jaxstyle.images import encode_png, read_picture, resize_long_side
from jaxstyle.report.records import Recorded

PRINT_DPI = 300
WIDTH = 7.2
"""Inches: a page's two columns."""
THUMBNAIL = 320
"""Pixels of an inset's long side."""


def panels(runs: Sequence[Recorded], title: str) -> Figure:
    """Every run's picture with its label and numbers; what all share of content and style comes first."""
    shared = [(role, path) for role in ("content", "style") if (path := _shared(runs, role)) is not None]
    count = len(shared) + len(runs)
    columns = min(count, max(2, math.ceil(math.sqrt(1.4 * count)))) if count > 1 else 1
    rows = math.ceil(count / columns)
    figure = _figure(WIDTH, rows * (WIDTH / columns * 0.75 + 0.42) + 0.4, title)
    grid = [figure.add_subplot(rows, columns, index + 1) for index in range(count)]
    for axes, (role, path) in zip(grid, shared, strict=False):
        axes.imshow(_pixels(path, 1024))
        axes.set_title(role, fontsize=8, style="italic")
    with_style = not any(role == "style" for role, _ in shared)
    for index, (axes, run) in enumerate(zip(grid[len(shared) :], runs, strict=True)):
        _panel(axes, run, f"({_letters(index)}) {run.label}", inset=with_style)
    for axes in grid:
        axes.set_axis_off()
    return figure


def curves(runs: Sequence[Recorded], title: str) -> Figure:
    """Each run's loss and terms against evaluations of loss and gradient, on one logarithmic scale."""
    shown = [run for run in runs if run.iterations]
    columns = min(len(shown), 3) or 1
    rows = math.ceil(len(shown) / columns) or 1
    figure = _figure(WIDTH, rows * 2.1 + 0.9, title)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    names = list(dict.fromkeys(name for run in shown for name in run.iterations[-1]["terms"]))
    for index, axes in enumerate(grid.flat):
        if index >= len(shown):
            axes.set_axis_off()
            continue
        _curve(axes, shown[index], names)
        axes.set_xlabel("evaluations of loss and gradient", fontsize=7)
        axes.set_ylabel("loss", fontsize=7)
        axes.label_outer()
    if shown:
        handles, labels = grid.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=6.5, frameon=False)
    else:
        grid.flat[0].set_axis_off()
        grid.flat[0].text(0.5, 0.5, "no iteration was recorded", ha="center", transform=grid.flat[0].transAxes)
    return figure


def png(figure: Figure, dpi: int = PRINT_DPI) -> bytes:
    """Returns the figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def _figure(width: float, height: float, title: str) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    figure.suptitle(_plain(title), fontsize=10)
    return figure


def _panel(axes: Axes, run: Recorded, title: str, *, inset: bool) -> None:
    axes.set_title(_plain(title), fontsize=8, pad=3)
    if run.picture is None:
        axes.text(0.5, 0.5, _plain(f"no picture\n({run.status})"), ha="center", va="center", fontsize=8, color="0.4")
        axes.set_aspect(0.75)
        return
    pixels = _pixels(run.picture)
    axes.imshow(pixels)
    numbers = run.numbers
    known = (("grey_correlation", "correlation {:.3f}"), ("psnr", "PSNR {:.1f} dB"))
    said = [form.format(value) for name, form in known if isinstance(value := numbers.get(name), float)]
    axes.text(0.5, -0.03, ", ".join(said), ha="center", va="top", fontsize=6.5, color="0.3", transform=axes.transAxes)
    style = run.source("style") if inset else None
    if style is not None:
        corner = axes.inset_axes((0.0, 0.0, 0.28, 0.28), anchor="SW")
        corner.imshow(_pixels(style, THUMBNAIL))
        corner.set(xticks=[], yticks=[])
        for spine in corner.spines.values():
            spine.set(color="white", linewidth=1.2)


def _curve(axes: Axes, run: Recorded, names: Sequence[str]) -> None:
    evaluations = [line["evaluations"] for line in run.iterations]
    for position, name in enumerate(names):
        values = [_number(line["terms"].get(name)) for line in run.iterations]
        if np.nanmax(values, initial=0) > 0:
            dashed = "--" if name.startswith("content") else "-"
            axes.plot(evaluations, values, dashed, linewidth=0.9, label=name, color=f"C{position % 10}")
    axes.plot(
        evaluations, [_number(line["loss"]) for line in run.iterations], color="black", linewidth=1.6, label="total"
    )
    axes.set_yscale("log")
    axes.set_title(_plain(run.label), fontsize=7.5)
    axes.tick_params(labelsize=6.5)
    axes.grid(color="0.92", linewidth=0.5)


def _number(value: object) -> float:
    """A recorded number; records write infinities and NaN by name."""
    try:
        return float(value)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError):
        return math.nan


def _pixels(path: Path, size: int | None = None) -> np.ndarray:
    """A picture for a figure; a grey square for one that cannot be read."""
    try:
        pixels = read_picture(path).pixels
    except JaxstyleError:
        return np.full((3, 4, 3), 0.85, np.float32)
    return resize_long_side(pixels, size) if size and max(pixels.shape[:2]) > size else pixels


def shared_sources(runs: Sequence[Recorded]) -> dict[str, bytes]:
    """Small PNGs of the content and style pictures that every run used, by role."""
    found = {role: path for role in ("content", "style") if (path := _shared(runs, role)) is not None}
    return {role: encode_png(_pixels(path, THUMBNAIL)) for role, path in found.items()}


def _shared(runs: Sequence[Recorded], role: str) -> Path | None:
    """The source picture that every run used, if it is there."""
    sums = {(run.manifest.get("images", {}).get(role) or {}).get("sha256") for run in runs}
    return runs[0].source(role) if len(sums) == 1 and None not in sums else None


def _letters(index: int) -> str:
    """a … z, then aa, ab, …."""
    letter = chr(ord("a") + index % 26)
    return letter if index < 26 else _letters(index // 26 - 1) + letter


def _plain(text: str) -> str:
    """Text in which matplotlib finds no mathematics."""
    return text.replace("$", r"\$")
