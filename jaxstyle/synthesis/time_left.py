"""How long a run will still take, in words, for whatever shows its progress."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from jaxstyle.synthesis.scales import seconds_left

if TYPE_CHECKING:
    from jaxstyle.optimizers import Iteration
    from jaxstyle.synthesis.scales import Scale


class TimeLeft:
    """An estimate from the iterations so far."""

    def __init__(self) -> None:
        """Knows nothing yet."""
        self._scales: Sequence[Scale] = ()
        self._seen: Counter[int] = Counter()

    def plan(self, scales: "Sequence[Scale]") -> None:
        """Takes the scales that the run goes through."""
        self._scales = scales

    def after(self, iterations: "Sequence[Iteration]") -> str:
        """Returns `about 9 min left` after some new iterations; nothing after the start's evaluation alone."""
        self._seen.update(iteration.size for iteration in iterations)
        newest = iterations[-1]
        ahead = seconds_left(self._scales, self._seen, size=newest.size, seconds=newest.seconds)
        return f"about {duration(ahead)} left" if newest.iteration and self._scales else ""


def duration(seconds: float) -> str:
    """Returns `45 s`, `9 min` or `2.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
