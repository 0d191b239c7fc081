"""Several members at once in the lanes of one program, each with its own record and its own end."""

import contextlib
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from jaxstyle.devices.jax_settings import pinned
from jaxstyle.errors import CheckpointError, JaxstyleError
from jaxstyle.optimizers import Iteration, Result
from jaxstyle.runs.folders import sides_in
from jaxstyle.runs.record import open_record
from jaxstyle.runs.recorded import RecordedRun
from jaxstyle.runs.runner import read_inputs
from jaxstyle.sweeps.engines.base import EventsOf, Job, Outcome, failed
from jaxstyle.synthesis.cache import Cache
from jaxstyle.synthesis.optimization import Track, optimize_together

T = TypeVar("T")


@pinned()
def run_together(
    jobs: Sequence[Job], lanes: int, *, cache: Cache, events_of: EventsOf, interrupted: Callable[[], bool]
) -> list[Outcome]:
    """Runs jobs of the same compiled programs at once; returns their outcomes in the jobs' order.

    Args:
      jobs: at most as many as lanes.
      lanes: how many the compiled programs have.
      cache: what earlier members have read, built and computed.
      events_of: opens the events of a member.
      interrupted: polled between evaluations; once true, all end with their best images.
    """
    with contextlib.ExitStack() as records:
        runs = [records.enter_context(contextlib.closing(_VmappedRun(job))) for job in jobs]
        try:
            for run in runs:
                run.attempt(lambda run=run: run.prepare(lanes, cache, events_of))
            _optimize([run for run in runs if run.error is None], lanes, interrupted)
        except BaseException as error:
            for run in runs:
                run.fail(error)
            if not isinstance(error, Exception):
                raise
    return [run.outcome() for run in runs]


def _optimize(runs: Sequence["_VmappedRun"], lanes: int, interrupted: Callable[[], bool]) -> None:
    if not runs:
        return
    results = optimize_together([run.track for run in runs], lanes=lanes, interrupted=interrupted)
    for run, result in zip(runs, results, strict=True):
        run.attempt(lambda run=run, result=result: run.conclude(result))


class _VmappedRun:
    """One of the members that run together; an error ends it alone.

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

    def prepare(self, lanes: int, cache: Cache, events_of: EventsOf) -> None:
        """Opens the record, and prepares what is to be optimized."""
        job, experiment = self.job, self.job.member.experiment
        events = self._open.enter_context(events_of(job.member))
        self._record = self._open.enter_context(open_record(job.folder, experiment))
        self._record.update(title=experiment.title, lanes=lanes, **job.facts)
        inputs = read_inputs(experiment, log=events.log, cache=cache)
        sides = {**job.sides, **sides_in(self._record.manifest)}
        options = {"reads": job.reads, "cache": cache, "sides": sides}
        self._run = RecordedRun.prepare(experiment, inputs, self._record, events, **options)
        try:
            state = self._run.restore()
        except CheckpointError as error:
            self._run.discard_checkpoint(error)
            state = None
        observe = self._run.observer(state)

        def guarded(iterations: Sequence[Iteration], best: Callable[[], np.ndarray]) -> int | None:
            return self.attempt(lambda: observe(iterations, best))

        self.track = Track(self._run.scales, guarded, state, self._run.checkpoint_callback())

    def conclude(self, result: Result) -> None:
        """Measures and records the result."""
        self._run.conclude(result)
        self._done = True

    def attempt(self, action: Callable[[], T]) -> T | None:
        """Calls `action` unless the member has failed; an error fails this member alone."""
        if self.error is None:
            try:
                return action()
            except Exception as error:
                self.fail(error)
        return None

    def fail(self, error: BaseException) -> None:
        """Keeps the reason why the member has failed; does nothing once it is done."""
        if self.error is None and not self._done:
            self.error = error

    def close(self) -> None:
        """Leaves record and events, with the error if there is one."""
        if self.error is None:
            self._open.close()
            return
        with contextlib.suppress(OSError, JaxstyleError):  # the reason itself may be that nothing can be written
            self._open.__exit__(type(self.error), self.error, self.error.__traceback__)

    def outcome(self) -> Outcome:
        """How the member ended."""
        if self.error is not None:
            return failed(self.job.member, self.error)
        return Outcome(self.job.member, self._record.manifest)
