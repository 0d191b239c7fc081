"""Where compiled programs are kept, and that the next process compiles none of them again."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jax
import platformdirs
import pytest
from small_runs import write_images

from jaxstyle.devices import compilation_cache

SETTINGS = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs", "jax_enable_compilation_cache")
COUNTING = """
import collections, json, sys
import jax
from jaxstyle.cli.main import app

counts = collections.Counter(hits=0, misses=0)
jax.monitoring.register_event_listener(lambda event, **_: counts.update([event.rpartition("cache_")[2]]))
try:
    app(sys.argv[1:])
except SystemExit as end:
    print(json.dumps({"status": end.code, **counts}))
"""
"""Runs a command and ends with a line that counts the programs that were found and those that were compiled."""
PATIENCE = 600  # seconds for a process on a busy machine


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is set, and jax is afterwards as it was."""
    monkeypatch.delenv(compilation_cache.ENVIRONMENT)
    before = {name: jax.config.values[name] for name in SETTINGS}
    jax.config.update("jax_compilation_cache_dir", None)
    yield
    for name, value in before.items():
        jax.config.update(name, value)


def test_the_users_cache_is_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    assert compilation_cache.folder() == platformdirs.user_cache_path("jaxstyle") / "programs"
    monkeypatch.setenv(compilation_cache.ENVIRONMENT, str(tmp_path / "mine"))
    assert compilation_cache.folder() == tmp_path / "mine"
    assert compilation_cache.switch_on() is None
    assert (tmp_path / "mine").is_dir()
    assert jax.config.values["jax_compilation_cache_dir"] == str(tmp_path / "mine")
    assert jax.config.values["jax_persistent_cache_min_compile_time_secs"] == 0


def test_it_can_be_switched_off(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(compilation_cache.ENVIRONMENT, "off")
    assert compilation_cache.folder() is None
    assert compilation_cache.switch_on() is None
    assert jax.config.values["jax_compilation_cache_dir"] is None
    monkeypatch.delenv(compilation_cache.ENVIRONMENT)
    jax.config.update("jax_enable_compilation_cache", False)
    assert compilation_cache.folder() is None


@pytest.mark.parametrize("own", ["off", "/mine"])
def test_what_is_set_for_jax_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, own: str):
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    monkeypatch.setenv(compilation_cache.ENVIRONMENT, own)
    before = {name: jax.config.values[name] for name in SETTINGS}
    assert compilation_cache.folder() == tmp_path
    assert compilation_cache.switch_on() is None
    assert {name: jax.config.values[name] for name in SETTINGS} == before


def test_a_folder_that_cannot_be_is_only_a_note(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(compilation_cache.ENVIRONMENT, str(tmp_path / "file/cache"))
    note = compilation_cache.switch_on()
    assert note is not None
    assert note.startswith(f"compiled programs cannot be kept in {tmp_path}/file/cache (")
    assert jax.config.values["jax_compilation_cache_dir"] is None


def test_only_the_damaged_programs_entries_are_deleted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv(compilation_cache.ENVIRONMENT, str(tmp_path))
    for name in ("jit_measure-12-cache", "jit_measure-34-cache", "jit_advance_once-56-cache"):
        (tmp_path / name).write_text("")
    warning = "Error reading persistent compilation cache entry for 'jit_measure': zlib.error: incorrect header"
    assert compilation_cache.mend("overflow encountered in square") is None
    assert compilation_cache.mend(warning) == f"{tmp_path}: a damaged program, jit_measure, is compiled again"
    assert [path.name for path in tmp_path.iterdir()] == ["jit_advance_once-56-cache"]


def test_what_is_half_written_is_deleted_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv(compilation_cache.ENVIRONMENT, str(tmp_path))
    for age, name in ((9, "jit_measure-12-cache"), (1, "jit_measure-34-cache"), (0, "jit_advance_once-56-cache")):
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    reason = "OSError: [Errno 28] No space left on device"
    notes = {
        compilation_cache.mend(f"Error writing persistent compilation cache entry for '{name}': {reason}")
        for name in ("jit_measure", "jit_stage")
    }
    allowed = f"another folder, or off: {compilation_cache.ENVIRONMENT}"
    assert notes == {f"compiled programs cannot be kept in {tmp_path} (No space left on device); {allowed}"}
    assert {path.name for path in tmp_path.iterdir()} == {"jit_measure-12-cache", "jit_advance_once-56-cache"}


def test_the_next_process_compiles_nothing_and_damage_is_mended(tmp_path: Path):
    write_images(tmp_path)
    layers = ['--set=loss.content_layers=["conv2_1"]', '--set=loss.style_layers=["conv1_1"]']
    cache = tmp_path / "cache"

    def start(name: str, **changes: str) -> tuple[dict[str, int], list[str]]:
        arguments = ["transfer", "content.png", "style.png", "-o", name, "--size=32", "--iterations=1", *layers]
        done = subprocess.run(
            [sys.executable, "-c", COUNTING, *arguments],
            cwd=tmp_path,
            env={**os.environ, compilation_cache.ENVIRONMENT: str(cache), **changes},
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE,
        )
        return json.loads(done.stdout.splitlines()[-1]), done.stderr.splitlines()

    first, _ = start("first.png")
    assert (first["status"], first["hits"]) == (0, 0)
    assert first["misses"] == len([*cache.iterdir()]) > 0
    second, said = start("second.png")
    assert (second["status"], second["hits"], second["misses"], said) == (0, first["misses"], 0, [])
    (damaged,) = cache.glob("jit_advance_once-*")
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[: len(whole) // 2])  # as a process leaves it that is killed while it writes
    third, said = start("third.png", PYTHONWARNINGS="error")
    assert (third["status"], third["misses"]) == (0, 1)
    assert said == [f"note: {cache}: a damaged program, jit_advance_once, is compiled again"]
    assert len(damaged.read_bytes()) > len(whole) // 2
    images = {(tmp_path / f"{name}.png").read_bytes() for name in ("first", "second", "third")}
    assert len(images) == 1
