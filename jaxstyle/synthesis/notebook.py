"""How far a run is, in a notebook: one line that changes, with the image so far; elsewhere nothing.

IPython is asked for only where it has been imported already, by the notebook itself.
"""

import base64
import html
import importlib
import sys
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from jaxstyle.images import encode_png, resize_long_side
from jaxstyle.optimizers import Iteration
from jaxstyle.synthesis.events import Events
from jaxstyle.synthesis.time_left import TimeLeft

if TYPE_CHECKING:
    from jaxstyle.synthesis.scales import Scale

TEXT_EVERY, IMAGE_EVERY = 0.25, 1.0
"""Seconds between changes."""
SHARE = 50
"""An image is shown again after so many times the seconds that it took: 2 % of the run at most."""
LARGEST = 320
"""Pixels of the long side of the image so far."""


def in_notebook() -> bool:
    """Whether a notebook's kernel runs this."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


class Progress(Events):
    """The progress of a run, or of the runs of a sweep: a place in the notebook that changes, with the block."""

    def __init__(self, iterations: int = 0, *, shown: bool = True, label: str = "", place: "_Place | None" = None):
        """Prepares for a run of so many iterations.

        Args:
          iterations: of the run; 0 if it is not known.
          shown: whether to show anything, in a notebook.
          label: of the run.
          place: where to show it; a new place in the notebook if there is none.
        """
        self._iterations, self._label = iterations, label
        self._words, self._done, self._image = "", 0, ""
        self._time_left = TimeLeft()
        self._place = place or (_Place() if shown and in_notebook() else None)
        self._next_text = self._next_image = 0.0

    def of_member(self, label: str, iterations: int) -> "Progress":
        """The progress of one run of a sweep, in the same place."""
        return Progress(iterations, shown=False, label=label, place=self._place)

    def __enter__(self) -> Self:
        """Begins."""
        self.log("preparing")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leaves the last line, without an image: the result has one."""
        self._image = ""
        self._show()

    def log(self, message: str) -> None:
        """Shows what is being done now."""
        self._words, self._done = message, 0
        self._show()

    def plan(self, scales: "Sequence[Scale]") -> None:
        """Counts the steps of all scales, and keeps them for the estimate of the time left."""
        self._iterations = sum(scale.iterations for scale in scales)
        self._time_left.plan(scales)

    def progress(self, iterations: Sequence[Iteration]) -> None:
        """Shows the newest of some iterations, with an estimate of the time left."""
        if self._place is None or not iterations:
            return
        newest = iterations[-1]
        self._done = newest.iteration
        of = f"/{self._iterations}" if self._iterations else ""
        left = self._time_left.after(iterations)
        self._words = f"iteration {newest.iteration}{of}, loss {newest.loss:.4g}, {newest.seconds:.0f} s"
        self._words += f", {left}" if left and newest.iteration < self._iterations else ""
        if time.monotonic() >= self._next_text:
            self._show()

    def observe(self, iterations: Sequence[Iteration], best: Callable[[], np.ndarray]) -> None:
        """As `progress`, with the best image so far."""
        began = time.monotonic()
        if self._place is not None and began >= self._next_image:
            pixels = best()
            small = resize_long_side(pixels, LARGEST) if max(pixels.shape) > LARGEST else pixels
            address = base64.b64encode(encode_png(small)).decode()
            self._image = f'<img src="data:image/png;base64,{address}" alt="the image so far"><br>'
            self._next_text = 0.0
            self.progress(iterations)
            ended = time.monotonic()
            self._next_image = ended + max(IMAGE_EVERY, SHARE * (ended - began))
        else:
            self.progress(iterations)

    def _show(self) -> None:
        if self._place is None:
            return
        words = f"{self._label}: {self._words}" if self._label else self._words
        bar = f'<progress value="{self._done}" max="{self._iterations}"></progress> ' if self._iterations else ""
        self._place.show(f"<div>{self._image}{bar}<code>{html.escape(words)}</code></div>", words)
        self._next_text = time.monotonic() + TEXT_EVERY


class _Place:
    """An output of the notebook's cell that is replaced by the next one."""

    def __init__(self) -> None:
        """Shows nothing yet."""
        self._display = importlib.import_module("IPython.display").display
        self._handle: Any = None

    def show(self, markup: str, words: str) -> None:
        """Replaces what is shown."""
        content = {"text/html": markup, "text/plain": words}
        if self._handle is None:
            self._handle = self._display(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)
