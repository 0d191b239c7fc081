"""What every engine shares: what it is given, whom it tells, and what it answers."""

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


@dataclasses.dataclass(frozen=True)
class Job:
    """A member to be carried out.

    Attributes:
      member: what it is; an experiment without a sweep is its own only member.
      folder: where its record goes.
      facts: what else the manifest should hold.
      reads: what it reads together with other members; None for what it asks for itself.
    """

    member: Member
    folder: Path
    facts: Mapping[str, Any]
    reads: Terms | None = None


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
    """How a member ended that an error has ended."""
    return Outcome(member, {"status": FAILED, "error": describe(error)})


Watcher = Callable[[Member], contextlib.AbstractContextManager[Events]]
"""Gives each member's events, entered before the member begins and left when it has ended."""


class Engine(Protocol):
    """Carries out members, and writes their records on the machine that asks for it."""

    @property
    def here(self) -> bool:
        """Whether members are computed in this process, one after another."""
        ...

    def carry_out(self, jobs: Sequence[Job], *, watcher: Watcher, interrupted: Callable[[], bool]) -> Iterator[Outcome]:
        """Carries out every job; one that fails does not stop the others.

        Args:
          jobs: what to do.
          watcher: whom to tell of each member.
          interrupted: asked now and then; true begins no further member, and saves the best images of those begun.

        Yields:
          The outcomes of the members that were begun, in the order in which they end.

        Raises:
          JaxstyleError: no member can be carried out at all.
        """
        ...
