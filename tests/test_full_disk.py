"""A full disk ends no run that can go on, and what is written stays whole."""

import errno
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from full_disk import Disk
from small_commands import SMALL, Run, write_experiment
from small_runs import Heard, make, read_manifest, read_metrics
from test_members import EventLog
from tiny_network import COMMAND, python

from jaxstyle.cli.show import MISTAKE
from jaxstyle.config import Experiment
from jaxstyle.errors import JaxstyleError, Note
from jaxstyle.images import read_image
from jaxstyle.network.weights import Weights
from jaxstyle.optimizers import Iteration, Status
from jaxstyle.runs import resume, runner
from jaxstyle.runs.checkpoints import restore
from jaxstyle.runs.folders import CHECKPOINT
from jaxstyle.runs.lines import Lines
from jaxstyle.runs.recorded import RecordedRun
from jaxstyle.runs.runner import run
from jaxstyle.sweeps.expansion import expand
from jaxstyle.sweeps.members import run_members

OFTEN = ("optimizer.iterations=9", "output.checkpoint_seconds=1e-9", "output.save_every=2")
NO_ROOM = "No space left on device"


@pytest.fixture(autouse=True)
def _tiny(tiny: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "load_weights", lambda name, progress: tiny)
    monkeypatch.setattr(resume, "MOST_OVERHEAD", 1e9)  # however long checkpoints take


@pytest.fixture
def whole(tmp_path: Path) -> runner.Run:
    """The run on a disk with room."""
    return run(make(tmp_path, *OFTEN), tmp_path / "whole")


class Filling:
    """Fills a disk once there are so many iterations."""

    def __init__(self, disk: Disk, after: int, room: int = 0):
        self._disk, self._after, self._room, self.seen = disk, after, room, 0

    def __call__(self, iterations: Sequence[Iteration]) -> None:
        """Hears of new iterations."""
        self.seen += len(iterations)
        if self._disk.room > self._room and self.seen >= self._after:
            self._disk.leave(self._room)


def numbers(folder: Path) -> list[dict]:
    """The metrics without the times."""
    return [line | {"seconds": 0} for line in read_metrics(folder)]


def notes(caught: Sequence[warnings.WarningMessage], folder: Path) -> list[str]:
    """What was noted, with the folder's own paths."""
    return sorted(str(note.message).removeprefix(f"{folder}/") for note in caught)


def parts(folder: Path) -> list[Path]:
    """What is half written."""
    return [*folder.rglob("*.part"), *folder.rglob(".tmp*")]


@pytest.mark.parametrize("room", [0, 100])
def test_a_disk_that_fills_on_the_way_costs_the_checkpoint_alone(
    tmp_path: Path, disk: Disk, whole: runner.Run, room: int
):
    filling = Filling(disk, 4, room)
    with pytest.warns(Note) as caught:
        outcome = run(make(tmp_path, *OFTEN), tmp_path / "run", events=Heard(progress=filling))
    assert notes(caught, tmp_path / "run") == [
        f"checkpoint.safetensors: cannot be written: {NO_ROOM}; the run continues without a new checkpoint",
        f"images/000004.png: cannot be written: {NO_ROOM}; the run continues without images on the way",
        f"metrics.jsonl: cannot be written: {NO_ROOM}; the run continues, and its lines wait",
    ]
    np.testing.assert_array_equal(outcome.result.image, whole.result.image)
    assert outcome.image.read_bytes() == whole.image.read_bytes()
    assert numbers(outcome.folder) == numbers(whole.folder)
    assert read_manifest(outcome.folder)["status"] == "budget spent"
    assert not (outcome.folder / CHECKPOINT).exists()
    assert parts(tmp_path) == []


def test_an_interrupted_run_keeps_the_checkpoint_that_was_written(tmp_path: Path, disk: Disk, whole: runner.Run):
    experiment, filling = make(tmp_path, *OFTEN), Filling(disk, 4)
    with pytest.warns(Note), pytest.raises(JaxstyleError, match=rf"result\.png: cannot be written: {NO_ROOM}"):
        run(experiment, tmp_path / "run", events=Heard(progress=filling), interrupted=lambda: filling.seen >= 6)
    kept = restore(tmp_path / "run" / CHECKPOINT)
    assert kept is not None
    assert 1 <= len(kept.facts["saved"]["history"]) <= 4
    assert not (tmp_path / "run/result.png").exists()
    disk.leave(10**9)
    rest = run(experiment, tmp_path / "run")
    assert rest.image.read_bytes() == whole.image.read_bytes()
    assert numbers(rest.folder) == numbers(whole.folder)


def test_a_result_that_has_no_room_is_said_and_no_half_of_it_is_left(tmp_path: Path, disk: Disk):
    experiment, filling = make(tmp_path, "optimizer.iterations=5"), Filling(disk, 2)
    with pytest.warns(Note), pytest.raises(JaxstyleError, match=rf"run/result\.png: cannot be written: {NO_ROOM}"):
        run(experiment, tmp_path / "run", events=Heard(progress=filling))
    assert read_manifest(tmp_path / "run")["status"] == "running"  # nothing else could be written
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "experiment.json",
        "manifest.json",
        "metrics.jsonl",
        "sources",
    ]


def test_what_a_killed_process_has_half_written_is_cleared_away(tmp_path: Path):
    (tmp_path / "run/.abc.part").mkdir(parents=True)
    (tmp_path / "run/.abc.part/part").write_bytes(bytes(1000))
    (tmp_path / "run/mine.part").write_text("")
    run(make(tmp_path), tmp_path / "run")
    assert [path.name for path in parts(tmp_path)] == ["mine.part"]


def sweep(folder: Path) -> Experiment:
    return make(folder, sweep={"start.seed": [1, 2]})


def test_of_a_sweep_the_members_that_have_room_are_done(tmp_path: Path, disk: Disk):
    """The table has no room behind the first member, and the second has none at all."""
    experiment = sweep(tmp_path)

    class Full(EventLog):
        def __call__(self, member):
            if member.index == 1:
                disk.leave(0)
            return super().__call__(member)

    with pytest.warns(Note, match=rf"table\.csv: cannot be written: {NO_ROOM}"):
        outcomes = run_members(experiment, expand(experiment), tmp_path / "sweep", events_of=Full())
    assert [outcome.status for outcome in outcomes] == ["budget spent", "failed"]
    assert (outcomes[1].error or "").endswith(f"cannot be written: {NO_ROOM}.")
    disk.leave(10**9)
    outcomes = run_members(experiment, expand(experiment), tmp_path / "sweep", events_of=EventLog())
    assert [outcome.status for outcome in outcomes] == ["budget spent", "budget spent"]
    assert len((tmp_path / "sweep/table.csv").read_text().splitlines()) == 3


def test_a_run_that_has_no_room_from_the_start_is_refused_in_a_line(jaxstyle_command: Run, folder: Path, disk: Disk):
    disk.leave(0)
    for words in (("run", "small.toml"), ("run", "small.toml", "--set", "sweep.start.seed=[1, 2]")):
        done = jaxstyle_command(*words)
        assert done.exit_code == MISTAKE
        assert done.stderr.count("\n") == 1
        assert done.stderr.endswith(f"cannot be written: {NO_ROOM}.\n")
    assert not [*folder.glob("runs/*/*/*")]


def test_an_output_without_room_is_written_by_the_same_command_later(
    jaxstyle_command: Run, folder: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
):
    words = ("transfer", "content.png", "style.png", "-o", "o.png", *SMALL, "--out", "run")
    finish = RecordedRun.conclude  # the record has room, and then there is none

    def conclude(*arguments, **options):
        outcome = finish(*arguments, **options)
        disk.leave(0)
        return outcome

    monkeypatch.setattr(RecordedRun, "conclude", conclude)
    done = jaxstyle_command(*words)
    assert (done.exit_code, done.stderr) == (MISTAKE, f"error: o.png: cannot be written: {NO_ROOM}.\n")
    assert not (folder / "o.png").exists()
    disk.leave(10**9)
    done = jaxstyle_command(*words)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "finished before" in done.stdout
    assert read_image(folder / "o.png").pixels.shape == (24, 32, 3)


def test_a_report_without_room_leaves_whole_files(jaxstyle_command: Run, folder: Path, disk: Disk):
    assert jaxstyle_command("run", "small.toml", "--out", "run").exit_code == 0
    disk.leave(0)
    done = jaxstyle_command("report", "run")
    assert done.exit_code == MISTAKE
    assert done.stderr == f"error: run/report/index.html: cannot be written: {NO_ROOM}.\n"
    assert not [path for path in (folder / "run/report").rglob("*") if path.is_file()]


def test_lines_wait_for_room(tmp_path: Path, disk: Disk):
    path = tmp_path / "lines"
    metrics = Lines(path)
    metrics.append("one\n")
    disk.leave(6)
    with pytest.raises(JaxstyleError, match=f"lines: cannot be written: {NO_ROOM}"):
        metrics.append("two\nthree\n")
    assert path.read_text() == "one\ntwo\nth"
    with pytest.raises(JaxstyleError):
        metrics.append("four\n")
    metrics.close()
    metrics.reopen()
    metrics.reopen()
    disk.leave(100)
    metrics.append()
    metrics.append("five\n")
    assert path.read_text() == "one\ntwo\nthree\nfour\nfive\n"
    metrics.replace("six\n")
    metrics.append("seven\n")
    disk.leave(0)
    with pytest.raises(JaxstyleError):
        metrics.replace("much longer than before\n")
    disk.leave(100)
    metrics.append("eight\n")
    metrics.close()
    assert path.read_text() == "six\nseven\neight\n"
    with pytest.raises(JaxstyleError, match="none/lines: cannot be written: "):
        Lines(tmp_path / "none/lines")


LIMITED = f"""
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
{COMMAND}
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limits")
def test_the_systems_own_refusal_and_warnings_that_are_errors(tmp_path: Path):
    """Files of a process that may have 20 kB: the checkpoint has 150, everything else less."""
    write_experiment(tmp_path)
    words = ("run", "small.toml", "--out", "run", "--set", "output.checkpoint_seconds=1e-9")
    done = python(
        LIMITED, *words, options=["-W", "error"], cwd=tmp_path, JAXSTYLE_COMPILATION_CACHE="off", PYTHONWARNINGS=""
    )
    assert done.returncode == 0, done.stderr
    (line,) = done.stderr.splitlines()
    reason = f"cannot be written: {os.strerror(errno.EFBIG)}; the run continues without a new checkpoint"
    assert line == f"note: run/checkpoint.safetensors: {reason}"
    assert read_manifest(tmp_path / "run")["status"] == Status.BUDGET_SPENT
    assert parts(tmp_path) == []
