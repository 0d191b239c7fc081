"""The far side of a cluster: carries out a member that it is sent, and tells what a record should hold as messages.

Nothing here knows the cluster's library, and nothing is written to this machine's disk.
"""

import queue
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxstyle.config import Experiment
from jaxstyle.devices import compilation_cache, deterministic
from jaxstyle.devices.environment import environment
from jaxstyle.devices.jax_settings import pinned
from jaxstyle.images import LoadedImage
from jaxstyle.network.weights import Weights
from jaxstyle.optimizers import Iteration
from jaxstyle.runs.checkpoints import Checkpoint
from jaxstyle.runs.record import describe
from jaxstyle.runs.runner import Inputs, carry_out
from jaxstyle.synthesis.cache import Cache
from jaxstyle.synthesis.estimates import estimate_memory, outlines, refuse_too_large
from jaxstyle.synthesis.events import Events
from jaxstyle.synthesis.loss_terms import Terms
from jaxstyle.synthesis.preparation import SourceImages
from jaxstyle.synthesis.scales import Scale
from jaxstyle.version import __version__

FINISHED, FAILED = "finished", "failed"
"""The last message of a member; with a failure, the reason as text."""


class Message(NamedTuple):
    """Something told: a call to be made where the record is.

    Attributes:
      name: a method of `Recorder` or `Events`, or `FINISHED` or `FAILED`.
      arguments: by position.
      options: by name.
    """

    name: str
    arguments: tuple[Any, ...] = ()
    options: Mapping[str, Any] = {}


class Order(NamedTuple):
    """What a worker needs to know of a member, besides the arrays.

    Attributes:
      experiment: without a sweep.
      folder: of its record, on the machine that keeps it.
      source: what to call the member in messages.
      remedy: what to say to whom a member is refused that does not fit into memory; None to refuse none.
      reads: as of a `Job`.
    """

    experiment: Experiment
    folder: Path
    source: str
    remedy: str | None
    reads: Terms | None = None


class Teller(Events):
    """The `Recorder` and the `Events` of a member that is carried out here: turns every call into a message."""

    def __init__(self, folder: Path, checkpoint: Checkpoint | None, messages: "queue.SimpleQueue[Message]"):
        """Tells of a run whose record is in `folder`, somewhere, with the checkpoint that it goes on from."""
        self.folder = folder
        self._checkpoint = checkpoint
        self._messages = messages

    def tell(self, name: str, *arguments: Any, **options: Any) -> None:
        """Sends a message."""
        self._messages.put(Message(name, arguments, options))

    def update(self, **facts: Any) -> None:
        """Adds facts to the manifest."""
        self.tell("update", **facts)

    def add(self, iterations: Sequence[Mapping[str, Any]]) -> None:
        """Appends a line of metrics for each iteration."""
        self.tell("add", iterations)

    def rewind(self, iterations: Sequence[Mapping[str, Any]]) -> None:
        """Makes these lines all there is of the metrics."""
        self.tell("rewind", iterations)

    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Keeps what a later process needs to go on."""
        # Copied: on the CPU the arrays are views of buffers that the next evaluation would take.
        self.tell("save_checkpoint", Checkpoint(jax.tree.map(np.array, checkpoint.arrays), checkpoint.facts))

    def restore_checkpoint(self) -> Checkpoint | None:
        """Returns what came with the order."""
        return self._checkpoint

    def delete_checkpoint(self) -> None:
        """Keeps nothing any longer."""
        self.tell("delete_checkpoint")

    def discard(self) -> None:
        """Keeps neither a checkpoint nor a result any longer."""
        self.tell("discard")

    def save_image(self, name: str, pixels: np.ndarray, *, bits: int, metadata: Mapping[str, str]) -> None:
        """Writes an image into the folder."""
        # Copied: the optimizer gives the buffer to its next evaluation, and the metadata grow.
        self.tell("save_image", name, np.array(pixels), bits=bits, metadata=dict(metadata))

    def close(self, status: str, **facts: Any) -> None:
        """Ends the record."""
        self.tell("close", status, **facts)

    def log(self, message: str) -> None:
        """What is being done."""
        self.tell("log", message)

    def plan(self, scales: Sequence[Scale]) -> None:
        """Tells the scales."""
        self.tell("plan", scales)

    def progress(self, iterations: Sequence[Iteration]) -> None:
        """Shows the iterations that are new."""
        self.tell("progress", iterations)


class Worker:
    """Carries out members one after another, in a process that keeps its compiled programs."""

    def __init__(self) -> None:
        """Computes as the commands do: GPUs repeat themselves, programs are kept on this machine's disk."""
        deterministic.ask_for()
        compilation_cache.switch_on()
        self._asked_to_stop = threading.Event()
        self._cache = Cache()

    def version(self) -> str:
        """The version of jaxstyle on this machine."""
        return __version__

    def stop(self) -> None:
        """Ends the member that is being carried out, with its best image so far."""
        self._asked_to_stop.set()

    def carry_out(
        self, order: Order, checkpoint: Checkpoint | None, weights: Weights, roles: Sequence[str], *images: LoadedImage
    ) -> Iterator[list[Message]]:
        """Carries out a member.

        Args:
          order: what to do.
          checkpoint: where an earlier attempt stood.
          weights: the network.
          roles: what each image is for, as `SourceImages.by_role` has it.
          *images: the experiment's.

        Yields:
          Messages, as many as there are; the last one is `FINISHED` or `FAILED`.
        """
        inputs = Inputs(_assemble(dict(zip(roles, images, strict=True))), weights)
        messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        teller = Teller(order.folder, checkpoint, messages)
        threading.Thread(target=self._work, args=(order, inputs, teller), daemon=True).start()
        ended = False
        while not ended:
            batch = [messages.get(), *(messages.get() for _ in range(messages.qsize()))]
            ended = batch[-1].name in (FINISHED, FAILED)
            yield batch

    def _work(self, order: Order, inputs: Inputs, teller: Teller) -> None:
        try:
            self._carry_out(order, inputs, teller)
            teller.tell(FINISHED)
        except BaseException as error:  # whoever waits for messages must hear of it, whatever it is
            teller.tell(FAILED, describe(error))

    @pinned()
    def _carry_out(self, order: Order, inputs: Inputs, teller: Teller) -> None:
        teller.update(**environment())
        began = time.perf_counter()
        if order.remedy is not None:
            teller.log("compiling")
            for planned in outlines(order.experiment, *inputs, reads=order.reads):
                refuse_too_large(planned, estimate_memory(planned), source=order.source, remedy=order.remedy)
        carry_out(
            order.experiment,
            inputs,
            teller,
            events=teller,
            interrupted=self._asked_to_stop.is_set,
            reads=order.reads,
            cache=self._cache,
            compiled_ahead=time.perf_counter() - began,
        )


def _assemble(by_role: dict[str, LoadedImage]) -> SourceImages:
    """Undoes `SourceImages.by_role`."""
    content, start = by_role.pop("content", None), by_role.pop("start", None)
    masks = {role: by_role.pop(role) for role in list(by_role) if "mask" in role}
    return SourceImages(content=content, style=tuple(by_role.values()), start=start, masks=masks)
