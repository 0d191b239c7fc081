"""Console output: messages, errors and progress."""

import sys
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from jaxstyle.synthesis.events import Events
from jaxstyle.synthesis.time_left import TimeLeft, duration

if TYPE_CHECKING:
    from jaxstyle.optimizers import Iteration
    from jaxstyle.synthesis.scales import Scale

DONE, MISTAKE, INTERRUPTED = 0, 2, 130
"""The exit statuses."""
LINE_EVERY = 5.0
"""Seconds between lines of progress where there is no terminal to draw a bar on."""

_ESCAPED = {chr(code): f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}
"""Control characters, as they are printed."""

output = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


def echo(message: str) -> None:
    """Prints a line."""
    output.print(_printable(message))


def echo_error(message: str) -> None:
    """Prints an error, every line of it."""
    for line in message.splitlines() or [""]:
        errors.print(f"[red]error:[/red] {_printable(line)}")


def echo_warnings() -> Callable[..., None]:
    """Returns what replaces `warnings.showwarning`: prints each warning once, as a note without its line of source."""
    shown: set[str] = set()

    def echo_warning(message: Warning | str, *_: object) -> None:
        from jaxstyle.devices import compilation_cache

        text = compilation_cache.mend(str(message)) or str(message)
        if text not in shown:
            shown.add(text)
            errors.print(f"note: {_printable(text)}")

    return echo_warning


def _printable(text: str) -> str:
    """The text for rich to print as it is: markup escaped, and control characters and what is not Unicode.

    They may come from a file's name, or from an image's settings that anybody wrote, and would steer the terminal.
    """
    text = "".join(_ESCAPED.get(character, character) for character in text)
    return escape(text.encode("utf-8", "backslashreplace").decode("utf-8"))


class RunProgress(Events):
    """Progress of one optimization: a bar on a terminal, a line now and then elsewhere.

    Shows the iteration, the image's size where there are several scales, the evaluations of loss and gradient, the
    loss, the seconds, and an estimate of the end.
    """

    def __init__(self, iterations: int, label: str = ""):
        """Prepares for a run of `iterations` steps."""
        self._iterations = iterations
        self._label = f"{label}: " if label else ""
        self._last_line = 0.0
        self._scales: Sequence[Scale] = ()
        self._time_left = TimeLeft()
        self._bar = (
            Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.completed:.0f}/{task.total:.0f}"),
                TextColumn("{task.fields[facts]}"),
                TimeElapsedColumn(),
                TextColumn("{task.fields[left]}"),
                console=output,
            )
            if output.is_terminal
            else None
        )
        self._task = (
            self._bar.add_task("preparing", total=iterations, facts="", left="") if self._bar is not None else None
        )

    def __enter__(self) -> Self:
        """Starts drawing."""
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops drawing."""
        if self._bar is not None:
            self._bar.stop()

    def log(self, message: str) -> None:
        """Shows a message until the first iteration."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=escape(self._label + message))
        else:
            echo(self._label + message)
            sys.stdout.flush()

    def plan(self, scales: "Sequence[Scale]") -> None:
        """Keeps the scales, for the estimate of the end, and counts their steps."""
        self._scales, self._iterations = scales, sum(scale.iterations for scale in scales)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, total=self._iterations)
        self._time_left.plan(scales)

    def progress(self, iterations: "Sequence[Iteration]") -> None:
        """Shows the newest of some iterations."""
        if not iterations:
            return
        newest = iterations[-1]
        size = f"{newest.size} pixels  " if len({scale.size for scale in self._scales}) > 1 else ""
        facts = f"{size}evaluations {newest.evaluations}  loss {newest.loss:.4g}"
        left = self._time_left.after(iterations)
        if self._bar is not None and self._task is not None:
            self._bar.update(
                self._task, description=f"{self._label}iteration", completed=newest.iteration, facts=facts, left=left
            )
        elif time.monotonic() - self._last_line > LINE_EVERY or newest.iteration >= self._iterations:
            self._last_line = time.monotonic()
            where = f"iteration {newest.iteration}/{self._iterations}"
            echo(f"{self._label}{where}  {facts}  {duration(newest.seconds)}  {left}".rstrip())
            sys.stdout.flush()


class SweepProgress:
    """Progress of several members at once: a line when one starts, and one when it ends, with how many have ended."""

    def __init__(self, members: int):
        """Prepares for so many members."""
        self._members, self._ended = members, 0

    def member(self, label: str) -> "MemberProgress":
        """The events of one member."""
        return MemberProgress(self, label)

    def end(self, label: str, facts: str) -> None:
        """Counts a member that has ended."""
        self._ended += 1
        echo(f"{self._ended}/{self._members} ended: {label}{facts}")
        sys.stdout.flush()


class MemberProgress(Events):
    """One member of a `SweepProgress`."""

    def __init__(self, sweep: SweepProgress, label: str):
        """Prints nothing until the member starts."""
        self._sweep, self._label, self._facts = sweep, label, ""

    def __enter__(self) -> Self:
        """The member starts."""
        echo(f"{self._label}: started")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The member has ended, in whatever way."""
        self._sweep.end(self._label, self._facts if error is None else f"  {error or 'interrupted'}")

    def progress(self, iterations: "Sequence[Iteration]") -> None:
        """Keeps the newest iteration, for the line at the end."""
        if iterations:
            self._facts = f"  iteration {iterations[-1].iteration}  loss {iterations[-1].loss:.4g}"
