"""The installed command, in a process of its own and with the real network: started, interrupted, killed."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from small_commands import SMALL
from small_runs import read_manifest, read_metrics, strict_json
from typer.testing import CliRunner

import jaxstyle
from jaxstyle.cli.main import app
from jaxstyle.images import gallery, read_image, read_metadata
from jaxstyle.network.weights import Weights

COMMAND = Path(sys.executable).with_name("jaxstyle")
PATIENCE = 600  # seconds for a process on a busy machine

Start = Callable[..., subprocess.Popen[str]]


def start(*arguments: object, cwd: Path) -> subprocess.Popen[str]:
    """Starts the installed command as a user would."""
    command = [str(COMMAND), *map(str, arguments)]
    environment = {key: value for key, value in os.environ.items() if key != gallery.ENVIRONMENT}
    return subprocess.Popen(
        command, cwd=cwd, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


@pytest.fixture
def process(folder: Path, vgg19_normalized: Weights) -> Iterator[Start]:
    """Starts commands, for which the weights are there, and sees to it that none outlives the test."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: object, cwd: Path = folder) -> subprocess.Popen[str]:
        started.append(start(*arguments, cwd=cwd))
        return started[-1]

    yield begin
    for one in started:
        if one.poll() is None:
            one.kill()
        one.communicate()


def wait_for(process: subprocess.Popen[str], there: Callable[[], bool]) -> None:
    """Waits until something is there."""
    end = time.monotonic() + PATIENCE
    while not there():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, f"not within {PATIENCE} s"
        time.sleep(0.02)


def wait_for_iterations(process: subprocess.Popen[str], folder: Path, count: int) -> None:
    """Waits until a run has written so many lines of metrics."""
    metrics = folder / "metrics.jsonl"
    wait_for(process, lambda: metrics.exists() and metrics.read_bytes().count(b"\n") >= count)


def table_numbers(folder: Path) -> list[dict[str, str]]:
    """A sweep's table without the times."""
    with open(folder / "table.csv", newline="", encoding="utf-8") as file:
        return [row | {"run_seconds": ""} for row in csv.DictReader(file)]


def test_the_installed_command_from_another_folder(process: Start, folder: Path):
    (folder / "elsewhere").mkdir()
    one = process(
        "transfer", "../content.png", "../style.png", "../content.png", "-o", "o.png", *SMALL, cwd=folder / "elsewhere"
    )
    out, err = one.communicate(timeout=PATIENCE)
    assert (one.returncode, err) == (0, "")
    assert "image:  o.png" in out
    metadata = read_metadata(folder / "elsewhere/o.png")
    assert json.loads(metadata["jaxstyle:weights"])["name"] == "vgg19-normalized"
    assert len(json.loads(metadata["jaxstyle:experiment"])["image"]["style"]) == 2


def test_the_installed_command_answers_a_mistake(process: Start):
    one = process("run", "small.toml", "--set", "image.content=contnt.png")
    out, err = one.communicate(timeout=PATIENCE)
    assert one.returncode == 2
    assert err.startswith("error: ")
    assert err.endswith("did you mean 'content.png'?\n")
    assert "Traceback" not in out + err


def test_the_package_is_the_command():
    said = subprocess.run([sys.executable, "-m", "jaxstyle", "--version"], capture_output=True, text=True, check=True)
    assert said.stdout == f"jaxstyle {jaxstyle.__version__}\n"


def test_ctrl_c_keeps_the_best_image(process: Start, folder: Path):
    one = process("run", "small.toml", "--out", "run", "--set", "optimizer.iterations=1000000")
    wait_for_iterations(one, folder / "run", 3)
    one.send_signal(signal.SIGINT)
    out, err = one.communicate(timeout=PATIENCE)
    assert (one.returncode, err) == (130, "")
    assert "interrupted: " in out
    assert "the best image so far is saved" in out
    manifest, lines = read_manifest(folder / "run"), read_metrics(folder / "run")
    assert manifest["status"] == "interrupted"
    assert manifest["loss"] == min(line["loss"] for line in lines)
    assert manifest["iterations"] == lines[-1]["iteration"] == len(lines) - 1
    assert read_image(folder / "run/result.png").pixels.shape == (24, 32, 3)


def test_ctrl_c_ends_a_sweep(process: Start, folder: Path):
    sweep = ("--set", "sweep.start.seed=[1, 2]", "--set", "optimizer.iterations=1000000")
    one = process("run", "small.toml", "--out", "sweep", *sweep)
    wait_for_iterations(one, folder / "sweep/members/0", 3)
    one.send_signal(signal.SIGINT)
    out, err = one.communicate(timeout=PATIENCE)
    assert (one.returncode, err) == (130, "")
    assert "0: seed = 1: interrupted" in out
    assert read_manifest(folder / "sweep/members/0")["status"] == "interrupted"
    assert read_image(folder / "sweep/members/0/result.png").pixels.shape == (24, 32, 3)
    assert not (folder / "sweep/members/1").exists()
    assert len((folder / "sweep/table.csv").read_text().splitlines()) == 2


@pytest.mark.long
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows ends processes otherwise")
def test_a_sweep_that_is_killed_goes_on_to_the_bit(process: Start, folder: Path):
    settings = ("sweep.start.seed=[1, 2, 3]", "optimizer.iterations=150", "output.checkpoint_seconds=0.2")
    command = ("run", "small.toml", *(word for setting in settings for word in ("--set", setting)))
    whole = process(*command, "--out", "whole")
    out, err = whole.communicate(timeout=PATIENCE)
    assert (whole.returncode, err) == (0, "")

    # In the middle of a member, of which there is a checkpoint; a second process is turned away.
    first = process(*command)
    wait_for(first, lambda: any(folder.glob("runs/small/*/members/1/checkpoint.safetensors")))
    first.send_signal(signal.SIGSTOP)  # however long the second takes, the first is still there
    second = CliRunner().invoke(app, command)
    first.kill()
    first.communicate(timeout=PATIENCE)
    (sweep,) = folder.glob("runs/small/*")
    turned_away = f"error: runs/small/{sweep.name}: process {first.pid} on "
    assert (second.exit_code, second.stderr[: len(turned_away)]) == (2, turned_away)
    assert read_manifest(sweep / "members/1")["status"] == "running"
    half_done = (sweep / "members/0/result.png").stat().st_mtime_ns

    # Between two members.
    then = process(*command)
    wait_for(then, lambda: read_manifest(sweep / "members/1")["status"] == "budget spent")
    then.kill()
    out, _ = then.communicate(timeout=PATIENCE)
    assert f"resuming runs/small/{sweep.name}; --fresh starts a new run" in out
    assert "3 members, 1 of them finished before" in out
    assert re.search(r"2/3 seed = 2: resuming after iteration [1-9]", out)
    assert not (sweep / "members/2/result.png").exists()

    last = process(*command)
    out, err = last.communicate(timeout=PATIENCE)
    assert (last.returncode, err) == (0, "")
    assert "3 members, 2 of them finished before" in out
    assert (sweep / "members/0/result.png").stat().st_mtime_ns == half_done
    for index in range(3):
        images = [read_image(place / f"members/{index}/result.png").pixels for place in (sweep, folder / "whole")]
        assert images[0].tobytes() == images[1].tobytes()
        lines = [read_metrics(place / f"members/{index}") for place in (sweep, folder / "whole")]
        assert [line["loss"] for line in lines[0]] == [line["loss"] for line in lines[1]]
    assert table_numbers(sweep) == table_numbers(folder / "whole")


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows ends processes otherwise")
def test_a_process_that_is_killed_leaves_whole_files(process: Start, folder: Path):
    settings = ("--set", "optimizer.iterations=1000000", "--set", "output.save_every=1")
    one = process("run", "small.toml", "--out", "run", *settings)
    wait_for_iterations(one, folder / "run", 5)
    one.kill()
    one.communicate(timeout=PATIENCE)
    assert one.returncode == -signal.SIGKILL
    assert read_manifest(folder / "run")["status"] == "running"
    assert jaxstyle.load_experiment(folder / "run/experiment.json").title == "a small one"
    lines = (folder / "run/metrics.jsonl").read_bytes().split(b"\n")[:-1]  # the last may be half a line
    assert [strict_json(line.decode())["iteration"] for line in lines] == list(range(len(lines)))
    images = list((folder / "run").rglob("*.png"))
    assert len(images) >= 3
    for image in images:
        assert read_image(image).pixels.shape == (24, 32, 3)
