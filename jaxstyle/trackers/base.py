"""The interface of a tracker: start, iterations, image, end."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxtyping import Float
from numpy import ndarray


class Tracked(NamedTuple):
    """The run that is tracked.

    Attributes:
      name: its title; for a member of a sweep, its label.
      experiment: all settings, as JSON values.
      folder: its record; None in `jaxstyle.transfer`, which writes none.
      swept: the values of the swept keys, for a member of a sweep.
    """

    name: str
    experiment: Mapping[str, Any]
    folder: Path | None = None
    swept: Mapping[str, Any] = {}


class Tracker:
    """Does nothing; inherit from it and override the methods you need.

    If a method raises an error, there is a warning, and the run continues without the tracker.
    """

    def start(self, run: Tracked) -> None:
        """The run starts or is resumed; then the earlier iterations are passed again before the new ones."""

    def iterations(self, iterations: Sequence[Mapping[str, Any]]) -> None:
        """New iterations, each as in the record's metrics: `iteration`, `loss`, `terms`, …."""

    def image(self, iteration: int, pixels: Float[ndarray, "height width 3"]) -> None:
        """The best image so far, sRGB in [0, 1], every few seconds; at the end, the result."""

    def end(self, status: str, facts: Mapping[str, Any]) -> None:
        """The run has ended with this status; `facts` are those of the manifest: `loss`, `metrics`, …."""
