"""What results, sweeps and reports show of themselves in a notebook, and the plot of a result."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxstyle.errors import JaxstyleError
from jaxstyle.images import encode_png, read_image, resize_long_side
from jaxstyle.reports.html import data_address, text
from jaxstyle.reports.records import Recorded
from jaxstyle.reports.words import readable

if TYPE_CHECKING:
    from jaxstyle.optimizers import Iteration, Result
    from jaxstyle.reports.build import Report
    from jaxstyle.sweeps.sweep import Sweep

MOST = 48
"""The most images of a sweep that are shown; the report shows all."""
THUMBNAIL, PANELS = 224, 1200
"""Pixels of the long side."""


def of_result(result: "Result") -> str:
    """The image, how the run ended, and the terms of the loss at its end."""
    height, width, _ = result.image.shape
    last = result.history[-1] if result.history else None
    facts = {
        "status": str(result.status),
        "loss": result.loss,
        "iterations": last.iteration if last else 0,
        "evaluations": result.evaluations,
        "seconds": round(result.run_seconds, 1),
    }
    return (
        f"<div>{_image(result.image, f'{width}×{height} pixels')}{_table(facts | (last.terms if last else {}))}</div>"
    )


def of_sweep(sweep: "Sweep") -> str:
    """Thumbnails with their labels and losses, and where the record is."""
    figures = [
        _figure(run.image, run.label, run.error or f"{run.status}, loss {readable(run.loss)}")
        for run in sweep.runs[:MOST]
    ]
    absent = sweep.members - len(sweep.runs)
    notes = [f"record: {sweep.folder}"]
    notes += [f"{len(sweep.runs) - MOST} more images are in the record"] if len(sweep.runs) > MOST else []
    notes += [f"{absent} of {sweep.members} runs have not begun"] if absent else []
    return f"<div>{''.join(figures)}{''.join(f'<p>{text(note)}</p>' for note in notes)}</div>"


def of_report(report: "Report") -> str:
    """The panels, or the contact sheet, and where the page is."""
    return (
        f"<div>{_thumbnail(report.panels, PANELS, 'panels of the report')}<p>{text(f'page: {report.page}')}</p></div>"
    )


def plot_history(history: Sequence["Iteration"], axes: Any = None) -> Any:
    """Draws the loss and its terms; see `Result.plot`."""
    try:
        from matplotlib import pyplot

        from jaxstyle.reports.curves import draw_alone
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        raise JaxstyleError("plots need matplotlib: pip install 'jaxstyle[report]'") from None

    axes = pyplot.subplots(figsize=(6.4, 4), layout="constrained")[1] if axes is None else axes
    draw_alone(axes, Recorded(Path(), "", {}, {}, [iteration._asdict() for iteration in history]))
    return axes


def _figure(image: Path | None, label: str, facts: str) -> str:
    shown = _thumbnail(image, THUMBNAIL, label) if image else ""
    style = f"display:inline-block;vertical-align:top;margin:0 8px 8px 0;max-width:{THUMBNAIL}px"
    caption = f"<figcaption>{text(label)}<br><small>{text(facts)}</small></figcaption>"
    return f'<figure style="{style}">{shown}{caption}</figure>'


def _thumbnail(file: Path, largest: int, words: str) -> str:
    pixels = read_image(file).pixels
    return _image(resize_long_side(pixels, largest) if max(pixels.shape) > largest else pixels, words)


def _image(pixels: np.ndarray, words: str) -> str:
    return f'<img src="{data_address(encode_png(pixels), "png")}" alt="{text(words)}" style="max-width:100%">'


def _table(facts: Mapping[str, Any]) -> str:
    rows = "".join(f"<tr><th>{text(name)}</th><td>{text(readable(value))}</td></tr>" for name, value in facts.items())
    return f"<table>{rows}</table>"
