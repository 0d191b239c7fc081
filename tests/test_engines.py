"""Engines: the same numbers wherever a member is carried out, and no member lost when a machine is."""

import contextlib
import csv
import json
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_runs import make, read_manifest, read_metrics
from typer.testing import CliRunner

from jaxstyle.cli.main import app
from jaxstyle.errors import JaxstyleError, Note
from jaxstyle.images import read_image, write_image
from jaxstyle.network.weights import Weights
from jaxstyle.optimizers import Iteration, Status
from jaxstyle.runs import checkpoints, runner
from jaxstyle.runs.checkpoints import Checkpoint
from jaxstyle.runs.folders import CHECKPOINT
from jaxstyle.sweeps import engines
from jaxstyle.sweeps.engines import Job, Local, cluster
from jaxstyle.sweeps.engines.ray import Ray
from jaxstyle.sweeps.engines.remote_record import RemoteRecord
from jaxstyle.sweeps.engines.resources import MemberResources, capacity, choose_next, choose_resources
from jaxstyle.sweeps.engines.worker import FAILED, FINISHED, Message, RemoteJob, Worker
from jaxstyle.sweeps.expansion import Member, expand
from jaxstyle.sweeps.members import run_members
from jaxstyle.sweeps.sharing import share
from jaxstyle.synthesis.events import Events
from jaxstyle.synthesis.preparation import read_images
from jaxstyle.synthesis.scales import Scale

CORES = len(os.sched_getaffinity(0))
"""As many threads as a run has here: with another number sums have another order, and results another last bit."""
PATIENCE = 600  # seconds for processes to end on a busy machine


@pytest.fixture(scope="module", autouse=True)
def tiny_network(tiny: Weights):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "load_weights", lambda name, progress: tiny)
        yield


class Silent:
    """Watches a member and does nothing but call back."""

    def __init__(self, seen: Callable[[Sequence[Iteration]], None] = lambda iterations: None):
        self.seen = seen

    def log(self, message: str) -> None:
        pass

    def plan(self, scales: Sequence[Scale]) -> None:
        pass

    def progress(self, iterations: Sequence[Iteration]) -> None:
        self.seen(iterations)


class Telling(Silent):
    """Keeps what is said."""

    def __init__(self, told: list[str]):
        super().__init__()
        self.told = told

    def log(self, message: str) -> None:
        self.told.append(message)


@contextlib.contextmanager
def silent(member: Member) -> Iterator[Events]:
    yield Silent()


def without_clocks(record: Path) -> dict[str, Any]:
    """Everything in a run's folder that depends neither on how fast the machine is nor on what a worker is told."""
    clocks = {
        "started",
        "ended",
        "compile_seconds",
        "run_seconds",
        "peak_memory_bytes",
        "lost_attempts",
        "jax_settings",
    }
    return {
        "manifest": {key: value for key, value in read_manifest(record).items() if key not in clocks},
        "metrics": [{key: value for key, value in line.items() if key != "seconds"} for line in read_metrics(record)],
        "images": {str(path.relative_to(record)): path.read_bytes() for path in record.rglob("*.png")},
        "experiment": json.loads((record / "experiment.json").read_text()),
    }


def rows(table: Path) -> list[dict[str, str]]:
    with open(table, newline="", encoding="utf-8") as file:
        return [{key: value for key, value in row.items() if key != "run_seconds"} for row in csv.DictReader(file)]


# What a member takes of a cluster

GPU_NODE, CPU_NODE, TPU_NODE = {"CPU": 32.0, "GPU": 8.0}, {"CPU": 16.0}, {"CPU": 96.0, "TPU": 4.0}


@pytest.mark.parametrize(
    ("nodes", "cores", "accelerators", "resources", "room"),
    [
        ([GPU_NODE, GPU_NODE], None, None, MemberResources(1, "GPU", 1), 16),
        ([GPU_NODE, CPU_NODE], None, None, MemberResources(1, "GPU", 1), 8),
        ([GPU_NODE], 8, None, MemberResources(8, "GPU", 1), 4),
        ([GPU_NODE], None, 0.5, MemberResources(1, "GPU", 0.5), 16),
        ([GPU_NODE, CPU_NODE], None, 0, MemberResources(4), 12),
        ([TPU_NODE], None, None, MemberResources(1, "TPU", 1), 4),
        ([CPU_NODE, {"CPU": 2.0}, {"CPU": 0.0}], None, None, MemberResources(2), 9),
        ([CPU_NODE], 16, None, MemberResources(16), 1),
        ([CPU_NODE], 17, None, MemberResources(17), 0),
        ([CPU_NODE], None, 1, MemberResources(1, "GPU", 1), 0),
        ([], None, None, MemberResources(4), 0),
    ],
)
def test_a_member_takes_an_accelerator_where_there_are_some(nodes, cores, accelerators, resources, room):
    assert choose_resources(nodes, cores, accelerators) == resources
    assert capacity(nodes, resources) == room


def test_jax_is_told_what_is_its_own_before_it_starts():
    assert MemberResources(3).options == {
        "num_cpus": 3,
        "runtime_env": {"env_vars": {"JAX_PLATFORMS": "cpu", "NPROC": "3"}},
    }
    assert MemberResources(1, "GPU", 1).options == {"num_cpus": 1, "num_gpus": 1, "runtime_env": {"env_vars": {}}}
    assert MemberResources(1, "GPU", 0.5).environment == {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    assert MemberResources(1, "TPU", 1).options["resources"] == {"TPU": 1}


@pytest.mark.parametrize(("own", "others", "taken"), [("b", set(), 1), (None, {"a"}, 1), ("z", {"a", "b"}, 0)])
def test_a_worker_keeps_to_its_program_and_then_takes_one_that_nobody_has(own: Any, others: set[str], taken: int):
    assert choose_next(["a", "b", "b"], own, others) == taken


# The two sides of a wire


def send(
    worker: Worker, job: Job, tiny: Weights, checkpoint: Checkpoint | None = None, **changes: Any
) -> Iterator[list[Message]]:
    experiment = job.member.experiment
    by_role = read_images(experiment).by_role()
    remote = RemoteJob(experiment, job.folder, "small", "No remedy.")._replace(**changes)
    remote = pickle.loads(pickle.dumps(remote))  # as Ray sends it
    return worker.run_member(remote, checkpoint, tiny, list(by_role), *by_role.values())


def job_of(folder: Path, *overrides: str, name: str = "run", **sections: Any) -> Job:
    return Job(expand(make(folder, *overrides, **sections))[0], folder / name, {"batch": 7})


def test_a_record_from_messages_is_the_record(tmp_path: Path, tiny: Weights):
    styles = {"style": [{"image": "style.png", "weight": 2}, "content.png"], "content": "content.png"}
    overrides = ("output.save_every=2", "optimizer.iterations=5", f"start.method={tmp_path / 'style.png'}")
    here, there = (job_of(tmp_path, *overrides, name=name, image=styles) for name in ("here", "there"))
    (local,) = Local().run_jobs([here], events_of=silent, interrupted=lambda: False)
    record = RemoteRecord(there, silent)
    outcomes = [record.apply(message) for batch in send(Worker(), there, tiny) for message in batch]
    assert outcomes[-1] is not None
    assert {*outcomes[:-1]} == {None}
    assert outcomes[-1].manifest == read_manifest(there.folder)
    assert local.manifest == read_manifest(here.folder)
    assert without_clocks(there.folder) == without_clocks(here.folder)


def test_regions_and_terms_travel(tmp_path: Path, tiny: Weights):
    """What is guided, what is kept, and what is drawn anew in every block of steps."""
    for name, edge in (("left", 0), ("right", 1)):
        mask = np.full((24, 32, 3), 1 - edge, np.float32)
        mask[:, 16:] = edge
        write_image(tmp_path / f"{name}.png", mask)
    left, right = (str(tmp_path / f"{name}.png") for name in ("left", "right"))
    regions = {"a": {"content": left, "style": right}, "b": {"content": right, "style": left}}
    image = {"content": "content.png", "style": "style.png", "regions": regions, "keep": left}
    terms = [{"kind": kind, "layers": ["conv1_1"]} for kind in ("means", "sliced-wasserstein")]
    terms[1] |= {"block": 2}  # pyright: ignore[reportArgumentType]
    settings = {"image": image, "loss": {"terms": terms, "normalize": "gradients"}}
    here, there = (job_of(tmp_path, name=name, **settings) for name in ("here", "there"))
    list(Local().run_jobs([here], events_of=silent, interrupted=lambda: False))
    record = RemoteRecord(there, silent)
    (reads,) = share([there.member.experiment])
    for message in (message for batch in send(Worker(), there, tiny, reads=reads) for message in batch):
        record.apply(message)
    assert without_clocks(there.folder) == without_clocks(here.folder)
    named = {"style/conv1_1/a", "style/conv1_1/b", "means/conv1_1/a", "sliced-wasserstein/conv1_1"}
    assert named <= read_metrics(there.folder)[-1]["terms"].keys()


def test_a_member_that_raises_is_failed_with_its_reason(tmp_path: Path, tiny: Weights):
    job = job_of(tmp_path, loss={"content_layers": ["conv5_1"]})  # the tiny network ends before
    record = RemoteRecord(job, silent)
    messages = [message for batch in send(Worker(), job, tiny, remedy=None) for message in batch]
    assert [message.name for message in messages if message.name in (FINISHED, FAILED)] == [FAILED]
    outcome = [record.apply(message) for message in messages][-1]
    assert outcome is not None
    manifest = read_manifest(job.folder)
    assert (outcome.status, manifest["status"], manifest["error"]) == ("failed", "failed", outcome.error)


def test_a_worker_that_is_stopped_sends_its_best_image(tmp_path: Path, tiny: Weights):
    job, worker = job_of(tmp_path, "optimizer.iterations=100000"), Worker()
    record = RemoteRecord(job, silent)
    outcome = None
    for batch in send(worker, job, tiny):
        for message in batch:
            outcome = record.apply(message)
        if read_metrics(job.folder):
            worker.stop()
    assert outcome is not None
    assert outcome.status == Status.INTERRUPTED == read_manifest(job.folder)["status"]
    assert read_image(job.folder / "result.png").pixels.shape == (24, 32, 3)


def test_an_attempt_that_is_lost_leaves_no_trace_but_its_reason(tmp_path: Path, tiny: Weights):
    here, there = (
        job_of(tmp_path, "output.save_every=1", "optimizer.iterations=4", name=name) for name in ("here", "there")
    )
    list(Local().run_jobs([here], events_of=silent, interrupted=lambda: False))
    record = RemoteRecord(there, silent)
    for batch in send(Worker(), there, tiny):  # all but the last message: the worker dies at the worst moment
        for message in batch:
            if message.name != FINISHED:
                record.apply(message)
    record.lose_attempt("the lights went out")
    assert read_manifest(there.folder)["status"] == "running"
    for batch in send(Worker(), there, tiny):
        for message in batch:
            record.apply(message)
    assert without_clocks(there.folder) == without_clocks(here.folder)
    assert read_manifest(there.folder)["lost_attempts"] == ["the lights went out"]


def test_the_next_attempt_goes_on_from_what_the_lost_one_has_kept(tmp_path: Path, tiny: Weights):
    overrides = ("output.save_every=2", "optimizer.iterations=9", "output.checkpoint_seconds=1e-9")
    here, there = (job_of(tmp_path, *overrides, name=name) for name in ("here", "there"))
    list(Local().run_jobs([here], events_of=silent, interrupted=lambda: False))
    told: list[str] = []
    record = RemoteRecord(there, lambda member: contextlib.nullcontext(Telling(told)))
    for message in (message for batch in send(Worker(), there, tiny) for message in batch):
        record.apply(message)
        if message.name == "save_checkpoint":  # the worker dies right after it
            break
    record.lose_attempt("the lights went out")
    checkpoint = record.restore_checkpoint()
    assert checkpoint is not None
    for batch in send(Worker(), there, tiny, checkpoint):
        for message in batch:
            record.apply(message)
    assert any(message.startswith("resuming after iteration ") for message in told)
    assert without_clocks(there.folder) == without_clocks(here.folder)
    last = checkpoints.restore(there.folder / CHECKPOINT)
    assert last is not None
    assert last.facts["saved"]["history"][-1]["iteration"] == 9  # the state that the run ended with


def test_what_is_abandoned_says_that_it_was_interrupted(tmp_path: Path):
    record = RemoteRecord(job_of(tmp_path), silent)
    record.interrupt()
    record.interrupt()
    assert read_manifest(tmp_path / "run")["status"] == "interrupted"


def test_what_members_share_goes_into_the_object_store_once(tmp_path: Path, tiny: Weights):
    class Library:
        def __init__(self) -> None:
            self.put_in: list[Any] = []

        def put(self, value: Any) -> int:
            self.put_in.append(value)
            return len(self.put_in)

    library = Library()
    store = engines.ray._ObjectStore(library, lambda message: None)
    experiment = make(tmp_path, "sweep.start.seed=[1, 2, 3]")
    tasks = [
        store.put_job(job, RemoteJob(job.member.experiment, job.folder, "", None), silent)
        for job in (Job(member, tmp_path / str(member.index), {}) for member in expand(experiment))
    ]
    assert [Path(value.path).name for value in library.put_in] == ["content.png", "style.png", "tiny"]
    assert len({str(task.arrays) for task in tasks}) == len({task.program for task in tasks}) == 1


# A real cluster


class Nodes:
    """A cluster of a head and one node, which can be killed and replaced by another."""

    def __init__(self, process: "subprocess.Popen[str]", errors: Path):
        self.process, self.errors = process, errors
        self.address = self.answer()

    def answer(self) -> str:
        assert self.process.stdout is not None
        answer = self.process.stdout.readline().strip()
        assert answer, f"the cluster has died: {self.errors.read_text()}"
        return answer

    def replace(self) -> None:
        assert self.process.stdin is not None
        print("replace", file=self.process.stdin, flush=True)
        assert self.answer() == "done"


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    pytest.importorskip("ray", reason="the extra ray is not installed")
    folder = tempfile.mkdtemp(prefix="jr-", dir="/tmp")  # short: the path of a socket has 107 characters at most
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, str(Path(__file__).with_name("ray_nodes.py")), folder, str(CORES)]
    with open(Path(folder, "errors"), "w") as errors:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": errors}
        with subprocess.Popen(command, text=True, env=environment, **pipes) as process:
            try:
                yield Nodes(process, Path(errors.name))
            finally:
                assert process.stdin is not None
                process.stdin.close()
                process.wait(PATIENCE)
                cluster._delete(Path(folder))


@pytest.mark.long
def test_a_sweep_survives_the_death_of_a_node(tmp_path: Path, nodes: Nodes):
    # The first member takes seconds, so that it is still at work when the node is killed.
    experiment = make(tmp_path, "sweep.optimizer.iterations=[600, 8, 9]", "output.save_every=100")
    expected = run_members(experiment, expand(experiment), tmp_path / "local", events_of=silent)
    killed: list[int] = []

    @contextlib.contextmanager
    def events_of(member: Member) -> Iterator[Events]:
        def seen(iterations: Sequence[Iteration]) -> None:
            if iterations and not killed:
                killed.append(member.index)
                nodes.replace()

        yield Silent(seen)

    said: list[str] = []
    engine = Ray(address=nodes.address, cores=CORES, log=said.append)
    with pytest.warns(Note, match="starts from the beginning: there is no checkpoint"):
        outcomes = run_members(experiment, expand(experiment), tmp_path / "ray", events_of=events_of, engine=engine)
    assert [outcome.error for outcome in outcomes] == [None, None, None]
    assert [outcome.member for outcome in outcomes] == [outcome.member for outcome in expected]
    assert rows(tmp_path / "ray/table.csv") == rows(tmp_path / "local/table.csv")
    for index in range(3):
        member = f"members/{index}"
        assert without_clocks(tmp_path / "ray" / member) == without_clocks(tmp_path / "local" / member)
    lost = [read_manifest(tmp_path / "ray/members" / str(index)).get("lost_attempts", []) for index in range(3)]
    assert (killed, [len(reasons) for reasons in lost]) == ([0], [1, 0, 0])
    assert sum("its worker died, and another takes it over" in message for message in said) == 1


def test_a_cluster_without_what_a_member_needs_is_not_waited_for(
    tmp_path: Path, nodes: Nodes, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(engines.ray, "PATIENCE", 0.0)
    experiment = make(tmp_path, "sweep.start.seed=[1, 2]")
    with pytest.raises(JaxstyleError, match="no node of the cluster has 2 GPUs and 1 CPU core, which a member needs"):
        run_members(
            experiment,
            expand(experiment),
            tmp_path / "ray",
            events_of=silent,
            engine=Ray(address=nodes.address, accelerators=2),
        )


# The command line


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--address", "head:6379"], "--address: belongs to --engine ray; found --engine local"),
        (["--engine", "ray", "--address", ""], "--address: found ''; allowed: host:port"),
        (["--engine", "ray", "--address", "head"], "--address: found 'head'; allowed: host:port"),
        (["--engine", "ray", "--address", "ray://head:10001"], "allowed: host:port"),
        (["--engine", "ray", "--address", "127.0.0.1:1"], "no Ray cluster answers there"),
    ],
)
def test_a_mistake_about_the_cluster_is_answered(tmp_path: Path, options: list[str], message: str):
    pytest.importorskip("ray", reason="the extra ray is not installed")
    make(tmp_path)
    (tmp_path / "small.toml").write_text(
        '[image]\ncontent = "content.png"\nsize = 32\n'
        '[loss]\ncontent_layers = ["conv2_1"]\n[sweep]\n"start.seed" = [1, 2]\n'
    )
    result = CliRunner().invoke(app, ["run", str(tmp_path / "small.toml"), "--out", str(tmp_path / "out"), *options])
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_without_the_library_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    make(tmp_path)
    (tmp_path / "small.toml").write_text(
        '[image]\ncontent = "content.png"\nsize = 32\n[loss]\ncontent_layers = ["conv2_1"]\n'
    )
    result = CliRunner().invoke(app, ["run", str(tmp_path / "small.toml"), "--engine", "ray"])
    assert result.exit_code == 2
    assert "pip install 'jaxstyle[ray]'" in result.stderr
