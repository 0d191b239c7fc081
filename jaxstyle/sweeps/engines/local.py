"""Members in this process: one after another, or several at once in the lanes of one program."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from jaxstyle.devices.sharding import Devices
from jaxstyle.runs.folders import read_manifest
from jaxstyle.runs.runner import run
from jaxstyle.sweeps.engines.base import Job, Outcome, Watcher, failed
from jaxstyle.sweeps.engines.side_by_side import carry_out_together
from jaxstyle.synthesis.cache import Cache


class Batch(NamedTuple):
    """Jobs that are carried out at once.

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
        """Prepares to carry out jobs in batches, or, spread over several devices each, one after another."""
        self._batches = batches
        self._devices: Devices = devices

    def carry_out(self, jobs: Sequence[Job], *, watcher: Watcher, interrupted: Callable[[], bool]) -> Iterator[Outcome]:
        """Carries out the batches in their order; see `Engine`."""
        cache = Cache()
        for batch in self._batches(jobs):
            if interrupted():
                return
            if batch.lanes > 1:
                yield from carry_out_together(
                    batch.jobs, batch.lanes, cache=cache, watcher=watcher, interrupted=interrupted
                )
            else:
                yield from (self._carry_out(job, cache, watcher, interrupted) for job in batch.jobs)

    def _carry_out(self, job: Job, cache: Cache, watcher: Watcher, interrupted: Callable[[], bool]) -> Outcome:
        try:
            with watcher(job.member) as events:
                run(
                    job.member.experiment,
                    job.folder,
                    reads=job.reads,
                    cache=cache,
                    events=events,
                    interrupted=interrupted,
                    devices=self._devices,
                    **job.facts,
                )
        except Exception as error:  # whatever it is belongs to this member alone
            return failed(job.member, error)
        return Outcome(job.member, read_manifest(job.folder))
