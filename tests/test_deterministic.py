import os
from pathlib import Path

import jax
import pytest
from small_commands import write_experiment
from tiny_network import COMMAND, environment, python

from jaxstyle.devices import deterministic

PLUGIN = {
    "plugin-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: plugin\nVersion: 1\n",
    "plugin-1.dist-info/entry_points.txt": "[jax_plugins]\nnone = no_plugin\n",
    "no_plugin.py": "def initialize():\n    pass\n",
}
"""A plugin of jax by which no device comes."""


@pytest.fixture
def plugins(monkeypatch):
    found = []
    monkeypatch.setattr(deterministic, "entry_points", lambda group: found if group == "jax_plugins" else [])
    return found


@pytest.mark.parametrize(
    ("flags", "asked"),
    [
        (None, {"xla_gpu_deterministic_ops": True}),
        ("--xla_dump_to=x", {"xla_gpu_deterministic_ops": True}),
        ("--xla_gpu_deterministic_ops=false", {}),
    ],
)
def test_a_gpu_is_asked_to_repeat_itself_unless_the_user_chose(flags, asked, plugins, monkeypatch):
    monkeypatch.setenv(deterministic.FLAGS, flags or "")
    plugins.append("xla_cuda13")
    assert deterministic.options() == asked


def test_nothing_is_asked_where_there_is_the_cpu_alone(plugins, monkeypatch):
    monkeypatch.delenv(deterministic.FLAGS, raising=False)
    assert deterministic.options() == {}


def test_xla_knows_the_option():
    """XLA refuses an option that it does not know."""
    assert jax.jit(lambda x: x + 1, compiler_options={deterministic.NAME: True})(1) == 2
    with pytest.raises(jax.errors.JaxRuntimeError, match="xla_gpu_none"):
        jax.jit(lambda x: x + 2, compiler_options={"xla_gpu_none": True})(1)


@pytest.mark.parametrize("method", ["lbfgs", "scipy-lbfgsb"])
def test_programs_with_options_are_in_no_other(method: str, tmp_path: Path):
    """jax refuses those that are."""
    for name, text in PLUGIN.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    write_experiment(tmp_path)
    path = f"{tmp_path}{os.pathsep}{environment()['PYTHONPATH']}"
    program = f"from jaxstyle.devices import deterministic\nassert deterministic.options()\n{COMMAND}"
    options = ("--set", f"optimizer.method={method}")
    for words in (("check", "small.toml"), ("run", "small.toml", "--out", "run")):
        done = python(program, *words, *options, cwd=tmp_path, PYTHONPATH=path)
        assert done.returncode == 0, done.stderr
