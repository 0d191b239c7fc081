"""The state of a run between two evaluations: all that is needed to resume it."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from jaxstyle.optimizers import Iteration, Result, Saved, Status


class RunState(NamedTuple):
    """A run between two evaluations.

    Attributes:
      scale: the index of the scale that it is at.
      before: the run up to that scale.
      saved: the optimization at that scale.
    """

    scale: int
    before: Result
    saved: Saved

    @property
    def history(self) -> tuple[Iteration, ...]:
        """Every accepted iterate of all scales."""
        return (*self.before.history, *counted_on(self.before, self.saved.history))


KeepRunState = Callable[[Callable[[], RunState], Status], None]
"""As `optimizers.Keep`, of a whole run; the end is that of a scale."""


def counted_on(progress: Result, iterations: Sequence[Iteration]) -> list[Iteration]:
    """A scale's iterations, counted on from those before it. Its start is no step: it keeps the number of the last."""
    reached = progress.history[-1].iteration if progress.history else 0
    return [
        iteration._replace(
            iteration=reached + iteration.iteration,
            evaluations=progress.evaluations + iteration.evaluations,
            seconds=progress.run_seconds + iteration.seconds,
        )
        for iteration in iterations
    ]
