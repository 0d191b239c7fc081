"""When an image on the way is due: at intervals of time, long enough not to slow the run."""

import math
import time
from collections.abc import Callable

import numpy as np

SECONDS = 3.0
"""The least time between two images."""
MOST_OVERHEAD = 0.01
"""The largest share of the time that images may take: where they take long, they are made less often."""


def periodic_images(
    save: Callable[[int, np.ndarray], None],
    is_wanted: Callable[[], bool],
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Callable[[int, Callable[[], np.ndarray]], None]:
    """Returns a callback that saves the image so far: the first at once, the others at intervals.

    Args:
      save: takes an iteration and its image.
      is_wanted: whether to save at all; called only when an image is due.
      clock: the time in seconds.
    """
    due = -math.inf

    def offer(iteration: int, image: Callable[[], np.ndarray]) -> None:
        nonlocal due
        began = clock()
        if began < due:
            return
        due = began + SECONDS
        if is_wanted():
            save(iteration, image())
            ended = clock()
            due = ended + max(SECONDS, (ended - began) / MOST_OVERHEAD)

    return offer
