import os
import subprocess
import sys

import pytest

from jaxstyle.devices import deterministic


@pytest.fixture
def plugins(monkeypatch):
    found = []
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: found if group == "jax_plugins" else [])
    return found


@pytest.mark.parametrize(
    ("flags", "asked"),
    [
        (None, "--xla_gpu_deterministic_ops=true"),
        ("--xla_dump_to=x", "--xla_dump_to=x --xla_gpu_deterministic_ops=true"),
        ("--xla_gpu_deterministic_ops=false", "--xla_gpu_deterministic_ops=false"),
    ],
)
def test_a_gpu_is_asked_to_repeat_itself_unless_the_user_chose(flags, asked, plugins, monkeypatch):
    monkeypatch.setenv(deterministic.FLAGS, flags or "")
    plugins.append("xla_cuda13")
    deterministic.ask_for()
    assert os.environ[deterministic.FLAGS] == asked


def test_nothing_is_asked_where_there_is_the_cpu_alone(plugins, monkeypatch):
    monkeypatch.delenv(deterministic.FLAGS, raising=False)
    deterministic.ask_for()
    assert deterministic.FLAGS not in os.environ


def test_xla_knows_the_flag():
    """XLA ends a process that names a flag it does not know."""
    program = "import jax; print(int(jax.jit(lambda x: x + 1)(1)))"
    environment = {**os.environ, deterministic.FLAGS: f"{deterministic.NAME}=true"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.stdout == "2\n", done.stderr
