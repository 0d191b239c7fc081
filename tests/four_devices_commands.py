"""On several devices: memory, the commands and `transfer`."""

import logging
import re
from pathlib import Path

import jax
import numpy as np
import pytest
from four_devices import COUNT, ONE_POOLING, experiment_on_arrays
from small_runs import make, read_manifest, write_images
from typer.testing import CliRunner

import jaxstyle
from jaxstyle.cli.main import app
from jaxstyle.devices import memory
from jaxstyle.errors import JaxstyleError
from jaxstyle.network.weights import Weights
from jaxstyle.optimizers import Result, needed_bytes
from jaxstyle.runs import runner
from jaxstyle.synthesis.estimates import estimate_memory, outlines, sides_of
from jaxstyle.synthesis.optimization import optimize
from jaxstyle.synthesis.preparation import Prepared, prepare, read_images
from jaxstyle.synthesis.tiles import SIDE


def test_a_device_holds_its_share(tiny: Weights):
    experiment, images = experiment_on_arrays((128, 32), **ONE_POOLING)
    held = {}
    for devices in (1, COUNT):
        (plan,) = outlines(experiment, images, tiny, devices=devices)
        image = jax.ShapeDtypeStruct((128, 32, 3), np.float32)
        kernels = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(plan.problem.parameters))
        held[devices] = needed_bytes(plan.objective, image, plan.problem, plan.settings) - kernels
    # A quarter; and the edges, the Gram matrices, and the kernels turned round for the way back.
    assert held[COUNT] < 0.35 * held[1]


def test_what_is_compiled_to_estimate_is_what_runs(
    tmp_path: Path, tiny: Weights, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(memory, "in_use", lambda: 0)  # this process's memory goes up and down with other tests
    loss = {"content_layers": ["conv1_1"], "style_layers": ["conv1_1"]}
    experiment = make(tmp_path, loss=loss)  # no other test here has compiled it
    images = read_images(experiment)
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        together = estimate_memory(outlines(experiment, images, tiny, devices="all")[-1])
        caplog.clear()
        optimize(prepare(experiment, images, tiny, devices="all"))
    finished = [record.getMessage() for record in caplog.records if "Finished XLA compilation" in record.msg]
    assert finished
    assert [message for message in finished if "jit(advance_once)" in message] == []
    monkeypatch.setattr(memory, "is_shared", lambda: False)
    assert estimate_memory(outlines(experiment, images, tiny, devices="all")[-1]) < together


# the commands and `transfer`


@pytest.fixture
def folder(tmp_path: Path, tiny: Weights, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner, "load_weights", lambda name, progress: tiny)
    monkeypatch.setattr("jaxstyle.synthesis.transfer.load_weights", lambda name: tiny)
    write_images(tmp_path)
    text = 'image = { content = "content.png", style = "style.png", size = 32 }\noptimizer.iterations = 2\n'
    layers = 'loss = { content_layers = ["conv2_1"], style_layers = ["conv1_1"] }\n'
    (tmp_path / "small.toml").write_text(text + layers)
    return tmp_path


def command(*arguments: str):
    return CliRunner().invoke(app, arguments)


def test_a_run_on_all_devices_is_recorded(folder: Path):
    done = command("run", "small.toml", "--out", "spread", "--devices", "all")
    assert done.exit_code == 0, done.output
    manifest = read_manifest(folder / "spread")
    assert (manifest["devices"], manifest["status"]) == (COUNT, "budget spent")


def test_no_tiles_of_an_image_that_is_spread(folder: Path, tiny: Weights, monkeypatch: pytest.MonkeyPatch):
    refused = command("run", "small.toml", "--devices=2", "--set", "image.tile=16")
    assert refused.exit_code == 2
    message = 'image.tile: found 16, but the image is spread over several devices; allowed: 0, "auto"'
    assert refused.stderr == f"error: {message}\n"
    assert not (folder / "runs").exists()
    monkeypatch.setattr(memory, "in_all", lambda: 10**5)  # not enough for a whole one
    spread, tiled = (outlines(make(folder), read_images(make(folder)), tiny, devices=devices) for devices in (2, 1))
    assert (sides_of(spread), sides_of(tiled)) == ({}, {32: SIDE})


def test_a_sweeps_members_are_spread(folder: Path):
    done = command("run", "small.toml", "--out", "s", "--devices=all", "--set", "sweep.start.seed=[1, 2]")
    assert done.exit_code == 0, done.output
    assert [read_manifest(folder / "s/members" / index)["devices"] for index in "01"] == [COUNT] * 2


def test_members_are_spread_or_go_side_by_side(folder: Path):
    refused = command("run", "small.toml", "--devices=2", "--lanes=3")
    assert (
        refused.stderr == "error: --lanes: members that are spread over devices go one after another; found --lanes 3\n"
    )


@pytest.mark.parametrize("name", ["run", "check"])
def test_a_wrong_number_is_refused_before_anything_else(folder: Path, name: str):
    refused = command(name, "small.toml", "--devices", "5")
    assert refused.exit_code == 2
    assert refused.stderr == "error: devices: found 5; allowed: 1 to 4, or all\n"
    assert not (folder / "runs").exists()


def test_transfer_in_python_spreads_every_scale(folder: Path, monkeypatch: pytest.MonkeyPatch):
    prepared: list[Prepared] = []

    def stop(scales: tuple[Prepared, ...], **_: object) -> Result:
        prepared.extend(scales)
        raise InterruptedError

    monkeypatch.setattr("jaxstyle.synthesis.transfer.optimize", stop)
    options = {"image": {"size": 32, "scales": [16, 32]}, "loss": {"content_layers": [], "style_layers": ["conv1_1"]}}
    with pytest.raises(InterruptedError):
        jaxstyle.transfer("content.png", "style.png", devices="all", **options)
    bands = [scale.objective.bands for scale in prepared]
    assert [(it.count, it.height) for it in bands if it] == [(COUNT, 12), (COUNT, 24)]
    with pytest.raises(JaxstyleError, match="devices: found 5"):
        jaxstyle.transfer("content.png", "style.png", devices=5, **options)


@pytest.mark.usefixtures("vgg19_normalized")  # nothing is estimated without the weights
def test_check_says_when_more_devices_would_help(folder: Path, monkeypatch: pytest.MonkeyPatch):
    advice = r"ver 4 devices it would take about \d\.\d GB on each: --devices all"
    small = command("check", "small.toml")
    assert "--devices" not in small.stdout
    monkeypatch.setattr(memory, "is_shared", lambda: False)  # as accelerators are
    monkeypatch.setattr(memory, "available", lambda: 0)
    refused = command("check", "small.toml")
    assert refused.exit_code == 2
    assert re.search(rf"; no size fits\. O{advice}\. To run it all the same: --ignore-memory\n$", refused.stderr)
    monkeypatch.setattr(memory, "available", lambda: 300_000_000)
    large = command("check", "small.toml")
    assert re.search(rf"^  o{advice}$", large.stdout, re.M), large.output
    spread = command("check", "small.toml", "--devices=all")
    assert re.search(r"^  about \d\.\d GB on each of 4 devices, about 0 s", spread.stdout, re.M), spread.output
    assert "would take" not in spread.stdout
