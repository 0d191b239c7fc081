"""Several members at once in the lanes of one program, each with its own record and its own end."""

import contextlib
from collections.abc import Callable, Sequence

import numpy as np

from jaxstyle.engines.base import Job, Outcome, Watcher
from jaxstyle.errors import JaxstyleError
from jaxstyle.kept import Kept
from jaxstyle.optimizers import Iteration, Result
from jaxstyle.record import describe, recording
from jaxstyle.runs import Begun, Run, begin, conclude, observer, read_inputs
from jaxstyle.synthesis import optimize_lanes


def carry_out_together(
    jobs: Sequence[Job],
    lanes: int,
    *,
    kept: Kept,
    watcher: Watcher,
    interrupted: Callable[[], bool],
) -> list[Outcome]:
    """Carries out jobs of the same compiled programs at once; returns their outcomes in the jobs' order.

    Args:
      jobs: at most as many as lanes.
      lanes: how many the compiled programs have.
      kept: what members before have read, built and measured.
      watcher: whom to tell of each member.
      interrupted: asked between evaluations; true ends all of them with their best pictures.
    """
    with contextlib.ExitStack() as records:
        seats = [records.enter_context(contextlib.closing(_Seat(job, watcher))) for job in jobs]
        try:
            _carry_out(seats, lanes, kept, interrupted)
        except BaseException as error:
            for seat in seats:
                seat.fail(error)
            if not isinstance(error, Exception):
                raise
    return [Outcome(seat.job.member, seat.run, describe(seat.error) if seat.error else None) for seat in seats]


class _Seat:
    """A member's place among those that are carried out together: its record, and how far it has come.

    Attributes:
      job: the member, and where its record is.
      begun: what is optimized, once it is prepared.
      run: what came of it, in the end.
      error: why it failed, if it did.
    """

    def __init__(self, job: Job, watcher: Watcher):
        self.job = job
        self.begun: Begun | None = None
        self.run: Run | None = None
        self.error: BaseException | None = None
        self._watcher = watcher
        self._open = contextlib.ExitStack()

    def prepare(self, lanes: int, kept: Kept) -> None:
        """Opens the record and prepares what is to be optimized."""
        experiment = self.job.member.experiment
        self._watching = self._open.enter_context(self._watcher(self.job.member))
        notebook = self._open.enter_context(recording(self.job.folder, experiment))
        notebook.update(title=experiment.title, lanes=lanes, **self.job.facts)
        say = self._watching.say
        inputs = read_inputs(experiment, say=say, kept=kept)
        self.begun = begin(
            experiment, inputs, notebook, say=say, plan=self._watching.plan, reads=self.job.reads, kept=kept
        )
        self._observe = observer(self.begun, self._watching)

    def observe(self, iterations: Sequence[Iteration], best: Callable[[], np.ndarray]) -> None:
        """Records iterations."""
        self.attempt(lambda: self._observe(iterations, best))

    def conclude(self, result: Result) -> None:
        """Measures and records what was found."""
        assert self.begun is not None
        self.run = conclude(self.begun, result)

    def attempt(self, do: Callable[[], None]) -> None:
        """Does something unless the member has failed; whatever goes wrong belongs to this member alone."""
        if self.error is None:
            try:
                do()
            except Exception as error:
                self.fail(error)

    def fail(self, error: BaseException) -> None:
        """Takes down why the member has no part in the rest; nothing when it is done already."""
        if self.error is None and self.run is None:
            self.error = error

    def close(self) -> None:
        """Leaves record and watching."""
        if self.error is None:
            self._open.close()
            return
        with contextlib.suppress(OSError, JaxstyleError):  # the reason itself may be that nothing can be written
            self._open.__exit__(type(self.error), self.error, self.error.__traceback__)


def _carry_out(seats: Sequence[_Seat], lanes: int, kept: Kept, interrupted: Callable[[], bool]) -> None:
    for seat in seats:
        seat.attempt(lambda seat=seat: seat.prepare(lanes, kept))
    ready = [(seat, seat.begun) for seat in seats if seat.begun is not None and seat.error is None]
    if not ready:
        return
    results = optimize_lanes(
        [begun.scales for _, begun in ready],
        [seat.observe for seat, _ in ready],
        width=lanes,
        interrupted=interrupted,
    )
    for (seat, _), result in zip(ready, results, strict=True):
        seat.attempt(lambda seat=seat, result=result: seat.conclude(result))
