"""The interface of an engine: jobs in, outcomes out, events for each member."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from jaxstyle.runs.folders import FAILED
from jaxstyle.runs.record import describe
from jaxstyle.sweeps.expansion import Member
from jaxstyle.synthesis.events import Events
from jaxstyle.synthesis.loss_terms import Terms
from jaxstyle.synthesis.tiles import Sides


@dataclasses.dataclass(frozen=True)
class Job:
    """A member to run.

    Attributes:
      member: what it is; an experiment without a sweep is its own only member.
      folder: where its record goes.
      facts: what else the manifest should hold.
      reads: the terms to compute, those of other members included; None for its own.
      sides: the tiles at each scale, as far as they are decided.
    """

    member: Member
    folder: Path
    facts: Mapping[str, Any]
    reads: Terms | None = None
    sides: Sides = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How one member ended, as its manifest has it; the image is in its folder.

    Attributes:
      member: which.
      manifest: the status; of a run that did not fail also the loss, what it took, and the metrics.
    """

    member: Member
    manifest: Mapping[str, Any]

    @property
    def status(self) -> str:
        """The run's status, or `failed`."""
        return str(self.manifest["status"])

    @property
    def error(self) -> str | None:
        """Why it failed."""
        return self.manifest.get("error")


def failed(member: Member, error: BaseException) -> Outcome:
    """The outcome of a member that raised an error."""
    return Outcome(member, {"status": FAILED, "error": describe(error)})


EventsOf = Callable[[Member], contextlib.AbstractContextManager[Events]]
"""Opens the events of a member: entered when the member starts, left when it has ended."""


class Engine(Protocol):
    """Runs members, and writes their records on the machine that asks for it."""

    @property
    def here(self) -> bool:
        """Whether members run in this process."""
        ...

    def run_jobs(
        self, jobs: Sequence[Job], *, events_of: EventsOf, interrupted: Callable[[], bool]
    ) -> Iterator[Outcome]:
        """Runs every job; one that fails does not stop the others.

        Args:
          jobs: the members.
          events_of: opens the events of a member.
          interrupted: polled; once true, no further member starts, and those running save their best images.

        Yields:
          The outcomes of the members that were started, in the order in which they end.

        Raises:
          JaxstyleError: no member can run at all.
        """
        ...
