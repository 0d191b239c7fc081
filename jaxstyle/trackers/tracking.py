"""Several trackers as one, whose errors end no run."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxstyle.errors import Note
from jaxstyle.trackers.base import Tracked, Tracker


class Tracking:
    """Calls trackers until they fail."""

    def __init__(self, trackers: Iterable[Tracker] = ()):
        """Takes the trackers, in the order in which they are called."""
        self._trackers = list(trackers)

    def __bool__(self) -> bool:
        """Whether any is left."""
        return bool(self._trackers)

    def start(self, run: Tracked) -> None:
        """As `Tracker.start`."""
        self._call("start", run)

    def iterations(self, iterations: Sequence[Mapping[str, Any]]) -> None:
        """As `Tracker.iterations`; not called without one."""
        if iterations:
            self._call("iterations", iterations)

    def image(self, iteration: int, pixels: np.ndarray) -> None:
        """As `Tracker.image`."""
        self._call("image", iteration, pixels)

    def end(self, status: str, facts: Mapping[str, Any]) -> None:
        """As `Tracker.end`."""
        self._call("end", status, facts)

    def _call(self, method: str, *arguments: Any) -> None:
        for tracker in list(self._trackers):
            try:
                getattr(tracker, method)(*arguments)
            except Exception as error:  # whatever it is, the run is worth more
                self._trackers.remove(tracker)
                reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
                name = f"tracker {type(tracker).__name__}.{method}"
                warnings.warn(f"{name}: {reason}; the run goes on without it", Note, stacklevel=4)
