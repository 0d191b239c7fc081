"""A sweep's members one after another: each its own record, one failing without stopping the others."""

import contextlib
import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from small_runs import make, read_manifest, read_metrics

import jaxstyle
from jaxstyle.config import Experiment
from jaxstyle.errors import JaxstyleError
from jaxstyle.images import read_image
from jaxstyle.network.weights import Weights
from jaxstyle.optimizers import Iteration, Status
from jaxstyle.runs import recorded, runner
from jaxstyle.runs.locks import locked
from jaxstyle.sweeps import members
from jaxstyle.sweeps.expansion import Member, expand
from jaxstyle.sweeps.members import Outcome, run_members
from jaxstyle.synthesis.scales import Scale


@pytest.fixture(scope="module", autouse=True)
def tiny_network(tiny: Weights):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "load_weights", lambda name, progress: tiny)
        yield


class EventLog:
    """Keeps what it is told, by member."""

    def __init__(self) -> None:
        self.said: list[tuple[int, str]] = []
        self.planned: list[tuple[int, list[Scale]]] = []
        self.seen: list[tuple[int, int]] = []
        self.left: list[int] = []

    @contextlib.contextmanager
    def __call__(self, member: Member) -> Iterator["EventLog.Of"]:
        try:
            yield EventLog.Of(self, member.index)
        finally:
            self.left.append(member.index)

    class Of:
        def __init__(self, all_of_them: "EventLog", index: int) -> None:
            self.all_of_them, self.index = all_of_them, index

        def log(self, message: str) -> None:
            self.all_of_them.said.append((self.index, message))

        def plan(self, scales: Sequence[Scale]) -> None:
            self.all_of_them.planned.append((self.index, [*scales]))

        def progress(self, iterations: Sequence[Iteration]) -> None:
            self.all_of_them.seen += [(self.index, iteration.iteration) for iteration in iterations]


def run_all(experiment: Experiment, folder: Path, **options: Any) -> list[Outcome]:
    return run_members(experiment, expand(experiment), folder, **{"events_of": EventLog(), **options})


def table(folder: Path) -> list[dict[str, str]]:
    with open(folder / "table.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_member_has_its_own_record(tmp_path: Path):
    experiment = make(tmp_path, 'sweep.loss.content_weight=[1e-3, "x"]'.replace('"x"', "1e-1"), "sweep.start.seed=[5]")
    events_of = EventLog()
    outcomes = run_all(experiment, tmp_path / "sweep", events_of=events_of)
    assert jaxstyle.load_experiment(tmp_path / "sweep/experiment.json") == experiment
    assert [outcome.status for outcome in outcomes] == ["budget spent"] * 2
    for outcome, member in zip(outcomes, expand(experiment), strict=True):
        assert outcome.member == member
        folder = tmp_path / "sweep/members" / str(member.index)
        assert jaxstyle.load_experiment(folder / "experiment.json") == member.experiment
        facts = {"index": member.index, "label": member.label, "values": member.values, "place": member.place}
        assert read_manifest(folder)["member"] == facts
        assert len(read_metrics(folder)) == 4
        assert read_image(folder / "result.png").pixels.shape == (24, 32, 3)
    assert events_of.seen == [(index, iteration) for index in (0, 1) for iteration in range(4)]
    assert events_of.planned == [(index, [Scale(32, 3)]) for index in (0, 1)]
    assert events_of.left == [0, 1]


def test_the_table_holds_what_was_varied_and_what_came_out(tmp_path: Path):
    outcomes = run_all(make(tmp_path, "sweep.start.seed=[5, 6]"), tmp_path / "sweep")
    rows = table(tmp_path / "sweep")
    assert [(row["member"], row["label"], row["start.seed"], row["status"]) for row in rows] == [
        ("0", "seed = 5", "5", "budget spent"),
        ("1", "seed = 6", "6", "budget spent"),
    ]
    for row, outcome in zip(rows, outcomes, strict=True):
        assert float(row["loss"]) == outcome.manifest["loss"]
        assert int(row["evaluations"]) == outcome.manifest["evaluations"]
        metrics = outcome.manifest["metrics"]
        assert float(row["psnr"]) == metrics["psnr"]
        assert float(row["paper_terms/style/conv1_1"]) == metrics["paper_terms"]["style/conv1_1"]
        assert float(row["gram_distance/conv2_1"]) == metrics["gram_distance"]["conv2_1"]


def test_one_that_fails_does_not_stop_the_others(tmp_path: Path):
    sweep = {"image.style": ["style.png", "styel.png", "content.png"]}
    outcomes = run_all(make(tmp_path, sweep=sweep), tmp_path / "sweep")
    assert [outcome.status for outcome in outcomes] == ["budget spent", "failed", "budget spent"]
    said = f"{tmp_path / 'styel.png'}: there is no such file; did you mean 'style.png'?"
    assert outcomes[1].error == said
    manifest = read_manifest(tmp_path / "sweep/members/1")
    assert (manifest["status"], manifest["error"], manifest["member"]["index"]) == ("failed", said, 1)
    assert not (tmp_path / "sweep/members/1/result.png").exists()
    rows = table(tmp_path / "sweep")
    assert [(row["status"], row["error"]) for row in rows] == [
        ("budget spent", ""),
        ("failed", said),
        ("budget spent", ""),
    ]
    assert [row["loss"] == "" for row in rows] == [False, True, False]


def test_an_error_nobody_foresaw_belongs_to_its_member_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    measure_result = recorded.measure_result
    calls = iter([True, False])

    def measure(*arguments: Any) -> Any:
        if next(calls):
            raise KeyError("conv9_9")
        return measure_result(*arguments)

    monkeypatch.setattr(recorded, "measure_result", measure)
    outcomes = run_all(make(tmp_path, "sweep.start.seed=[1, 2]"), tmp_path / "sweep")
    assert [(outcome.status, outcome.error) for outcome in outcomes] == [
        ("failed", "KeyError: 'conv9_9'"),
        ("budget spent", None),
    ]


def test_an_interruption_ends_the_sweep(tmp_path: Path):
    events_of = EventLog()
    outcomes = run_all(
        make(tmp_path, "sweep.start.seed=[1, 2, 3]", "optimizer.iterations=50"),
        tmp_path / "sweep",
        events_of=events_of,
        interrupted=lambda: (1, 2) in events_of.seen,
    )
    assert [outcome.status for outcome in outcomes] == ["budget spent", "interrupted"]
    assert [row["status"] for row in table(tmp_path / "sweep")] == ["budget spent", "interrupted"]
    assert read_manifest(tmp_path / "sweep/members/1")["status"] == Status.INTERRUPTED
    assert (tmp_path / "sweep/members/1/result.png").exists()
    assert not (tmp_path / "sweep/members/2").exists()


def test_a_second_ctrl_c_ends_it_at_once_with_the_table_so_far(tmp_path: Path):
    class Impatient(EventLog):
        @contextlib.contextmanager
        def __call__(self, member: Member) -> Iterator[EventLog.Of]:
            if member.index == 1:
                raise KeyboardInterrupt
            with super().__call__(member) as watching:
                yield watching

    with pytest.raises(KeyboardInterrupt):
        run_all(make(tmp_path, "sweep.start.seed=[1, 2, 3]"), tmp_path / "sweep", events_of=Impatient())
    assert [row["status"] for row in table(tmp_path / "sweep")] == ["budget spent"]


THREE = ("sweep.start.seed=[1, 2, 3]", "optimizer.iterations=6")


def numbers(folder: Path) -> list[dict[str, str]]:
    """The table without the times."""
    return [row | {"run_seconds": ""} for row in table(folder)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a sweep that nothing stopped, in the folder of its images."""
    folder = tmp_path_factory.mktemp("whole")
    run_all(make(folder, *THREE), folder / "sweep")
    return folder / "sweep"


def contents(folder: Path) -> dict[Path, tuple[int, bytes]]:
    """When each file was written, and what it holds."""
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


def test_what_is_finished_is_not_run_again_and_the_rest_goes_on(whole: Path, tmp_path: Path):
    experiment = make(whole.parent, *THREE)
    first, second = EventLog(), EventLog()
    run_all(experiment, tmp_path / "sweep", events_of=first, interrupted=lambda: (1, 2) in first.seen)
    finished = tmp_path / "sweep/members/0"
    before = contents(finished)
    outcomes = run_all(experiment, tmp_path / "sweep", events_of=second)
    assert [(outcome.member.index, outcome.status) for outcome in outcomes] == [
        (index, "budget spent") for index in (0, 1, 2)
    ]
    assert second.left == [1, 2]
    assert (1, "resuming after iteration 2") in second.said
    assert contents(finished) == before
    assert numbers(tmp_path / "sweep") == numbers(whole)
    for index in range(3):
        images = [(folder / f"members/{index}/result.png").read_bytes() for folder in (tmp_path / "sweep", whole)]
        assert images[0] == images[1]
    assert not [*(tmp_path / "sweep").rglob(".lock")]


def test_a_sweep_that_is_finished_runs_nothing(whole: Path):
    events_of, before = EventLog(), table(whole)
    assert [outcome.status for outcome in run_all(make(whole.parent, *THREE), whole, events_of=events_of)] == [
        "budget spent"
    ] * 3
    assert events_of.left == []
    assert table(whole) == before


def test_a_member_that_failed_is_tried_again_with_the_table_kept_whole(tmp_path: Path):
    experiment = make(tmp_path, sweep={"image.style": ["style.png", "late.png", "content.png"]})
    run_all(experiment, tmp_path / "sweep")
    assert [row["status"] for row in table(tmp_path / "sweep")] == ["budget spent", "failed", "budget spent"]
    (tmp_path / "late.png").write_bytes((tmp_path / "style.png").read_bytes())

    class Looking(EventLog):
        @contextlib.contextmanager
        def __call__(self, member: Member) -> Iterator[EventLog.Of]:
            assert len(table(tmp_path / "sweep")) >= 2  # those that are finished
            with super().__call__(member) as watching:
                yield watching

    events_of = Looking()
    run_all(experiment, tmp_path / "sweep", events_of=events_of)
    assert events_of.left == [1]
    rows = table(tmp_path / "sweep")
    assert [row["status"] for row in rows] == ["budget spent"] * 3
    assert "error" not in rows[1]


def test_a_sweep_has_one_process_at_a_time(tmp_path: Path):
    experiment = make(tmp_path, "sweep.start.seed=[1]")
    with locked(tmp_path / "sweep"), pytest.raises(JaxstyleError, match="is at work here"):
        run_all(experiment, tmp_path / "sweep")


@pytest.mark.parametrize("there", ["experiment.json", "manifest.json"])
def test_a_folder_that_holds_a_sweep_or_a_run_is_left_alone(tmp_path: Path, there: str):
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / there).write_text("{}")
    with pytest.raises(JaxstyleError, match="already holds a run"):
        run_all(make(tmp_path, "sweep.start.seed=[1]"), tmp_path / "sweep")
    assert [path.name for path in (tmp_path / "sweep").iterdir()] == [there]


def test_columns_are_those_of_all_members(tmp_path: Path):
    experiment = make(tmp_path)
    outcomes = [
        Outcome(Member(0, 'a, "b"', {"start.seed": 1}, {}, experiment), {"status": "failed", "error": "first"}),
        Outcome(
            Member(1, "c", {"loss.style_layers": ["conv1_1"]}, {}, experiment),
            {"status": "failed", "error": "second\nline"},
        ),
    ]
    members.write_table(tmp_path / "table.csv", outcomes)
    first, second = table(tmp_path)
    assert list(first) == ["member", "label", "start.seed", "status", "error", "loss.style_layers"]
    assert (first["label"], first["start.seed"], first["loss.style_layers"]) == ('a, "b"', "1", "")
    assert (second["start.seed"], second["error"]) == ("", "second\nline")
    assert [path.name for path in tmp_path.glob("*table*")] == ["table.csv"]
