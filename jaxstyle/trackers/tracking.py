"""Calls several trackers; an error in one of them does not end the run."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxstyle.errors import Note
from jaxstyle.trackers.base import Tracked, Tracker


class Tracking:
    """Trackers, each called until it fails."""

    def __init__(self, trackers: Iterable[Tracker] = ()):
        """Trackers are called in the order given."""
        self._trackers = list(trackers)

    def __bool__(self) -> bool:
        """Whether any tracker is left."""
        return bool(self._trackers)

    def start(self, run: Tracked) -> None:
        """As `Tracker.start`."""
        self._call("start", run)

    def iterations(self, iterations: Sequence[Mapping[str, Any]]) -> None:
        """As `Tracker.iterations`, if there are any."""
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
                warnings.warn(f"{name}: {reason}; the run continues without it", Note, stacklevel=4)
