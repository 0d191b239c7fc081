"""Members in the lanes of one program: records as if each had been alone, and one that fails leaves the others be."""

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import jax
import numpy as np
import pytest
from small_runs import make, read_manifest, read_metrics
from test_members import EventLog, table

from jaxstyle.config import Experiment
from jaxstyle.images import read_image
from jaxstyle.network.weights import Weights
from jaxstyle.optimizers import Iteration
from jaxstyle.runs import runner
from jaxstyle.runs.record import Record
from jaxstyle.sweeps.engines import Batch, Job, Local, Outcome
from jaxstyle.sweeps.expansion import expand
from jaxstyle.sweeps.members import run_members
from jaxstyle.synthesis import preparation


@pytest.fixture(scope="module", autouse=True)
def tiny_network(tiny: Weights) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "load_weights", lambda name, progress: tiny)
        yield


def in_batches(of: int) -> Local:
    def batches(jobs: Sequence[Job]) -> Iterator[Batch]:
        return (Batch(jobs[first : first + of], of) for first in range(0, len(jobs), of))

    return Local(batches)


def run_all(
    experiment: Experiment,
    folder: Path,
    lanes: int = 3,
    events_of: EventLog | None = None,
    interrupted: Callable[[], bool] = lambda: False,
) -> list[Outcome]:
    return run_members(
        experiment,
        expand(experiment),
        folder,
        events_of=events_of or EventLog(),
        interrupted=interrupted,
        engine=in_batches(lanes),
    )


LAYERS = {"loss.style_layers": [["conv1_1"], ["conv2_1"], ["conv1_1", "conv2_1"], ["conv1_2"]]}


def test_every_member_has_the_record_it_has_alone(tmp_path: Path):
    experiment = make(tmp_path, "start.method=content", "output.save_every=2", sweep=LAYERS)
    events_of = EventLog()
    outcomes = run_all(experiment, tmp_path / "lanes", events_of=events_of)
    run_all(experiment, tmp_path / "alone", lanes=1)
    assert [outcome.status for outcome in outcomes] == ["budget spent"] * 4
    assert sorted(events_of.left) == [0, 1, 2, 3]
    assert sorted({(index, iteration) for index, iteration in events_of.seen}) == [
        (index, iteration) for index in range(4) for iteration in range(4)
    ]
    for index, layers in enumerate(LAYERS["loss.style_layers"]):
        here, alone = (tmp_path / kind / "members" / str(index) for kind in ("lanes", "alone"))
        files = {path.relative_to(here).as_posix() for path in here.rglob("*.*")}
        assert files == {path.relative_to(alone).as_posix() for path in alone.rglob("*.*")}
        assert "images/000002.png" in files
        for one, other in zip(read_metrics(here), read_metrics(alone), strict=True):
            assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)  # rounding, through three steps
            assert {*one["terms"]} == {"content/conv2_1", *(f"style/{layer}" for layer in layers)}
        manifest, other = read_manifest(here), read_manifest(alone)
        assert (manifest["lanes"], manifest["member"]) == (3, other["member"])
        assert manifest["metrics"].keys() == other["metrics"].keys()
        assert manifest["metrics"]["gram_distance"].keys() == {*layers}
        image, expected = (read_image(folder / "result.png").pixels for folder in (here, alone))
        assert np.abs(image - expected).max() < 2.5 / 255  # a rounding error may move a pixel to the next grey level


def test_a_sweep_over_layers_compiles_one_program_and_loads_everything_once(
    tmp_path: Path, tiny: Weights, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    made: list[str] = []

    def counted(place: object, name: str) -> None:
        original = getattr(place, name)
        monkeypatch.setattr(place, name, lambda *given, **options: made.append(name) or original(*given, **options))

    counted(preparation, "build_objective")
    counted(preparation, "compute_targets")
    counted(runner, "load_weights")
    for lanes, size in ((1, 34), (2, 38)):  # sizes of their own: no other test has compiled for them
        with jax.log_compiles(), caplog.at_level(logging.WARNING):
            experiment = make(tmp_path, f"image.size={size}", sweep=LAYERS)
            outcomes = run_all(experiment, tmp_path / str(size), lanes=lanes)
        finished = [record.getMessage() for record in caplog.records if "Finished XLA compilation" in record.msg]
        caplog.clear()
        assert [outcome.status for outcome in outcomes] == ["budget spent"] * 4
        assert sum("jit(advance_once)" in message for message in finished) == 1
        assert sorted(made) == ["build_objective", "compute_targets", "compute_targets", "load_weights"]
        made.clear()


def test_one_that_cannot_be_prepared_leaves_the_others_be(tmp_path: Path):
    sweep = {"image.style": ["style.png", "styel.png", "content.png"]}
    outcomes = run_all(make(tmp_path, sweep=sweep), tmp_path / "sweep")
    assert [outcome.status for outcome in outcomes] == ["budget spent", "failed", "budget spent"]
    said = f"{tmp_path / 'styel.png'}: there is no such file; did you mean 'style.png'?"
    assert outcomes[1].error == said
    manifest = read_manifest(tmp_path / "sweep/members/1")
    assert (manifest["status"], manifest["error"]) == ("failed", said)
    assert [row["status"] for row in table(tmp_path / "sweep")] == ["budget spent", "failed", "budget spent"]


def test_all_that_cannot_be_prepared_fail(tmp_path: Path):
    outcomes = run_all(make(tmp_path, sweep={"image.style": ["a.png", "b.png"]}), tmp_path / "sweep")
    assert [outcome.status for outcome in outcomes] == ["failed", "failed"]


def test_a_record_that_cannot_be_written_is_one_members_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    add = Record.add

    def fails(record: Record, iterations: Sequence[dict]) -> None:
        if record.folder.name == "1" and iterations and iterations[-1]["iteration"] == 2:
            raise KeyError("nobody foresaw this")
        add(record, iterations)

    monkeypatch.setattr(Record, "add", fails)
    outcomes = run_all(make(tmp_path, sweep={"start.seed": [1, 2, 3]}), tmp_path / "sweep")
    assert [outcome.status for outcome in outcomes] == ["budget spent", "failed", "budget spent"]
    assert outcomes[1].error == "KeyError: 'nobody foresaw this'"
    assert [len(read_metrics(tmp_path / "sweep/members" / name)) for name in "012"] == [4, 2, 4]
    assert read_manifest(tmp_path / "sweep/members/1")["status"] == "failed"


def test_an_interruption_saves_every_members_best_image_and_all_go_on(tmp_path: Path):
    experiment = make(tmp_path, "optimizer.iterations=12", sweep={"start.seed": [1, 2, 3, 4]})
    events_of = EventLog()
    outcomes = run_all(
        experiment, tmp_path / "sweep", lanes=2, events_of=events_of, interrupted=lambda: (1, 5) in events_of.seen
    )
    assert [outcome.status for outcome in outcomes] == ["interrupted", "interrupted"]
    for index in (0, 1):
        folder = tmp_path / "sweep/members" / str(index)
        assert read_manifest(folder)["status"] == "interrupted"
        assert (folder / "result.png").exists()
    assert not (tmp_path / "sweep/members/2").exists()

    outcomes = run_all(experiment, tmp_path / "sweep", lanes=2)
    whole = run_all(experiment, tmp_path / "whole", lanes=2)
    assert [outcome.status for outcome in outcomes] == ["budget spent"] * 4
    for index in range(4):
        stopped, never = (tmp_path / name / "members" / str(index) for name in ("sweep", "whole"))
        # the same program, the same numbers in every lane: bit for bit, but for the seconds
        parts = [[line | {"seconds": 0} for line in read_metrics(folder)] for folder in (stopped, never)]
        assert parts[0] == parts[1]
    assert [outcome.manifest["loss"] for outcome in outcomes] == [outcome.manifest["loss"] for outcome in whole]


def test_members_that_stand_elsewhere_go_on_together(tmp_path: Path):
    experiment = make(tmp_path, "optimizer.iterations=14", "image.scales=[24, 32]", sweep={"start.seed": [1, 2]})
    events_of = EventLog()
    run_all(experiment, tmp_path / "sweep", lanes=1, events_of=events_of, interrupted=lambda: (0, 9) in events_of.seen)
    outcomes = run_all(experiment, tmp_path / "sweep", lanes=2)  # the first at its second scale, the other at none
    assert [outcome.status for outcome in outcomes] == ["budget spent"] * 2
    for index in (0, 1):
        lines = read_metrics(tmp_path / "sweep/members" / str(index))
        assert [line["iteration"] for line in lines] == [*range(8), *range(7, 15)]
        assert [line["size"] for line in lines] == [24] * 8 + [32] * 8


def test_a_second_ctrl_c_closes_every_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    class Impatient(EventLog.Of):
        def progress(self, iterations: Sequence[Iteration]) -> None:
            super().progress(iterations)
            if (1, 1) in self.all_of_them.seen:
                raise KeyboardInterrupt

    events_of = EventLog()
    monkeypatch.setattr(EventLog, "Of", Impatient)
    with pytest.raises(KeyboardInterrupt):
        run_all(make(tmp_path, sweep={"start.seed": [1, 2]}), tmp_path / "sweep", events_of=events_of)
    for name in "01":
        assert read_manifest(tmp_path / "sweep/members" / name)["status"] == "interrupted"
    assert sorted(events_of.left) == [0, 1]
