"""The remote side of a cluster: runs a member that it is sent, and sends what its record should hold as messages.

Nothing here imports the cluster's library, and nothing is written to this machine's disk.
"""

import copy
import functools
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from jaxstyle.config import Experiment
from jaxstyle.devices import compilation_cache
from jaxstyle.devices.environment import environment
from jaxstyle.devices.jax_settings import pinned
from jaxstyle.images import LoadedImage
from jaxstyle.network.weights import Weights
from jaxstyle.runs.checkpoints import Checkpoint
from jaxstyle.runs.record import Recorder, describe
from jaxstyle.runs.runner import Inputs, RecordedRun
from jaxstyle.synthesis.cache import Cache
from jaxstyle.synthesis.estimates import estimate_memory, outlines, refuse_too_large, sides_of
from jaxstyle.synthesis.events import Events
from jaxstyle.synthesis.loss_terms import Terms
from jaxstyle.synthesis.preparation import SourceImages
from jaxstyle.synthesis.tiles import Sides
from jaxstyle.version import __version__

FINISHED, FAILED = "finished", "failed"
"""The last message of a member; with a failure, the reason as text."""


class Message(NamedTuple):
    """A call to be made where the record is.

    Attributes:
      name: a method of `Recorder` or `Events`, or `FINISHED` or `FAILED`.
      arguments: by position.
      options: by name.
    """

    name: str
    arguments: tuple[Any, ...] = ()
    options: Mapping[str, Any] = {}


class RemoteJob(NamedTuple):
    """What a worker needs to know of a member, besides the arrays.

    Attributes:
      experiment: without a sweep.
      folder: of its record, on the machine that keeps it.
      source: what to call the member in messages.
      remedy: how to run a member that does not fit into memory, for the message that refuses it; None to refuse none.
      reads: as of a `Job`.
      is_watched: whether the sweep was watched when the member was sent.
      sides: the tiles that earlier attempts have taken at each scale.
    """

    experiment: Experiment
    folder: Path
    source: str
    remedy: str | None
    reads: Terms | None = None
    is_watched: bool = False
    sides: Sides = {}  # noqa: RUF012  (never changed)


class MessageSender:
    """Stands for the `Recorder` and the `Events` of a member that runs here: every call becomes a message.

    Attributes:
      folder: of the record, on the machine that keeps it.
    """

    def __init__(
        self,
        folder: Path,
        checkpoint: Checkpoint | None,
        messages: "queue.SimpleQueue[Message]",
        *,
        is_watched: bool = False,
    ):
        """Sends to `messages`; the run resumes from `checkpoint`, if there is one."""
        self.folder = folder
        self._is_watched = is_watched
        self._checkpoint = checkpoint
        self._messages = messages

    def restore_checkpoint(self) -> Checkpoint | None:
        """Returns the checkpoint that came with the job."""
        return self._checkpoint

    def is_watched(self) -> bool:
        """Whether images on the way were wanted when the job was sent."""
        return self._is_watched

    def send(self, name: str, *arguments: Any, **options: Any) -> None:
        """Sends a message, with copies: arrays may be views of buffers that the next evaluation overwrites."""
        self._messages.put(Message(name, *copy.deepcopy((arguments, options))))

    def __getattr__(self, name: str) -> Callable[..., None]:
        """Any other method of `Recorder` and `Events`."""
        if name.startswith("_"):
            raise AttributeError(name)
        return functools.partial(self.send, name)


class Worker:
    """Runs members one after another, in a process that keeps its compiled programs."""

    def __init__(self) -> None:
        """Sets up jax as the commands do: programs are cached on this machine's disk."""
        compilation_cache.switch_on()
        self._should_stop = threading.Event()
        self._cache = Cache()

    def version(self) -> str:
        """The version of jaxstyle on this machine."""
        return __version__

    def stop(self) -> None:
        """Ends the member that is running, with its best image so far."""
        self._should_stop.set()

    def run_member(
        self,
        job: RemoteJob,
        checkpoint: Checkpoint | None,
        weights: Weights,
        roles: Sequence[str],
        *images: LoadedImage,
    ) -> Iterator[list[Message]]:
        """Runs a member.

        Args:
          job: the member.
          checkpoint: where an earlier attempt stopped.
          weights: the network.
          roles: what each image is for, as in `SourceImages.by_role`.
          *images: the experiment's.

        Yields:
          Messages, as many as there are; the last one is `FINISHED` or `FAILED`.
        """
        inputs = Inputs(_source_images(dict(zip(roles, images, strict=True))), weights)
        messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        sender = MessageSender(job.folder, checkpoint, messages, is_watched=job.is_watched)
        threading.Thread(target=self._run_in_thread, args=(job, inputs, sender), daemon=True).start()
        ended = False
        while not ended:
            batch = [messages.get(), *(messages.get() for _ in range(messages.qsize()))]
            ended = batch[-1].name in (FINISHED, FAILED)
            yield batch

    def _run_in_thread(self, job: RemoteJob, inputs: Inputs, sender: MessageSender) -> None:
        try:
            self._run(job, inputs, sender)
            sender.send(FINISHED)
        except BaseException as error:  # whatever it is, the process that waits for messages must learn of it
            sender.send(FAILED, describe(error))

    @pinned()
    def _run(self, job: RemoteJob, inputs: Inputs, sender: MessageSender) -> None:
        recorder, events = cast(Recorder, sender), cast(Events, sender)
        recorder.update(**environment())
        began, sides = time.perf_counter(), job.sides
        if job.remedy is not None:
            events.log("compiling")
            planned = outlines(job.experiment, *inputs, reads=job.reads, sides=sides)
            sides = sides_of(planned)
            for outline in planned:
                refuse_too_large(outline, estimate_memory(outline), source=job.source, remedy=job.remedy)
        compile_seconds = time.perf_counter() - began
        options = {"reads": job.reads, "cache": self._cache, "sides": sides}
        run = RecordedRun.prepare(job.experiment, inputs, recorder, events, **options)
        run.conclude(run.optimize(self._should_stop.is_set), compile_seconds=compile_seconds)


def _source_images(by_role: dict[str, LoadedImage]) -> SourceImages:
    """The inverse of `SourceImages.by_role`."""
    content, start = by_role.pop("content", None), by_role.pop("start", None)
    masks = {role: by_role.pop(role) for role in list(by_role) if "mask" in role}
    return SourceImages(content=content, style=tuple(by_role.values()), start=start, masks=masks)
