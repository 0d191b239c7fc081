"""Members one after another, in this process."""

from collections.abc import Callable, Iterator, Sequence

from jaxstyle.engines.base import Job, Outcome, Watcher, failed
from jaxstyle.folders import read_manifest
from jaxstyle.runs import run


class Local:
    """The default engine."""

    here = True

    def carry_out(self, jobs: Sequence[Job], *, watcher: Watcher, interrupted: Callable[[], bool]) -> Iterator[Outcome]:
        """Carries out the jobs in their order; see `Engine`."""
        for job in jobs:
            if interrupted():
                return
            yield _carry_out(job, watcher, interrupted)


def _carry_out(job: Job, watcher: Watcher, interrupted: Callable[[], bool]) -> Outcome:
    try:
        with watcher(job.member) as watching:
            run(
                job.member.experiment,
                job.folder,
                say=watching.say,
                plan=watching.plan,
                watch=watching,
                interrupted=interrupted,
                **job.facts,
            )
    except Exception as error:  # whatever it is belongs to this member alone
        return failed(job.member, error)
    return Outcome(job.member, read_manifest(job.folder))
