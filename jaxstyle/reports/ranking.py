"""Which run is best and which is worst, by a number that lets them be compared."""

import dataclasses
import math
from collections.abc import Sequence

from jaxstyle.errors import JaxstyleError, did_you_mean
from jaxstyle.metrics import higher_is_better
from jaxstyle.reports.records import Recorded
from jaxstyle.reports.table import varied_keys
from jaxstyle.reports.words import number
from jaxstyle.runs.folders import FINISHED

_OBJECTIVE = ("image.", "network.", "loss.")
"""What the loss is made of: where one of these differs, so do the losses' units."""


@dataclasses.dataclass(frozen=True)
class Ranking:
    """Runs in order.

    Attributes:
      metric: what they are ordered by; empty if they cannot be.
      order: the places of the finished runs, the best first; those without the number are left out.
      reason: why there is no order.
    """

    metric: str = ""
    order: tuple[int, ...] = ()
    reason: str = ""

    @property
    def rule(self) -> str:
        """`highest psnr` or `lowest loss`: what the best has."""
        return f"{'highest' if higher_is_better(self.metric) else 'lowest'} {self.metric}"

    @property
    def ranks(self) -> dict[int, int]:
        """The ranks from 1, by the runs' places."""
        return {run: rank for rank, run in enumerate(self.order, start=1)}


def rank(runs: Sequence[Recorded], metric: str | None = None) -> Ranking:
    """Orders runs that have ended.

    Args:
      runs: the records.
      metric: a number of theirs, such as `psnr` or `gram_distance/conv4_1`; by default the loss, where all minimized
        the same one.

    Raises:
      JaxstyleError: no run has such a number.
    """
    ended = [index for index, run in enumerate(runs) if run.status in FINISHED]
    numbers = {name for index in ended for name, found in runs[index].numbers.items() if not math.isnan(number(found))}
    if metric is not None and metric not in numbers:
        hint = did_you_mean(metric, sorted(numbers)) or "."
        allowed = ", ".join(sorted(numbers)) or "none, because no run has ended"
        raise JaxstyleError(f"--rank: no run has a number '{metric}'{hint} Allowed: {allowed}")
    if metric is None:
        if len(ended) < 2:
            return Ranking()
        if different := [key for key in varied_keys(runs) if key.startswith(_OBJECTIVE)]:
            why = f"the losses cannot be compared, because {_listed(different)}"
            return Ranking(reason=f"{why}; --rank METRIC names a number to go by")
    chosen = metric or "loss"
    values = {index: number(runs[index].numbers.get(chosen)) for index in ended}
    sign = -1 if higher_is_better(chosen) else 1
    found = [index for index in ended if not math.isnan(values[index])]
    return Ranking(chosen, tuple(sorted(found, key=lambda index: sign * values[index])))


def _listed(keys: Sequence[str]) -> str:
    return f"{', '.join(keys)} {'differs' if len(keys) == 1 else 'differ'}"
