"""The near side of a cluster: a member's record, written from the messages of whoever carries it out."""

import contextlib
import warnings

from jaxstyle.errors import CheckpointError, JaxstyleError
from jaxstyle.runs.checkpoints import Checkpoint
from jaxstyle.runs.record import recording
from jaxstyle.sweeps.engines.base import Job, Outcome, Watcher, failed
from jaxstyle.sweeps.engines.worker import FAILED, FINISHED, Message


class RemoteRecord:
    """A member that is carried out elsewhere: what is told of it goes into its record and to its events.

    Attributes:
      job: the member, and where its record is.
      losses: why each attempt so far was lost.
    """

    def __init__(self, job: Job, watcher: Watcher):
        """Opens the record.

        Raises:
          JaxstyleError: the folder holds a run already, or cannot be made.
        """
        self.job = job
        self.losses: list[str] = []
        experiment = job.member.experiment
        with contextlib.ExitStack() as opened:
            events = opened.enter_context(watcher(job.member))
            self._record = opened.enter_context(recording(job.folder, experiment, elsewhere=True))
            self._record.update(title=experiment.title, **job.facts)
            self._open = opened.pop_all()
        self._listeners = {
            "update": self._record.update,
            "add": self._record.add,
            "rewind": self._record.rewind,
            "save_checkpoint": self._save_checkpoint,
            "delete_checkpoint": self._record.delete_checkpoint,
            "discard": self._record.discard,
            "save_image": self._record.save_image,
            "close": self._record.close,
            "log": events.log,
            "plan": events.plan,
            "progress": events.progress,
        }

    def hear(self, message: Message) -> Outcome | None:
        """Does what a message says; returns the outcome after the last one."""
        if message.name == FINISHED:
            self._open.close()
            return Outcome(self.job.member, self._record.manifest)
        if message.name == FAILED:
            return self.fail(JaxstyleError(message.arguments[0]))
        self._listeners[message.name](*message.arguments, **message.options)
        return None

    def fail(self, error: Exception) -> Outcome:
        """Ends the record as failed."""
        self._end(error)
        return failed(self.job.member, error)

    def lose(self, reason: str) -> None:
        """Notes that the attempt was lost; the next one goes on from what it has kept."""
        self.losses.append(reason)
        self._record.lose(self.losses)

    def restore_checkpoint(self) -> Checkpoint | None:
        """What an attempt goes on from: what the one before has kept, in this process or an earlier one."""
        try:
            return self._record.restore_checkpoint()
        except CheckpointError as error:
            warnings.warn(f"{self.job.folder}: begins anew: {error}", stacklevel=2)
            self._record.delete_checkpoint()
            return None

    def abandon(self) -> None:
        """Ends the record as interrupted, with what it holds."""
        self._end(KeyboardInterrupt())

    def _save_checkpoint(self, checkpoint: Checkpoint) -> None:
        try:
            self._record.save_checkpoint(checkpoint)
        except CheckpointError as error:  # the run itself is well
            warnings.warn(str(error), stacklevel=2)

    def _end(self, error: BaseException) -> None:
        self._open.__exit__(type(error), error, error.__traceback__)
