"""The interface of a tracker: start, iterations, image, end."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxtyping import Float
from numpy import ndarray


class Tracked(NamedTuple):
    """The run that is tracked.

    Attributes:
      name: its title, or what it is called in its sweep.
      experiment: every setting, as tables that JSON can hold.
      folder: its record; None of `jaxstyle.transfer`, which keeps none.
      swept: of a member of a sweep, the values of the swept keys.
    """

    name: str
    experiment: Mapping[str, Any]
    folder: Path | None = None
    swept: Mapping[str, Any] = {}


class Tracker:
    """Ignores everything; inherit, and override what is of interest.

    A method that raises an error is warned of once; the run goes on, and the tracker is not called again.
    """

    def start(self, run: Tracked) -> None:
        """The run begins; or it goes on, and the iterations of earlier processes come again before the new ones."""

    def iterations(self, iterations: Sequence[Mapping[str, Any]]) -> None:
        """The iterations that are new, each as a line of the record's metrics: `iteration`, `loss`, `terms`, …."""

    def image(self, iteration: int, pixels: Float[ndarray, "height width 3"]) -> None:
        """The best image so far, sRGB in [0, 1]: every few seconds, and at last the result."""

    def end(self, status: str, facts: Mapping[str, Any]) -> None:
        """The run has ended, as the status says; the facts are the manifest's: `loss`, `metrics`, …."""
