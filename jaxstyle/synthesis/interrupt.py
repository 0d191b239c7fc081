"""Ctrl-C as a question that long work asks between steps, so that what is done is kept."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Within the block the first Ctrl-C only makes the yielded function return true; a second one raises.

    SIGTERM, with which a cluster ends a job, counts as Ctrl-C.

    Outside the main thread, where Python delivers no signals, the function always returns false.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return

    def first(number: int, frame: object) -> None:
        asked.set()
        for which in SIGNALS:
            signal.signal(which, signal.default_int_handler)

    before = {which: signal.signal(which, first) for which in SIGNALS}
    try:
        yield asked.is_set
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)
