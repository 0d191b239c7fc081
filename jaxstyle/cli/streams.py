"""The process's own streams, made so that what is printed never decides what a command does.

A reader may go away (`jaxstyle run … | head`), a disk be full, a terminal be gone, a stream be closed from the start,
an encoding lack a letter: what cannot be printed is dropped, a letter replaced, and the work continues.
"""

import contextlib
import io
import os
import select
import sys
from collections.abc import Iterator
from typing import Any, TextIO


@contextlib.contextmanager
def steady() -> Iterator[None]:
    """Within the block printing to the process's own output and error streams cannot fail.

    Streams that other code has put in their place are left alone.
    """
    _open_missing()
    with contextlib.ExitStack() as stack:
        for name, descriptor in (("stdout", 1), ("stderr", 2)):
            own = getattr(sys, name)
            if own is getattr(sys, f"__{name}__") and not _is_windows_console(own):
                stack.callback(setattr, sys, name, own)
                replaced = _steady(own, descriptor)
                stack.callback(replaced.flush)
                setattr(sys, name, replaced)
        yield


class _Steady(io.FileIO):
    """A file that takes what it is given, whether or not that can be written."""

    def write(self, data: Any, /) -> int:
        """Writes what can be written."""
        try:
            while (written := super().write(data)) is None:  # whoever shares it does not want to wait; we do
                select.select([], [self], [])
        except OSError:
            return len(data)
        return written


def _steady(stream: TextIO | None, descriptor: int) -> TextIO:
    with contextlib.suppress(OSError, ValueError):
        if stream is not None:
            stream.flush()
    raw = _Steady(descriptor, "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding if stream is not None else "utf-8",
        errors="replace",
        line_buffering=descriptor == 2 or raw.isatty(),
        write_through=getattr(stream, "write_through", False),
    )


def _open_missing() -> None:
    """Opens the null device for standard streams that are closed: the next file would be taken for one of them."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
            os.set_inheritable(opened, True)


def _is_windows_console(stream: TextIO | None) -> bool:
    """Whether Python writes there by another way than a file's, which knows every letter."""
    return os.name == "nt" and stream is not None and stream.isatty()
