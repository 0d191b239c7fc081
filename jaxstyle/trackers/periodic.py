"""When an image on the way is due: by time, and never so often that it slows the run."""

import math
import time
from collections.abc import Callable

import numpy as np

SECONDS = 3.0
"""Between two images at least, …"""
MOST_OVERHEAD = 0.01
"""… and more where making them would take more than this of the time."""


def periodic_images(
    save: Callable[[int, np.ndarray], None],
    is_wanted: Callable[[], bool],
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Callable[[int, Callable[[], np.ndarray]], None]:
    """Returns a callback that passes the image so far on, at once and from then on from time to time.

    Args:
      save: takes an iteration and its image.
      is_wanted: asked no oftener than an image may be due.
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
