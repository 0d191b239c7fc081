"""Several members at once in the lanes of one program, each with its own record and its own end."""

import contextlib
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from jaxstyle.devices.jax_settings import pinned
from jaxstyle.errors import CheckpointError, JaxstyleError
from jaxstyle.optimizers import Iteration, Result
from jaxstyle.runs.folders import read_manifest
from jaxstyle.runs.record import recording
from jaxstyle.runs.runner import Begun, begin, begin_anew, conclude, keeps, observer, read_inputs, restored
from jaxstyle.sweeps.engines.base import Job, Outcome, Watcher, failed
from jaxstyle.synthesis.cache import Cache
from jaxstyle.synthesis.optimization import Track, optimize_together

T = TypeVar("T")


@pinned()
def carry_out_together(
    jobs: Sequence[Job], lanes: int, *, cache: Cache, watcher: Watcher, interrupted: Callable[[], bool]
) -> list[Outcome]:
    """Carries out jobs of the same compiled programs at once; returns their outcomes in the jobs' order.

    Args:
      jobs: at most as many as lanes.
      lanes: how many the compiled programs have.
      cache: what members before have read, built and measured.
      watcher: whom to tell of each member.
      interrupted: asked between evaluations; true ends all of them with their best images.
    """
    with contextlib.ExitStack() as records:
        seats = [records.enter_context(contextlib.closing(_Seat(job))) for job in jobs]
        try:
            for seat in seats:
                seat.attempt(lambda seat=seat: seat.prepare(lanes, cache, watcher))
            _optimize([seat for seat in seats if seat.error is None], lanes, interrupted)
        except BaseException as error:
            for seat in seats:
                seat.end(error)
            if not isinstance(error, Exception):
                raise
    return [seat.outcome() for seat in seats]


def _optimize(seats: Sequence["_Seat"], lanes: int, interrupted: Callable[[], bool]) -> None:
    if not seats:
        return
    results = optimize_together([seat.track for seat in seats], lanes=lanes, interrupted=interrupted)
    for seat, result in zip(seats, results, strict=True):
        seat.attempt(lambda seat=seat, result=result: seat.conclude(result))


class _Seat:
    """A member's place among those that are carried out together.

    Attributes:
      job: the member, and where its record is.
      track: what is optimized, once it is prepared.
      error: why it has failed, if it has.
    """

    job: Job
    track: Track
    error: BaseException | None

    def __init__(self, job: Job):
        self.job = job
        self.error = None
        self._done = False
        self._open = contextlib.ExitStack()

    def prepare(self, lanes: int, cache: Cache, watcher: Watcher) -> None:
        """Opens the record, and prepares what is to be optimized."""
        job, experiment = self.job, self.job.member.experiment
        events = self._open.enter_context(watcher(job.member))
        notebook = self._open.enter_context(recording(job.folder, experiment))
        notebook.update(title=experiment.title, lanes=lanes, **job.facts)
        inputs = read_inputs(experiment, say=events.log, cache=cache)
        begun = begin(experiment, inputs, notebook, events=events, reads=job.reads, cache=cache)
        try:
            resume = restored(begun, events)
        except CheckpointError as error:
            begin_anew(begun, error)
            resume = None
        observe = observer(begun, events, resume)

        def guarded(iterations: Sequence[Iteration], best: Callable[[], np.ndarray]) -> int | None:
            return self.attempt(lambda: observe(iterations, best))

        self._begun: Begun = begun
        self.track = Track(begun.scales, guarded, resume, keeps(begun))

    def conclude(self, result: Result) -> None:
        """Measures and records what was found."""
        conclude(self._begun, result)
        self._done = True

    def attempt(self, do: Callable[[], T]) -> T | None:
        """Does something unless the member has failed; whatever goes wrong belongs to this member alone."""
        if self.error is None:
            try:
                return do()
            except Exception as error:
                self.end(error)
        return None

    def end(self, error: BaseException) -> None:
        """Takes down why the member has no part in the rest; nothing where it is done already."""
        if self.error is None and not self._done:
            self.error = error

    def close(self) -> None:
        """Leaves record and events, which are told of the error."""
        if self.error is None:
            self._open.close()
            return
        with contextlib.suppress(OSError, JaxstyleError):  # the reason itself may be that nothing can be written
            self._open.__exit__(type(self.error), self.error, self.error.__traceback__)

    def outcome(self) -> Outcome:
        """How the member ended."""
        if self.error is not None:
            return failed(self.job.member, self.error)
        return Outcome(self.job.member, read_manifest(self.job.folder))
