"""Members on the machines of a Ray cluster, each with an accelerator or a few cores of its own.

A worker is a Ray actor: a process on some node that runs members one after another (`engines/worker.py`) and streams
messages back. This process keeps the records and assigns the members: one whose worker dies goes to another.
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
from jaxstyle.runs.previews import is_watched
from jaxstyle.sweeps.engines.base import EventsOf, Job, Outcome, failed
from jaxstyle.sweeps.engines.cluster import LOCAL, address_or_default, connected, living_nodes, reason
from jaxstyle.sweeps.engines.remote_record import RemoteRecord
from jaxstyle.sweeps.engines.resources import (
    ACCELERATORS,
    MemberResources,
    Resources,
    capacity,
    choose_next,
    choose_resources,
)
from jaxstyle.sweeps.engines.worker import Message, RemoteJob, Worker
from jaxstyle.synthesis.estimates import outlines
from jaxstyle.synthesis.preparation import read_images
from jaxstyle.version import __version__

Log = Callable[[str], None]

MOST_DEATHS = 3
"""A member fails when the third worker dies that runs it; the sweep, when the third in a row does not even start."""
POLL_SECONDS = 0.5
"""Between two looks at the cluster and at Ctrl-C while no message comes."""
PATIENCE = 20.0
"""Seconds for a node with what a member needs to join the cluster, and until a message says that all are busy."""


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
        log: Log = lambda message: None,
    ):
        """Connects to nothing yet.

        Args:
          address: `host:port` of a cluster, or `auto` for the one that this machine belongs to. None: `$RAY_ADDRESS`,
            else a cluster of this machine alone, for as long as it is needed.
          cores: CPU cores for each member; None to choose.
          accelerators: GPUs, or TPU chips, for each member; None to choose, 0 to compute on the CPU.
          source: what to call the experiment in messages.
          remedy: how to run a member that does not fit into a worker's memory, for the message that refuses it; None
            to refuse none.
          log: called with messages about the cluster, and about workers that die.
        """
        self._address = address_or_default(address)
        self._cores, self._accelerators = cores, accelerators
        self._source, self._remedy, self._log = source, remedy, log

    def run_jobs(
        self, jobs: Sequence[Job], *, events_of: EventsOf, interrupted: Callable[[], bool]
    ) -> Iterator[Outcome]:
        """Runs the jobs on as many workers as the cluster holds; see `Engine`.

        Raises:
          JaxstyleError: Ray is not installed, no cluster answers, or none of its nodes has what a member needs.
        """
        with connected(self._address) as ray:
            resources = choose_resources(living_nodes(ray), self._cores, self._accelerators)
            store = _ObjectStore(ray, self._log)
            pool = _WorkerPool(ray, resources, 0 if self._address == LOCAL else PATIENCE, self._log)
            try:
                for job in jobs:
                    try:
                        pool.queue.append(store.put_job(job, self._remote(job), events_of))
                    except Exception as error:  # what cannot be read belongs to this member alone
                        yield RemoteRecord(job, events_of).fail(error)
                while pool.is_busy():
                    if interrupted():
                        pool.stop()
                    yield from pool.poll()
            finally:
                pool.shut_down()

    def _remote(self, job: Job) -> RemoteJob:
        member = job.member
        label = f"{self._source}: member {member.index} ({member.label})" if member.values else self._source
        wanted = is_watched(job.folder) or member.experiment.output.tensorboard
        return RemoteJob(member.experiment, job.folder, label, self._remedy, job.reads, wanted)


@dataclasses.dataclass
class _QueuedJob:
    """A member with references to its arrays.

    Attributes:
      job: the member.
      events_of: opens its events.
      remote: what a worker needs to know.
      program: equal for members that share their compiled programs.
      arrays: the rest of `Worker.run_member`'s arguments, arrays by reference.
      record: the member's, once it has started.
    """

    job: Job
    events_of: EventsOf
    remote: RemoteJob
    program: Hashable
    arrays: tuple[Any, ...]
    record: RemoteRecord | None = None

    def interrupt(self) -> None:
        """Ends the record, if there is one, as interrupted."""
        if self.record is not None:
            self.record.interrupt()


class _ObjectStore:
    """Reads what members name, and puts each network and each image into the cluster's object store once."""

    def __init__(self, ray: Any, log: Log):
        self._ray = ray
        self._load = functools.cache(lambda name: runner.load_weights(name, progress=log))
        self._references: dict[Hashable, Any] = {}

    def put_job(self, job: Job, remote: RemoteJob, events_of: EventsOf) -> _QueuedJob:
        experiment = job.member.experiment
        images, weights = read_images(experiment), self._load(experiment.network.weights)
        program = tuple(outline.program for outline in outlines(experiment, images, weights, reads=job.reads))
        by_role = images.by_role()
        references = [self._put((image.path, image.sha256), image) for image in by_role.values()]
        arrays = (self._put(experiment.network.weights, weights), list(by_role), *references)
        return _QueuedJob(job, events_of, remote, program, arrays)

    def _put(self, key: Hashable, value: LoadedImage | Weights) -> Any:
        if key not in self._references:
            self._references[key] = self._ray.put(value)
        return self._references[key]


@dataclasses.dataclass(eq=False)
class _WorkerHandle:
    """A worker, as this process knows it.

    Attributes:
      actor: Ray's handle.
      pending: what the worker will answer next: its version, then the messages of a member.
      queued: the member that it runs; None until it has started.
      program: the one that it has compiled last.
    """

    actor: Any
    pending: Any
    queued: _QueuedJob | None = None
    program: Hashable = None


class _WorkerPool:
    """The workers, and the members that wait for one.

    Ray places the workers and carries messages and arrays. What it does not do is done here: a member that is tried
    again resumes from the last checkpoint that has arrived, and members with the same program go to the same worker.
    """

    def __init__(self, ray: Any, resources: MemberResources, patience: float, log: Log):
        self.queue: list[_QueuedJob] = []
        self._ray, self._resources, self._patience, self._log = ray, resources, patience, log
        self._actor = ray.remote(Worker).options(max_concurrency=2, **resources.options)
        self._workers: list[_WorkerHandle] = []
        self._failed_starts = 0
        self._stopping = False
        self._last_busy = time.monotonic()
        self._has_reported_wait = False

    def is_busy(self) -> bool:
        """Whether a member waits or runs."""
        return bool(self.queue) or any(worker.queued for worker in self._workers)

    def stop(self) -> None:
        """Starts no further member, and asks those that run for their best images."""
        if self._stopping:
            return
        self._stopping = True
        for queued in self.queue:
            queued.interrupt()
        self.queue.clear()
        for worker in self._workers:
            if worker.queued is not None:
                worker.actor.stop.remote()

    def shut_down(self) -> None:
        """Kills all workers; the records of what they were running say that they were interrupted."""
        for queued in [*self.queue, *(worker.queued for worker in self._workers if worker.queued)]:
            queued.interrupt()
        for worker in [*self._workers]:
            self._kill(worker)

    def poll(self) -> Iterator[Outcome]:
        """Starts workers, waits a moment for messages, and applies them.

        Yields:
          The outcomes of members that have ended.

        Raises:
          JaxstyleError: no node has what a member needs, or workers do not start.
        """
        self._start_workers()
        if not self._workers:
            time.sleep(POLL_SECONDS)
            return
        ready, _ = self._ray.wait([worker.pending for worker in self._workers], timeout=POLL_SECONDS)
        for worker in [worker for worker in self._workers if any(worker.pending is one for one in ready)]:
            try:
                answer = self._ray.get(worker.pending if worker.queued is None else next(worker.pending))
            except self._ray.exceptions.RayError as error:
                yield from self._on_death(worker, error)
                continue
            yield from self._on_messages(worker, answer) if worker.queued else self._on_start(worker, answer)

    def _start_workers(self) -> None:
        """Starts workers while there is work for them and room in the cluster."""
        nodes = living_nodes(self._ray)
        room = capacity(nodes, self._resources)
        starting = sum(worker.queued is None for worker in self._workers)
        for _ in range(min(len(self.queue) - starting, room - len(self._workers))):
            actor = self._actor.remote()
            self._workers.append(_WorkerHandle(actor, actor.version.remote()))
        waited = time.monotonic() - self._last_busy
        if any(worker.queued for worker in self._workers):
            self._last_busy = time.monotonic()
        elif not room and waited >= self._patience:
            raise JaxstyleError(f"no node of the cluster has {self._resources}, which a member needs; {_nodes(nodes)}")
        elif waited > PATIENCE and not self._has_reported_wait:
            self._has_reported_wait = True
            self._log(f"waiting for a worker: each takes {self._resources}; {_nodes(nodes)}, perhaps in use by others")

    def _on_start(self, worker: _WorkerHandle, version: str) -> Iterator[Outcome]:
        """Assigns the first member to a worker."""
        if version != __version__:
            raise JaxstyleError(
                f"a node of the cluster has jaxstyle {version}, this machine {__version__}; allowed: one"
            )
        self._failed_starts = 0
        yield from self._assign_next(worker)

    def _on_messages(self, worker: _WorkerHandle, messages: Sequence[Message]) -> Iterator[Outcome]:
        """Applies a worker's messages to its member's record, and assigns another member after the last."""
        assert worker.queued is not None
        assert worker.queued.record is not None
        for message in messages:
            try:
                outcome = worker.queued.record.apply(message)
            except Exception as error:  # the record cannot be written: the member has failed, and still runs
                yield worker.queued.record.fail(error)
                self._kill(worker)
                return
            if outcome is not None:
                yield outcome
                yield from self._assign_next(worker)

    def _assign_next(self, worker: _WorkerHandle) -> Iterator[Outcome]:
        """Assigns a member from the queue; where there is none the worker is not needed any more."""
        worker.queued = None
        while self.queue:
            others = {other.program for other in self._workers if other is not worker}
            queued = self.queue.pop(choose_next([queued.program for queued in self.queue], worker.program, others))
            try:
                queued.record = queued.record or RemoteRecord(queued.job, queued.events_of)
            except Exception as error:  # its folder cannot be made
                yield failed(queued.job.member, error)
                continue
            worker.queued, worker.program = queued, queued.program
            run_member = worker.actor.run_member.options(num_returns="streaming")
            remote = queued.remote._replace(sides=queued.record.sides)
            worker.pending = run_member.remote(remote, queued.record.restore_checkpoint(), *queued.arrays)
            return
        self._kill(worker)

    def _on_death(self, worker: _WorkerHandle, error: Exception) -> Iterator[Outcome]:
        """Puts the member of a worker that died first in the queue, unless too many have died running it."""
        self._kill(worker)
        if worker.queued is None:
            self._failed_starts += 1
            if self._failed_starts == MOST_DEATHS:
                hint = "is the same jaxstyle[ray] installed on every node?"
                raise JaxstyleError(f"{MOST_DEATHS} workers did not start; {hint} The last one: {reason(error)}")
            return
        queued, record = worker.queued, worker.queued.record
        assert record is not None
        record.lose_attempt(reason(error))
        if self._stopping:
            record.interrupt()
        elif len(record.losses) == MOST_DEATHS:
            yield record.fail(JaxstyleError(f"its worker died, {MOST_DEATHS} times; the last time: {reason(error)}"))
        else:
            self._log(f"{queued.remote.source}: its worker died, and another takes it over: {reason(error)}")
            self.queue.insert(0, queued)

    def _kill(self, worker: _WorkerHandle) -> None:
        self._workers.remove(worker)
        self._ray.kill(worker.actor)


def _nodes(nodes: Sequence[Resources]) -> str:
    """Returns `its nodes have 4 CPU, 8 CPU + 1 GPU`."""
    kinds = ("CPU", *ACCELERATORS)
    each = (" + ".join(f"{node[kind]:g} {kind}" for kind in kinds if node.get(kind)) or "nothing" for node in nodes)
    return f"its nodes have {', '.join(dict.fromkeys(each))}"
