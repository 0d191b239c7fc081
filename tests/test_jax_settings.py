"""What another library switches on in the process neither changes a run nor stops it, and is in its record."""

import hashlib
from pathlib import Path

import jax
import numpy as np
import pytest
from small_runs import make, read_manifest, smooth
from tiny_network import python

import jaxstyle
from jaxstyle.devices import jax_settings
from jaxstyle.network.weights import Weights
from jaxstyle.optimizers import Result
from jaxstyle.optimizers.device import advance_once
from jaxstyle.runs import runner

LAYERS = {"content_layers": ["conv1_1"], "style_layers": ["conv1_1"]}
EVERYTHING = {
    "jax_enable_x64": True,
    "jax_disable_jit": True,
    "jax_numpy_dtype_promotion": "strict",
    "jax_transfer_guard": "disallow",
    "jax_default_prng_impl": "rbg",
    "jax_threefry_partitionable": False,
    "jax_debug_infs": True,
    "jax_default_matmul_precision": "bfloat16",
}


def short_run(method: str = "lbfgs") -> Result:
    optimizer = {"iterations": 4, "method": method}
    return jaxstyle.transfer(smooth(16, 20, 1), smooth(18, 18, 2), image={"size": 20}, loss=LAYERS, optimizer=optimizer)


def numbers(result: Result) -> list[object]:
    """All that is to the bit the same in every run; the times are not."""
    return [result.image.tobytes(), *(iteration._replace(seconds=0.0) for iteration in result.history)]


@pytest.fixture(autouse=True)
def _tiny(tiny: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jaxstyle.synthesis.transfer.load_weights", lambda name: tiny)
    monkeypatch.setattr(runner, "load_weights", lambda name, progress: tiny)


@pytest.fixture
def switch():
    """Switches settings of jax until the end of the test."""
    before = jax.config.values

    def on(name: str, value: object) -> None:
        jax.config.update(name, value)

    yield on
    for name in EVERYTHING:
        jax.config.update(name, before[name])


@pytest.mark.parametrize("method", ["lbfgs", "adam", "scipy-lbfgsb"])
def test_x64_changes_no_bit_and_compiles_nothing_anew(method: str, switch):
    expected = short_run(method)
    compiled = advance_once._cache_size()
    switch("jax_enable_x64", True)
    found = short_run(method)
    assert found.image.dtype == np.float32
    assert numbers(found) == numbers(expected)
    assert advance_once._cache_size() == compiled


@pytest.mark.parametrize(("name", "value"), EVERYTHING.items())
def test_a_setting_changes_no_bit(name: str, value: object, switch):
    expected = short_run()
    switch(name, value)
    assert numbers(short_run()) == numbers(expected)


def test_numpys_settings_neither():
    expected = short_run()
    with np.errstate(all="raise"):
        assert numbers(short_run()) == numbers(expected)


def test_warnings_that_are_errors_and_all_settings_from_the_start(tmp_path: Path):
    """In a process of its own, where jax reads the settings from the environment and is imported by somebody else."""
    program = """
import hashlib, jax
import test_jax_settings
from tiny_network import tiny_network
import jaxstyle.synthesis.transfer as module
module.load_weights = lambda name: tiny_network()
result = test_jax_settings.short_run()
print(hashlib.sha256(result.image.tobytes()).hexdigest(), jax.config.jax_enable_x64)
"""
    settings = {name.upper(): str(value) for name, value in EVERYTHING.items()}
    done = python(program, options=["-W", "error"], cwd=tmp_path, **settings)
    assert done.returncode == 0, done.stderr
    digest, outside = done.stdout.split()
    assert outside == "True"
    assert digest == hashlib.sha256(short_run().image.tobytes()).hexdigest()


def test_a_callers_function_runs_with_the_callers_settings(switch):
    switch("jax_enable_x64", True)
    seen = []
    optimizer = {"iterations": 1}
    jaxstyle.transfer(
        smooth(16, 20, 1),
        image={"size": 20},
        loss=LAYERS,
        optimizer=optimizer,
        observe=lambda iterations, best: seen.append((jax.numpy.ones(1).dtype.name, best().dtype.name)),
    )
    assert {*seen} == {("float64", "float32")}
    assert jax.numpy.ones(1).dtype.name == "float64"


@pytest.mark.usefixtures("optimized")
def test_a_record_has_the_settings_that_were_found(tmp_path: Path, switch, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=false")  # jax has read it already
    switch("jax_enable_x64", True)
    switch("jax_numpy_dtype_promotion", "strict")
    runner.run(make(tmp_path, loss=LAYERS), tmp_path / "run")
    found = read_manifest(tmp_path / "run")["jax_settings"]
    assert found == {
        "jax_enable_x64": True,
        "jax_numpy_dtype_promotion": "strict",
        "jax_numpy_rank_promotion": "raise",  # of all tests
        "XLA_FLAGS": "--xla_cpu_enable_fast_math=false",
    }


@pytest.mark.usefixtures("optimized")
def test_jaxs_defaults_are_no_remark():
    with jax.numpy_rank_promotion("allow"):
        assert {name for name in jax_settings.met() if name.startswith("jax_")} == set()
