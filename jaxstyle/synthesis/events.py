"""What happens during a run, as it happens: one object that progress bars, logs and remote records inherit."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxstyle.optimizers import Iteration
    from jaxstyle.synthesis.scales import Scale


class Events:
    """Ignores everything; inherit, and override what is of interest."""

    def log(self, message: str) -> None:
        """What is being done now."""

    def plan(self, scales: "Sequence[Scale]") -> None:
        """The scales that the run will go through."""

    def progress(self, iterations: "Sequence[Iteration]") -> None:
        """The iterations that are new."""
