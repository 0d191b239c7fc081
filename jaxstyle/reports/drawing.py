"""What the figures share: matplotlib without its global state, and text in which it finds no mathematics."""

import io
import re
import textwrap
import warnings

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from jaxstyle.reports.words import clean

PRINT_DPI = 300
LONGEST = 20_000
"""Pixels of a figure's side; one that is larger in print has a lower resolution."""
WIDTH = 7.2
"""Inches: the two columns of a printed page."""


def new_figure(width: float, height: float, *, layout: str | None = None) -> Figure:
    """Returns an empty figure of a size in inches that does not belong to pyplot."""
    figure = Figure(figsize=(width, height), layout=layout, facecolor="white")  # pyright: ignore[reportArgumentType]
    FigureCanvasAgg(figure)
    return figure


def encode(figure: Figure, kind: str, *, transparent: bool = False) -> bytes:
    """Returns the figure as a file: `png` at print resolution, or `svg`, whose text is outlines."""
    buffer = io.BytesIO()
    metadata = {"Software": None} if kind == "png" else {"Date": None, "Creator": None}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # a box is drawn instead
        resolution = min(PRINT_DPI, LONGEST / max(figure.get_size_inches()))
        figure.savefig(buffer, format=kind, dpi=resolution, metadata=metadata, transparent=transparent)
    return buffer.getvalue()


def plain(text: str) -> str:
    """Returns text in which matplotlib finds no mathematics."""
    return clean(text).replace("$", r"\$")


class _Wrapper(textwrap.TextWrapper):
    """Breaks a word that is longer than a line, such as a key, after its dots and underscores first."""

    def _split(self, text: str) -> list[str]:
        pieces = []
        for word in super()._split(text):
            long = len(word) > self.width
            pieces += re.split(r"(?<=[^\W\d_][._])(?=[^\W\d_])", word) if long else [word]
        return pieces


def wrapped(text: str, *, inches: float, points: float, lines: int) -> list[str]:
    """Returns text broken into at most so many lines for a width and a type size."""
    letters = max(8, int(inches * 72 / (points * 0.53)))  # DejaVu Sans is about this wide
    return _Wrapper(letters, max_lines=lines, placeholder=" …").wrap(clean(text)) or [""]
