"""Members on the machines of a Ray cluster, each with an accelerator or a few cores of its own.

A worker is an actor: a process on some node that carries out members one after another (`engines/worker.py`) and
streams messages back. This process keeps the records, and decides who does what: a member whose worker dies goes to
another.
"""

import dataclasses
import functools
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

from jaxstyle.errors import JaxstyleError
from jaxstyle.images import LoadedImage
from jaxstyle.network.weights import Weights
from jaxstyle.runs import runner
from jaxstyle.runs.runner import Say
from jaxstyle.sweeps.engines.base import Job, Outcome, Watcher, failed
from jaxstyle.sweeps.engines.cluster import LOCAL, address_or_default, connected, living_nodes, reason
from jaxstyle.sweeps.engines.remote_record import RemoteRecord
from jaxstyle.sweeps.engines.resources import ACCELERATORS, Resources, Share, capacity, choose_next, choose_share
from jaxstyle.sweeps.engines.worker import Message, Order, Worker
from jaxstyle.synthesis.estimates import outlines
from jaxstyle.synthesis.preparation import read_images
from jaxstyle.version import __version__

DEATHS = 3
"""A member fails with third worker that dies on it; the sweep, with the third that does not even start."""
TICK = 0.5
"""Seconds between two looks at the cluster and at Ctrl-C, when nobody tells anything."""
PATIENCE = 20.0
"""Seconds for a node with what a member needs to join the cluster, and until it is said that all are busy."""


class Ray:
    """The engine of a cluster."""

    here = False

    def __init__(
        self,
        *,
        address: str | None = None,
        cores: int | None = None,
        accelerators: float | None = None,
        source: str = "sweep",
        remedy: str | None = None,
        say: Say = lambda message: None,
    ):
        """Takes note of what is wanted; connects to nothing yet.

        Args:
          address: `host:port` of a cluster, or `auto` for the one that this machine belongs to. None: `$RAY_ADDRESS`,
            else a cluster of this machine alone, for as long as it is needed.
          cores: CPU cores for each member; None to choose.
          accelerators: GPUs, or TPU chips, for each member; None to choose, 0 to compute on the CPU.
          source: what to call the experiment in messages.
          remedy: what to say to whom a member is refused that does not fit into a worker's memory; None to refuse none.
          say: told of the cluster, and of workers that die.
        """
        self._address = address_or_default(address)
        self._cores, self._accelerators = cores, accelerators
        self._source, self._remedy, self._say = source, remedy, say

    def carry_out(self, jobs: Sequence[Job], *, watcher: Watcher, interrupted: Callable[[], bool]) -> Iterator[Outcome]:
        """Carries out the jobs on as many workers as the cluster holds; see `Engine`.

        Raises:
          JaxstyleError: Ray is not installed, no cluster answers, or none of its nodes has what a member needs.
        """
        with connected(self._address) as ray:
            share = choose_share(living_nodes(ray), self._cores, self._accelerators)
            store = _Store(ray, self._say)
            crew = _Crew(ray, share, 0 if self._address == LOCAL else PATIENCE, self._say)
            try:
                for job in jobs:
                    try:
                        crew.waiting.append(store.task(job, self._order(job), watcher))
                    except Exception as error:  # what cannot be read belongs to this member alone
                        yield RemoteRecord(job, watcher).fail(error)
                while crew.has_work():
                    if interrupted():
                        crew.stop()
                    yield from crew.hear()
            finally:
                crew.dismiss()

    def _order(self, job: Job) -> Order:
        member = job.member
        label = f"{self._source}: member {member.index} ({member.label})" if member.values else self._source
        return Order(member.experiment, job.folder, label, self._remedy, job.reads)


@dataclasses.dataclass
class _Task:
    """A member with references to its arrays.

    Attributes:
      job: the member.
      watcher: whom to tell of it.
      order: what a worker is told.
      program: equal for members that share their compiled programs.
      arrays: the rest of `Worker.carry_out`'s arguments, arrays by reference.
      attendance: its record, once it has begun.
    """

    job: Job
    watcher: Watcher
    order: Order
    program: Hashable
    arrays: tuple[Any, ...]
    attendance: RemoteRecord | None = None


class _Store:
    """Reads what members name, and puts each network and each image into the cluster's object store once."""

    def __init__(self, ray: Any, say: Say):
        self._ray = ray
        self._load = functools.cache(lambda name: runner.load_weights(name, progress=say))
        self._references: dict[Hashable, Any] = {}

    def task(self, job: Job, order: Order, watcher: Watcher) -> _Task:
        experiment = job.member.experiment
        images, weights = read_images(experiment), self._load(experiment.network.weights)
        program = tuple(outline.program for outline in outlines(experiment, images, weights, reads=job.reads))
        by_role = images.by_role()
        references = [self._put((image.path, image.sha256), image) for image in by_role.values()]
        arrays = (self._put(experiment.network.weights, weights), list(by_role), *references)
        return _Task(job, watcher, order, program, arrays)

    def _put(self, key: Hashable, value: LoadedImage | Weights) -> Any:
        if key not in self._references:
            self._references[key] = self._ray.put(value)
        return self._references[key]


@dataclasses.dataclass(eq=False)
class _Hand:
    """A worker, as this process knows it.

    Attributes:
      actor: its handle.
      hears: what it will be heard on next: the answer to the first question, then the stream of a member.
      task: what it is doing; None until it has started.
      program: the one it has compiled last.
    """

    actor: Any
    hears: Any
    task: _Task | None = None
    program: Hashable = None


class _Crew:
    """The workers, and the members that wait for one."""

    def __init__(self, ray: Any, share: Share, patience: float, say: Say):
        self.waiting: list[_Task] = []
        self._ray, self._share, self._patience, self._say = ray, share, patience, say
        self._actor = ray.remote(Worker).options(max_concurrency=2, **share.options)
        self._hands: list[_Hand] = []
        self._false_starts = 0
        self._stopping = False
        self._last_work = time.monotonic()
        self._told = False

    def has_work(self) -> bool:
        """Whether a member waits or is being carried out."""
        return bool(self.waiting) or any(hand.task for hand in self._hands)

    def stop(self) -> None:
        """Begins no further member, and asks for the best images of those begun."""
        if self._stopping:
            return
        self._stopping = True
        for task in self.waiting:
            _abandon(task)
        self.waiting.clear()
        for hand in self._hands:
            if hand.task is not None:
                hand.actor.stop.remote()

    def dismiss(self) -> None:
        """Ends all workers; the records of what they were doing say that they were interrupted."""
        for task in [*self.waiting, *(hand.task for hand in self._hands)]:
            _abandon(task)
        for hand in [*self._hands]:
            self._dismiss(hand)

    def hear(self) -> Iterator[Outcome]:
        """Keeps everybody busy, and hears what they tell.

        Yields:
          The outcomes of members that have ended.

        Raises:
          JaxstyleError: no node has what a member needs, or workers do not start.
        """
        self._staff()
        if not self._hands:
            time.sleep(TICK)
            return
        telling, _ = self._ray.wait([hand.hears for hand in self._hands], timeout=TICK)
        for hand in [hand for hand in self._hands if any(hand.hears is one for one in telling)]:
            try:
                told = self._ray.get(hand.hears if hand.task is None else next(hand.hears))
            except self._ray.exceptions.RayError as error:
                yield from self._lose(hand, error)
                continue
            yield from self._follow(hand, told) if hand.task else self._welcome(hand, told)

    def _staff(self) -> None:
        """Takes on workers while there is work for them and room."""
        nodes = living_nodes(self._ray)
        room = capacity(nodes, self._share)
        starting = sum(hand.task is None for hand in self._hands)
        for _ in range(min(len(self.waiting) - starting, room - len(self._hands))):
            actor = self._actor.remote()
            self._hands.append(_Hand(actor, actor.version.remote()))
        waited = time.monotonic() - self._last_work
        if any(hand.task for hand in self._hands):
            self._last_work = time.monotonic()
        elif not room and waited >= self._patience:
            raise JaxstyleError(f"no node of the cluster has {self._share}, which a member needs; {_describe(nodes)}")
        elif waited > PATIENCE and not self._told:
            self._told = True
            self._say(f"waiting for a worker: each takes {self._share}; {_describe(nodes)}, perhaps in use by others")

    def _welcome(self, hand: _Hand, version: str) -> Iterator[Outcome]:
        """Gives a worker that has started its first member."""
        if version != __version__:
            raise JaxstyleError(
                f"a node of the cluster has jaxstyle {version}, this machine {__version__}; allowed: one"
            )
        self._false_starts = 0
        yield from self._give(hand)

    def _follow(self, hand: _Hand, messages: Sequence[Message]) -> Iterator[Outcome]:
        """Does what a worker's messages say, and gives it another member after the last."""
        assert hand.task is not None
        assert hand.task.attendance is not None
        for message in messages:
            try:
                outcome = hand.task.attendance.hear(message)
            except Exception as error:  # the record cannot be written: the member has failed, and is still computed
                yield hand.task.attendance.fail(error)
                self._dismiss(hand)
                return
            if outcome is not None:
                yield outcome
                yield from self._give(hand)

    def _give(self, hand: _Hand) -> Iterator[Outcome]:
        """Gives a worker a member that waits; without one it is not needed any more."""
        hand.task = None
        while self.waiting:
            others = {other.program for other in self._hands if other is not hand}
            task = self.waiting.pop(choose_next([task.program for task in self.waiting], hand.program, others))
            try:
                task.attendance = task.attendance or RemoteRecord(task.job, task.watcher)
            except Exception as error:  # its folder cannot be made
                yield failed(task.job.member, error)
                continue
            hand.task, hand.program = task, task.program
            carry_out = hand.actor.carry_out.options(num_returns="streaming")
            hand.hears = carry_out.remote(task.order, task.attendance.restore_checkpoint(), *task.arrays)
            return
        self._dismiss(hand)

    def _lose(self, hand: _Hand, error: Exception) -> Iterator[Outcome]:
        """Gives the member of a worker that died to another one, unless it has cost too many."""
        self._dismiss(hand)
        if hand.task is None:
            self._false_starts += 1
            if self._false_starts == DEATHS:
                hint = "is the same jaxstyle[ray] installed on every node?"
                raise JaxstyleError(f"{DEATHS} workers did not start; {hint} The last one: {reason(error)}")
            return
        task, attendance = hand.task, hand.task.attendance
        assert attendance is not None
        attendance.lose(reason(error))
        if self._stopping:
            attendance.abandon()
        elif len(attendance.losses) == DEATHS:
            yield attendance.fail(JaxstyleError(f"its worker died, {DEATHS} times; the last time: {reason(error)}"))
        else:
            self._say(f"{task.order.source}: its worker died, and another takes it over: {reason(error)}")
            self.waiting.insert(0, task)

    def _dismiss(self, hand: _Hand) -> None:
        self._hands.remove(hand)
        self._ray.kill(hand.actor)


def _abandon(task: _Task | None) -> None:
    if task is not None and task.attendance is not None:
        task.attendance.abandon()


def _describe(nodes: Sequence[Resources]) -> str:
    """Returns `its nodes have 4 CPU, 8 CPU + 1 GPU`."""
    kinds = ("CPU", *ACCELERATORS)
    each = (" + ".join(f"{node[kind]:g} {kind}" for kind in kinds if node.get(kind)) or "nothing" for node in nodes)
    return f"its nodes have {', '.join(dict.fromkeys(each))}"
