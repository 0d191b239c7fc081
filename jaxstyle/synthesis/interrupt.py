"""Ctrl-C as a question that long work asks between steps, so that what is done is kept."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Sequence

CTRL_C = (signal.SIGINT,)
END_OF_JOB = (signal.SIGINT, signal.SIGTERM)
"""Ctrl-C, and the signal with which a cluster ends a job."""


@contextlib.contextmanager
def interruptible(signals: Sequence[signal.Signals]) -> Iterator[Callable[[], bool]]:
    """Within the block the first of the signals only makes the yielded function return true; a second one raises.

    Outside the main thread, where Python delivers no signals, the function always returns false. So it does for a
    signal that something other than Python handles: its handler could not be given back.

    Args:
      signals: `END_OF_JOB` for a process that ends with the block. A library takes `CTRL_C`: its caller may go on
        afterwards, and should not after the end of a job.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return

    def first(number: int, frame: object) -> None:
        asked.set()
        for which in before:
            signal.signal(which, signal.default_int_handler)

    before = {which: handler for which in signals if (handler := signal.getsignal(which)) is not None}
    try:
        for which in before:
            signal.signal(which, first)
        yield asked.is_set
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)
