"""A result that is not finite is no result: no image, a record that says so, and the same command tries again."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from small_commands import SMALL, Run
from small_runs import Heard, make, read_manifest, read_metrics, smooth
from synthetic import MINIMIZER, START, Synthetic, settings
from test_members import EventLog

import jaxstyle
from jaxstyle.errors import JaxstyleError
from jaxstyle.images import write_image
from jaxstyle.network.weights import Weights
from jaxstyle.optimizers import Status, minimize
from jaxstyle.runs import runner
from jaxstyle.runs.folders import CHECKPOINT, has_ended
from jaxstyle.sweeps.engines import Batch, Job, Local
from jaxstyle.sweeps.engines.remote_record import RemoteRecord
from jaxstyle.sweeps.engines.worker import RemoteJob, Worker
from jaxstyle.sweeps.expansion import expand
from jaxstyle.sweeps.members import run_members
from jaxstyle.synthesis.preparation import read_images

TOO_LARGE = "loss.style_weight=3e38"
"""A number, but the loss is none."""


@pytest.fixture(autouse=True)
def _tiny(tiny: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jaxstyle.synthesis.transfer.load_weights", lambda name: tiny)
    monkeypatch.setattr(runner, "load_weights", lambda name, progress: tiny)


@pytest.mark.parametrize("scale", [1e25, 1e-30])
@pytest.mark.parametrize("method", ["lbfgs", "adam"])
def test_a_gradient_whose_norm_is_no_number_is_neither_a_minimum_nor_a_failed_search(method: str, scale: float):
    """Its square is beyond the type, where Adam and L-BFGS compute with it."""
    result = minimize(Synthetic(scale=scale), START, MINIMIZER, settings(method))
    assert result.status is Status.NOT_FINITE
    assert result.history == ()


def test_a_minimum_whose_gradient_vanishes_on_the_way_is_still_a_result():
    result = minimize(Synthetic(scale=1e-14), START, MINIMIZER, settings("lbfgs", iterations=200))
    assert result.status is not Status.NOT_FINITE
    np.testing.assert_allclose(result.image, MINIMIZER, atol=1e-3)


def test_the_library_raises():
    loss = {"content_layers": ["conv2_1"], "style_layers": ["conv1_1"], "style_weight": 3e38}
    with pytest.raises(JaxstyleError, match="not finite: at the start the loss or its gradient is beyond 32-bit"):
        jaxstyle.transfer(smooth(24, 32, 1), smooth(30, 30, 2), image={"size": 32}, loss=loss)


def leave_remains(folder: Path) -> None:
    """As if an earlier process had been interrupted in the folder."""
    write_image(folder / "result.png", np.zeros((24, 32, 3)))
    (folder / CHECKPOINT).touch()


def check_record(folder: Path) -> None:
    manifest = read_manifest(folder)
    assert manifest["status"] == "failed"
    assert manifest["error"].startswith("not finite: ")
    assert manifest["evaluations"] == 1
    assert not (folder / "result.png").exists()
    assert not (folder / CHECKPOINT).exists()
    assert not has_ended(folder)


@pytest.mark.parametrize("method", ["lbfgs", "adam", "scipy-lbfgsb"])
def test_a_run_leaves_a_record_and_no_image(tmp_path: Path, method: str):
    experiment = make(tmp_path, TOO_LARGE, f"optimizer.method={method}")

    def log(message: str) -> None:
        if message == "optimizing":
            leave_remains(tmp_path / "run")

    for _ in range(2):  # the second time it is tried again
        with pytest.raises(JaxstyleError, match="not finite"):
            runner.run(experiment, tmp_path / "run", events=Heard(log=log))
        check_record(tmp_path / "run")


def test_a_step_too_far_keeps_the_metrics_until_there(tmp_path: Path):
    overrides = ("optimizer.method=adam", "optimizer.learning_rate=1e18", "optimizer.iterations=9")
    with pytest.raises(JaxstyleError, match=r"not finite: after iteration \d.*optimizer\.learning_rate"):
        runner.run(make(tmp_path, *overrides), tmp_path / "run")
    assert [line["iteration"] for line in read_metrics(tmp_path / "run")] != []
    assert not (tmp_path / "run/result.png").exists()


@pytest.mark.parametrize("lanes", [1, 3])
def test_of_a_sweep_it_fails_alone(tmp_path: Path, lanes: int):
    def batches(jobs: Sequence[Job]) -> Iterator[Batch]:
        return (Batch(jobs[first : first + lanes], lanes) for first in range(0, len(jobs), lanes))

    experiment = make(tmp_path, sweep={"loss.style_weight": [1.0, 3e38, 2.0]})
    outcomes = run_members(
        experiment, expand(experiment), tmp_path / "sweep", events_of=EventLog(), engine=Local(batches)
    )
    assert [outcome.status for outcome in outcomes] == ["budget spent", "failed", "budget spent"]
    check_record(tmp_path / "sweep/members/1")
    table = (tmp_path / "sweep/table.csv").read_text(encoding="utf-8")
    assert "3e+38,failed," in table
    assert "not finite: " in table


def test_on_a_cluster_the_record_says_the_same(tmp_path: Path, tiny: Weights):
    job = Job(expand(make(tmp_path, TOO_LARGE))[0], tmp_path / "run", {})
    record = RemoteRecord(job, EventLog())
    leave_remains(tmp_path / "run")
    images = read_images(job.member.experiment).by_role()
    remote = RemoteJob(job.member.experiment, job.folder, "small", None)
    batches = Worker().run_member(remote, None, tiny, list(images), *images.values())
    outcomes = [record.apply(message) for batch in batches for message in batch]
    assert outcomes[-1] is not None
    assert outcomes[-1].status == "failed"
    check_record(tmp_path / "run")


def test_the_commands_status_is_that_of_a_mistake(jaxstyle_command: Run, folder: Path):
    done = jaxstyle_command("run", "small.toml", "--set", TOO_LARGE, "--out", "run")
    assert done.exit_code == 2
    assert done.stderr.startswith("error: not finite: at the start")
    check_record(folder / "run")
    again = jaxstyle_command("run", "small.toml", "--set", TOO_LARGE, "--out", "run")
    assert again.exit_code == 2
    assert "finished before" not in again.stdout
    done = jaxstyle_command("transfer", "content.png", "style.png", "-o", "o.png", "--set", TOO_LARGE, *SMALL)
    assert done.exit_code == 2
    assert not (folder / "o.png").exists()
    sweep = jaxstyle_command("run", "small.toml", "--set", "sweep.loss.style_weight=[3e38, 1]", "--out", "sweep")
    assert sweep.exit_code == 2
    assert "error: member 0: style weight = 3e38: not finite: " in sweep.stderr.replace("β", "style weight")


def test_a_record_of_an_older_version_is_tried_again(tmp_path: Path):
    (tmp_path / "manifest.json").write_text('{"status": "not finite"}')
    (tmp_path / "result.png").write_bytes(b"noise")
    assert not has_ended(tmp_path)
