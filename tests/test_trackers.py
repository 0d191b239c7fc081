"""Trackers: what they receive, that none can end a run, and TensorBoard's files read by its own reader."""

import re
import sys
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_commands import Run
from small_runs import make, read_metrics, smooth

import jaxstyle
from jaxstyle.errors import Note
from jaxstyle.network.weights import Weights
from jaxstyle.runs import runner
from jaxstyle.runs.record import open_record
from jaxstyle.runs.runner import run
from jaxstyle.synthesis import transfer
from jaxstyle.trackers import Tracked, Tracker

DOCUMENT = Path(__file__).resolve().parents[1] / "docs/watching.md"


@pytest.fixture
def tiny_weights(tiny: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs have the first layers of a random network."""
    monkeypatch.setattr(runner, "load_weights", lambda name, progress: tiny)


class Heard(Tracker):
    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    def start(self, run: Tracked) -> None:
        self.calls.append(("start", run))

    def iterations(self, iterations: Sequence[Mapping[str, Any]]) -> None:
        self.calls += [("iteration", each) for each in iterations]

    def image(self, iteration: int, pixels: np.ndarray) -> None:
        self.calls.append(("image", (iteration, pixels)))

    def end(self, status: str, facts: Mapping[str, Any]) -> None:
        self.calls.append(("end", (status, facts)))

    def of(self, name: str) -> list[Any]:
        return [found for call, found in self.calls if call == name]


def test_a_tracker_receives_a_run_from_start_to_end(tmp_path: Path, tiny_weights: None):
    heard = Heard()
    done = run(make(tmp_path, "title=mine"), tmp_path / "run", trackers=[heard])
    (started,) = heard.of("start")
    assert (started.name, started.folder, started.swept) == ("mine", tmp_path / "run", {})
    assert started.experiment["optimizer"]["iterations"] == 3
    assert heard.of("iteration") == read_metrics(tmp_path / "run")
    assert heard.calls[-1][0] == "end"
    assert heard.of("image")[0][0] == 0
    iteration, pixels = heard.of("image")[-1]
    assert iteration == 3
    assert np.abs(pixels - done.result.image).max() < 1e-6
    status, facts = heard.of("end")[0]
    assert status == "budget spent"
    assert facts["metrics"] == done.metrics


def test_a_resumed_run_passes_the_earlier_iterations_again(tmp_path: Path, tiny_weights: None):
    run(make(tmp_path), tmp_path / "run")
    heard = Heard()
    run(make(tmp_path, "optimizer.iterations=5"), tmp_path / "run", trackers=[heard])
    assert [each["iteration"] for each in heard.of("iteration")] == [*range(6)]


@pytest.mark.parametrize("method", ["start", "iterations", "image", "end"])
def test_a_tracker_that_fails_is_dropped_with_one_warning(tmp_path: Path, tiny_weights: None, method: str):
    def fail(*_: object) -> None:
        raise OSError("no network")

    broken, heard = Heard(), Heard()
    setattr(broken, method, fail)
    with pytest.warns(
        Note, match=rf"^tracker Heard\.{method}: OSError: no network; the run continues without it$"
    ) as said:
        run(make(tmp_path), tmp_path / "run", trackers=[broken, heard])
    assert len(said) == 1
    assert [status for status, _ in heard.of("end")] == ["budget spent"]


def test_transfer_has_trackers_too(monkeypatch: pytest.MonkeyPatch, tiny: Any):
    monkeypatch.setattr(transfer, "load_weights", lambda name: tiny)
    heard = Heard()
    result = jaxstyle.transfer(
        smooth(24, 32, seed=1),
        smooth(24, 32, seed=2),
        image={"size": 32},
        loss={"content_layers": ["conv2_1"], "style_layers": ["conv1_1"]},
        optimizer={"iterations": 2},
        trackers=[heard],
    )
    assert [each["iteration"] for each in heard.of("iteration")] == [0, 1, 2]
    assert heard.of("start")[0].folder is None
    assert np.array_equal(heard.of("image")[-1][1], result.image)
    assert heard.of("end")[0][0] == "budget spent"


def test_a_failed_run_ends_as_failed(tmp_path: Path):
    heard = Heard()
    with pytest.raises(ZeroDivisionError), open_record(tmp_path / "run", make(tmp_path), trackers=[heard]):
        raise ZeroDivisionError("why")
    assert heard.of("end") == [("failed", {"error": "ZeroDivisionError: why"})]


def test_the_example_for_weights_and_biases_works(tmp_path: Path, tiny_weights: None, monkeypatch: pytest.MonkeyPatch):
    """On a stand-in with the functions of the library that it calls."""
    logged: list[tuple[dict[str, Any], int]] = []
    ended: list[int] = []
    session = types.SimpleNamespace(
        log=lambda values, step: logged.append((values, step)), finish=lambda exit_code: ended.append(exit_code)
    )
    wandb = types.ModuleType("wandb")
    wandb.init = lambda project, name, config: session  # pyright: ignore[reportAttributeAccessIssue]
    wandb.Image = lambda levels: levels  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    (example,) = re.findall(r"^    import wandb\n.*?(?=^\S)", DOCUMENT.read_text(encoding="utf-8"), re.M | re.DOTALL)
    names: dict[str, Any] = {}
    exec(re.sub("^    ", "", example, flags=re.M).partition("\nexperiment = ")[0], names)
    run(make(tmp_path), tmp_path / "run", trackers=[names["WeightsAndBiases"]()])
    losses = {step: values["loss"] for values, step in logged if "loss" in values}
    assert losses == {line["iteration"]: line["loss"] for line in read_metrics(tmp_path / "run")}
    images = [values["image"] for values, _ in logged if "image" in values]
    assert images[-1].dtype == np.uint8
    assert ended == [0]


# TensorBoard


def read(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0, "images": 0})
    found.Reload()
    return found


def test_tensorboards_own_reader_finds_every_term_and_the_image(tmp_path: Path, tiny_weights: None):
    done = run(make(tmp_path, "output.tensorboard=true"), tmp_path / "run")
    found, lines = read(done.folder), read_metrics(done.folder)
    for name in lines[0]["terms"]:
        events = found.Scalars(f"terms/{name}")
        assert [event.step for event in events] == [0, 1, 2, 3]
        assert [event.value for event in events] == pytest.approx([line["terms"][name] for line in lines], rel=1e-6)
    assert [event.value for event in found.Scalars("loss")] == pytest.approx([line["loss"] for line in lines], rel=1e-6)
    assert found.Scalars("metrics/psnr")[0].value == pytest.approx(done.metrics["psnr"], rel=1e-6)
    image = found.Images("image")[-1]
    assert (image.width, image.height, image.step) == (32, 24, 3)
    assert image.encoded_image_string.startswith(b"\x89PNG")
    again = run(make(tmp_path, "output.tensorboard=true", "optimizer.iterations=5"), tmp_path / "run")
    assert [event.step for event in read(again.folder).Scalars("loss")] == [*range(6)]
    assert len([*(again.folder / "tensorboard").iterdir()]) == 1


def test_a_sweeps_keys_are_hparams(jaxstyle_command: Run, folder: Path):
    sweep = ("--set", "sweep.start.seed=[3, 4]", "--set", 'sweep.loss.style_layers=["cumulative"]')
    done = jaxstyle_command("run", "small.toml", "--out", "sweep", "--set", "output.tensorboard=true", *sweep)
    assert done.exit_code == 0, done.output
    from tensorboard.plugins.hparams import metadata

    content = read(folder / "sweep/members/1").PluginTagToContent(metadata.PLUGIN_NAME)
    values = metadata.parse_session_start_info_plugin_data(content["_hparams_/session_start_info"]).hparams
    assert values["start.seed"].number_value == 4
    assert values["loss.style_layers"].string_value == '["conv1_1"]'


def test_without_the_extra_one_message_says_what_to_install(
    jaxstyle_command: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "tensorboard.summary.writer.event_file_writer", None)
    done = jaxstyle_command("run", "small.toml", "--set", "output.tensorboard=true")
    message = "error: output.tensorboard: TensorBoard is not installed: pip install 'jaxstyle[tensorboard]'\n"
    assert (done.exit_code, done.stderr) == (2, message)
    assert not (folder / "runs").exists()
