"""No device: one line that says so, from every way in; and `doctor` always answers."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest
from small_commands import Run, write_experiment
from small_runs import LAYERS, make, smooth

import jaxstyle
from jaxstyle.cli import doctor
from jaxstyle.devices import environment
from jaxstyle.errors import JaxstyleError
from jaxstyle.network import calibration
from jaxstyle.network.weights import Weights
from jaxstyle.runs import runner


@pytest.fixture
def no_device(monkeypatch: pytest.MonkeyPatch, tiny: Weights) -> None:
    """As where the platform that was named is not there."""

    def refuse() -> list[jax.Device]:
        raise RuntimeError("Unable to initialize backend 'cuda': no GPU\nmore (set JAX_PLATFORMS='' to choose)")

    monkeypatch.setattr(jax, "devices", refuse)
    monkeypatch.setattr(runner, "load_weights", lambda name, progress: tiny)
    monkeypatch.setattr("jaxstyle.synthesis.transfer.load_weights", lambda name: tiny)


def test_every_way_in_says_that_there_is_no_device(no_device: None, tmp_path: Path, tiny: Weights):
    experiment = make(tmp_path)
    for enter in (
        lambda: jaxstyle.transfer(smooth(24, 32, 1), smooth(24, 32, 2), image={"size": 32}, loss=LAYERS),
        lambda: jaxstyle.run(experiment, tmp_path / "run"),
        lambda: calibration.measure_mean_activations(tiny, [tmp_path / "content.png"]),
        environment.devices,
    ):
        with pytest.raises(JaxstyleError, match=r"^.*jax finds no such device \(Unable .* no GPU\); allowed: cpu"):
            enter()
    assert not (tmp_path / "run").exists()


def test_the_commands_answer_before_they_make_a_folder(jaxstyle_command: Run, folder: Path, no_device: None):
    transfer = ("transfer", "content.png", "style.png", "-o", "o.png")
    for words in (("run", "small.toml"), ("check", "small.toml"), transfer):
        done = jaxstyle_command(*words)
        assert done.exit_code == 2
        assert done.stderr.startswith("error: jax finds no such device")
        assert len(done.stderr.splitlines()) == 1
    assert not (folder / "runs").exists()
    done = jaxstyle_command("doctor")
    assert done.exit_code == 0
    assert "device: jax finds no such device" in done.stdout
    assert "extra ray: " in done.stdout


def test_doctor_answers_whatever_is_broken(monkeypatch: pytest.MonkeyPatch):
    def broken() -> list[object]:
        raise OSError("the disk is gone")

    monkeypatch.setattr(jaxstyle.network.weights, "available", broken)
    monkeypatch.setattr(doctor, "PACKAGES", ("jax", "no-such-package"))
    lines = [*doctor.diagnose()]
    assert "  no-such-package is not installed" in lines
    assert "weights: cannot be known: OSError: the disk is gone" in lines
    assert any(line.startswith("images: ") for line in lines)


@pytest.mark.parametrize(
    ("name", "value", "answer"),
    [
        ("JAX_PLATFORMS", "cuda", "JAX_PLATFORMS=cuda: jax finds no such device ("),
        ("JAX_PLATFORMS", "nonsense", "JAX_PLATFORMS=nonsense: jax finds no such device ("),
        ("JAX_ENABLE_X64", "maybe", "jax cannot be imported: invalid truth value 'maybe'"),
    ],
)
def test_a_setting_of_the_environment(tmp_path: Path, name: str, value: str, answer: str):
    """In processes of their own, in which jax reads it."""
    if value == "cuda" and jax.default_backend() != "cpu":
        pytest.skip("there is one")
    write_experiment(tmp_path)
    words = [sys.executable, "-m", "jaxstyle"]
    given = {**os.environ, name: value, "PYTHONPATH": str(Path(jaxstyle.__file__).parents[1])}
    doctor, check = (
        subprocess.run([*words, *command], cwd=tmp_path, env=given, capture_output=True, text=True, check=False)
        for command in (("doctor",), ("check", "small.toml"))
    )
    assert (doctor.returncode, doctor.stderr) == (0, "")
    assert f"device: {answer}" in doctor.stdout
    assert "weights: " in doctor.stdout
    assert check.returncode == 2
    assert check.stderr.startswith(f"error: {answer}")
    assert len(check.stderr.splitlines()) == 1
