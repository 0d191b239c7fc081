"""Members in this process: one after another, or several at once in the lanes of one program."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from jaxstyle.devices.sharding import Devices
from jaxstyle.runs.runner import run
from jaxstyle.sweeps.engines.base import EventsOf, Job, Outcome, failed
from jaxstyle.sweeps.engines.side_by_side import run_together
from jaxstyle.synthesis.cache import Cache


class Batch(NamedTuple):
    """Jobs that run at once.

    Attributes:
      jobs: of the same compiled programs.
      lanes: how many the programs have, at least as many as jobs.
    """

    jobs: Sequence[Job]
    lanes: int


def one_at_a_time(jobs: Sequence[Job]) -> Iterator[Batch]:
    """Yields each job alone."""
    return (Batch([job], 1) for job in jobs)


class Local:
    """The default engine."""

    here = True

    def __init__(self, batches: Callable[[Sequence[Job]], Iterable[Batch]] = one_at_a_time, *, devices: Devices = 1):
        """Runs jobs in batches, or one after another with each image spread over several devices."""
        self._batches = batches
        self._devices: Devices = devices

    def run_jobs(
        self, jobs: Sequence[Job], *, events_of: EventsOf, interrupted: Callable[[], bool]
    ) -> Iterator[Outcome]:
        """Runs the batches in their order; see `Engine`."""
        cache = Cache()
        for batch in self._batches(jobs):
            if interrupted():
                return
            if batch.lanes > 1:
                yield from run_together(
                    batch.jobs, batch.lanes, cache=cache, events_of=events_of, interrupted=interrupted
                )
            else:
                yield from (self._run_alone(job, cache, events_of, interrupted) for job in batch.jobs)

    def _run_alone(self, job: Job, cache: Cache, events_of: EventsOf, interrupted: Callable[[], bool]) -> Outcome:
        try:
            with events_of(job.member) as events:
                finished = run(
                    job.member.experiment,
                    job.folder,
                    reads=job.reads,
                    cache=cache,
                    events=events,
                    interrupted=interrupted,
                    devices=self._devices,
                    sides=job.sides,
                    **job.facts,
                )
        except Exception as error:  # whatever it is belongs to this member alone
            return failed(job.member, error)
        return Outcome(job.member, finished.manifest)
