"""A finished run goes on with more iterations, to the bit as one long run, and its result is not lost."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from small_commands import Run
from small_runs import Heard, make, read_manifest, read_metrics
from test_full_disk import numbers
from test_members import EventLog

from jaxstyle.errors import JaxstyleError
from jaxstyle.images import read_image
from jaxstyle.network.weights import Weights
from jaxstyle.runs import record, runner
from jaxstyle.runs.folders import CHECKPOINT, is_finished, latest_folder
from jaxstyle.runs.record import write_json
from jaxstyle.runs.runner import run
from jaxstyle.sweeps.engines import Batch, Job, Local
from jaxstyle.sweeps.expansion import expand
from jaxstyle.sweeps.members import run_members

FIVE, NINE = "optimizer.iterations=5", "optimizer.iterations=9"
SAME = ("status", "loss", "iterations", "evaluations", "metrics", "scales")


@pytest.fixture(autouse=True)
def _tiny(tiny: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "load_weights", lambda name, progress: tiny)


def check_alike(found: Path, wanted: Path) -> None:
    """Proves that two records are of the same run, but for what of it came when."""
    assert (found / "result.png").read_bytes() == (wanted / "result.png").read_bytes()
    assert (found / "experiment.json").read_bytes() == (wanted / "experiment.json").read_bytes()
    assert numbers(found) == numbers(wanted)
    manifests = [read_manifest(folder) for folder in (found, wanted)]
    assert {key: manifests[0][key] for key in SAME} == {key: manifests[1][key] for key in SAME}


@pytest.mark.parametrize("method", ["lbfgs", "adam"])
def test_an_extended_run_is_one_long_run(tmp_path: Path, method: str):
    ways = (f"optimizer.method={method}", "output.save_every=4")
    short = run(make(tmp_path, FIVE, *ways), tmp_path / "run")
    said, seen = [], []
    longer = run(make(tmp_path, NINE, *ways), tmp_path / "run", events=Heard(log=said.append, progress=seen.extend))
    run(make(tmp_path, NINE, *ways), tmp_path / "whole")
    assert "resuming after iteration 5" in said
    assert seen[:6] == list(short.result.history)
    check_alike(tmp_path / "run", tmp_path / "whole")
    images = {path.name: read_image(path).pixels for path in (tmp_path / "run/images").iterdir()}
    assert sorted(images) == ["000004.png", "000005.png", "000008.png"]
    np.testing.assert_allclose(images["000005.png"], short.result.image, atol=0.5 / 255 + 1e-6)
    np.testing.assert_allclose(read_image(longer.image).pixels, longer.result.image, atol=0.5 / 255 + 1e-6)


def test_it_is_interrupted_and_extended_again(tmp_path: Path):
    seen = []
    run(make(tmp_path, FIVE), tmp_path / "run")
    run(make(tmp_path, NINE), tmp_path / "run", events=Heard(progress=seen.extend), interrupted=lambda: len(seen) >= 8)
    assert read_manifest(tmp_path / "run")["status"] == "interrupted"
    run(make(tmp_path, "optimizer.iterations=11"), tmp_path / "run")
    run(make(tmp_path, "optimizer.iterations=11"), tmp_path / "whole")
    check_alike(tmp_path / "run", tmp_path / "whole")


@pytest.mark.parametrize("lanes", [1, 2])
def test_so_are_the_members_of_a_sweep(tmp_path: Path, lanes: int):
    def batches(jobs: Sequence[Job]) -> Iterator[Batch]:
        return (Batch(jobs[first : first + lanes], lanes) for first in range(0, len(jobs), lanes))

    def go(folder: Path, iterations: str, **options: object) -> None:
        experiment = make(tmp_path, iterations, sweep={"start.seed": [1, 2]})
        run_members(experiment, expand(experiment), folder, events_of=EventLog(), engine=Local(batches), **options)

    asked = iter([False] * 4)
    go(tmp_path / "sweep", FIVE, interrupted=lambda: next(asked, True))  # not all have begun, or come to their end
    go(tmp_path / "sweep", NINE)
    go(tmp_path / "whole", NINE)
    for index in "01":
        check_alike(tmp_path / "sweep/members" / index, tmp_path / "whole/members" / index)
    experiment = make(tmp_path, NINE, sweep={"start.seed": [1, 2]})
    events_of = EventLog()
    run_members(experiment, expand(experiment), tmp_path / "sweep", events_of=events_of)
    assert events_of.left == []


def test_a_result_in_another_form_is_written_from_the_state(tmp_path: Path):
    run(make(tmp_path, FIVE), tmp_path / "run")
    form = ("output.bits=16", "output.display=paper")
    again = run(make(tmp_path, FIVE, *form), tmp_path / "run")
    run(make(tmp_path, FIVE, *form), tmp_path / "whole")
    check_alike(tmp_path / "run", tmp_path / "whole")
    assert again.image.read_bytes()[24] == 16  # PNG's IHDR: the bits of a sample
    assert not (tmp_path / "run/images").exists()


def test_a_run_that_converged_stays_where_it_is(tmp_path: Path):
    ways = ("optimizer.tolerance=0.999", "optimizer.method=adam")
    ended = run(make(tmp_path, "optimizer.iterations=40", *ways), tmp_path / "run")
    again = run(make(tmp_path, "optimizer.iterations=60", *ways), tmp_path / "run")
    assert (ended.result.status, ended.result.evaluations) == ("converged", 21)
    assert (again.result.status, again.result.evaluations) == ("converged", 21)
    np.testing.assert_array_equal(again.result.image, ended.result.image)


OBSTACLES = {
    "not kept": (("output.keep_state_mb=0",), "and its optimizer's state was not kept"),
    "too large": (("output.keep_state_mb=0.1",), "and its optimizer's state was not kept"),
    "SciPy": (("optimizer.method=scipy-lbfgsb",), "and its optimizer's state was not kept"),
    "several scales": (("image.scales=[16, 32]",), "optimizer.iterations: 5 there, 9 here)"),
}


@pytest.mark.parametrize(("ways", "reason"), OBSTACLES.values(), ids=OBSTACLES)
def test_what_cannot_be_extended_is_left_alone(tmp_path: Path, ways: tuple[str, ...], reason: str):
    folder = tmp_path / "runs/a/1"
    run(make(tmp_path, FIVE, *ways), folder)
    before = {path.name: path.read_bytes() for path in folder.rglob("*.*")}
    assert CHECKPOINT not in before
    with pytest.raises(JaxstyleError, match=r"already holds a run of another experiment \(optimizer.*") as caught:
        run(make(tmp_path, NINE, *ways), folder)
    assert reason in str(caught.value)
    assert {path.name: path.read_bytes() for path in folder.rglob("*.*")} == before
    assert latest_folder(tmp_path / "runs", "a", make(tmp_path, NINE, *ways)) is None
    assert latest_folder(tmp_path / "runs", "a", make(tmp_path, FIVE, *ways)) == folder


def test_fewer_iterations_and_another_version_are_another_run(tmp_path: Path):
    folder = tmp_path / "runs/a/1"
    run(make(tmp_path, FIVE), folder)
    with pytest.raises(JaxstyleError, match=r"optimizer\.iterations: 5 there, 4 here\)"):
        run(make(tmp_path, "optimizer.iterations=4"), folder)
    manifest = read_manifest(folder)
    write_json(folder / "manifest.json", {**manifest, "versions": {**manifest["versions"], "jax": "0.1"}})
    with pytest.raises(JaxstyleError, match=r"5 there, 9 here, and its optimizer's state is jax 0\.1's"):
        run(make(tmp_path, NINE), folder)
    assert latest_folder(tmp_path / "runs", "a", make(tmp_path, FIVE)) == folder


def test_the_run_that_is_exactly_asked_for_comes_first(tmp_path: Path):
    run(make(tmp_path, NINE), tmp_path / "runs/a/1")
    run(make(tmp_path, FIVE), tmp_path / "runs/a/2")
    for iterations, number in ((5, "2"), (9, "1"), (11, "2")):
        experiment = make(tmp_path, f"optimizer.iterations={iterations}")
        assert latest_folder(tmp_path / "runs", "a", experiment) == tmp_path / "runs/a" / number


def test_the_command_goes_on_and_says_what_is_kept(jaxstyle_command: Run, folder: Path):
    first = jaxstyle_command("run", "small.toml")
    (record,) = (folder / "runs/small").iterdir()
    size = (record / CHECKPOINT).stat().st_size / 1e6
    assert f"state:  {size:.3g} MB are kept in the record, from which more iterations continue" in first.stdout
    aside = ("title=another", "output.save_every=1", "output.checkpoint_seconds=5", "output.keep_state_mb=1")
    for word in aside:  # decides nothing about the result
        assert "finished before" in jaxstyle_command("run", "small.toml", "--set", word).stdout
    more = jaxstyle_command("run", "small.toml", "--set", "optimizer.iterations=4")
    assert (more.exit_code, more.stderr) == (0, "")
    assert f"resuming runs/small/{record.name}; --fresh starts a new run" in more.stdout
    assert "resuming after iteration 2" in more.stdout
    assert len(read_metrics(record)) == 5
    fewer = jaxstyle_command("run", "small.toml")  # of which nothing is there any longer
    assert fewer.exit_code == 0
    assert len([*(folder / "runs/small").iterdir()]) == 2
    none = jaxstyle_command("run", "small.toml", "--out", "run", "--set", "output.keep_state_mb=0")
    assert "state:" not in none.stdout
    refused = jaxstyle_command("run", "small.toml", "--out", "run", "--set", "optimizer.iterations=4")
    assert refused.exit_code == 2
    assert "optimizer.iterations: 2 there, 4 here, and its optimizer's state was not kept" in refused.stderr


def test_a_kill_as_it_begins_does_not_make_the_short_run_the_long_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Between any two files that are written first."""
    run(make(tmp_path, FIVE), tmp_path / "run")
    write = record.write_json
    for files in range(3):
        written = []

        def dies(path: Path, content: object, files: int = files, written: list[Path] = written) -> None:
            if len(written) == files:
                raise KeyboardInterrupt
            written.append(path)
            write(path, content)

        monkeypatch.setattr(record, "write_json", dies)
        with pytest.raises(KeyboardInterrupt):
            run(make(tmp_path, NINE), tmp_path / "run")
        assert not is_finished(tmp_path / "run", make(tmp_path, NINE))
    monkeypatch.setattr(record, "write_json", write)
    run(make(tmp_path, NINE), tmp_path / "run")
    run(make(tmp_path, NINE), tmp_path / "whole")
    check_alike(tmp_path / "run", tmp_path / "whole")
