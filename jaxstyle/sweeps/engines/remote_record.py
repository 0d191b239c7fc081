"""The local side of a cluster: a member's record, written from the messages of the worker that runs it."""

import contextlib
import warnings

from jaxstyle.errors import CheckpointError, JaxstyleError, Note
from jaxstyle.runs.checkpoints import Checkpoint
from jaxstyle.runs.folders import sides_in
from jaxstyle.runs.record import open_record
from jaxstyle.sweeps.engines.base import EventsOf, Job, Outcome, failed
from jaxstyle.sweeps.engines.worker import FAILED, FINISHED, Message
from jaxstyle.synthesis.events import Events
from jaxstyle.synthesis.tiles import Sides


class RemoteRecord:
    """The record and the events of a member that runs elsewhere.

    Attributes:
      job: the member, and where its record is.
      losses: why each attempt so far was lost.
    """

    def __init__(self, job: Job, events_of: EventsOf):
        """Opens the record.

        Raises:
          JaxstyleError: the folder holds a run already, or cannot be made.
        """
        self.job = job
        self.losses: list[str] = []
        experiment = job.member.experiment
        with contextlib.ExitStack() as opened:
            self._events = opened.enter_context(events_of(job.member))
            self._record = opened.enter_context(open_record(job.folder, experiment, elsewhere=True))
            self._record.update(title=experiment.title, **job.facts)
            self._open = opened.pop_all()

    def apply(self, message: Message) -> Outcome | None:
        """Makes the call that a message asks for; returns the outcome after the last message."""
        if message.name == FINISHED:
            self._open.close()
            return Outcome(self.job.member, self._record.manifest)
        if message.name == FAILED:
            return self.fail(JaxstyleError(message.arguments[0]))
        target = self._events if hasattr(Events, message.name) else self._record
        getattr(target, message.name)(*message.arguments, **message.options)
        return None

    def fail(self, error: Exception) -> Outcome:
        """Ends the record as failed."""
        self._end(error)
        return failed(self.job.member, error)

    def lose_attempt(self, reason: str) -> None:
        """Notes that an attempt was lost; the next one resumes from its last checkpoint."""
        self.losses.append(reason)
        self._record.lose_attempt(self.losses)

    def restore_checkpoint(self) -> Checkpoint | None:
        """The last checkpoint of an earlier attempt, in this process or an earlier one."""
        try:
            return self._record.restore_checkpoint()
        except CheckpointError as error:
            warnings.warn(f"{self.job.folder}: starts from the beginning: {error}", Note, stacklevel=2)
            self._record.delete_checkpoint()
            return None

    @property
    def sides(self) -> Sides:
        """The tiles that earlier attempts have taken at each scale."""
        return sides_in(self._record.manifest)

    def interrupt(self) -> None:
        """Ends the record as interrupted, with what it holds."""
        self._end(KeyboardInterrupt())

    def _end(self, error: BaseException) -> None:
        self._open.__exit__(type(error), error, error.__traceback__)
