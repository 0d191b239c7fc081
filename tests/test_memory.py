"""What is used and what is available, against what the tests themselves take and pretend."""

import mmap
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle.devices import memory

MEBIBYTE = 2**20


def test_what_is_taken_is_seen():
    size, seen = 64 * MEBIBYTE, []
    for _ in range(5):
        before = memory.in_use()
        with mmap.mmap(-1, size) as taken:  # pages of its own: what malloc gives may have been in use before
            for page in range(0, size, mmap.PAGESIZE):  # memory that is not written to is not used
                taken[page] = 1
            seen.append(memory.in_use() - before)
    assert size * 0.9 < np.median(seen) < size * 1.5  # other threads allocate, and the kernel reclaims what lies idle


def test_the_peak_is_what_was_in_use_at_most():
    taken = np.ones(64 * MEBIBYTE, np.uint8)
    now, most = memory.in_use(), memory.peak()
    assert most is not None
    assert now * 0.99 < most < 2**40  # the kernel counts in batches of pages; a unit mistaken is a factor of 1024
    del taken


def test_what_can_be_had_is_less_than_there_is():
    free = memory.available()
    assert free is None or MEBIBYTE < free < 2**50


def program(function, **options):
    return jax.jit(function, **options).lower(jax.ShapeDtypeStruct((1000,), jnp.float32)).compile()


def test_a_program_holds_its_arguments_results_and_temporaries():
    # XLA aligns each buffer and may add a few bytes of its own.
    assert memory.of_program(program(lambda x: x + 1)) == pytest.approx(2 * 4000, abs=200)
    assert memory.of_program(program(lambda x: x + 1, donate_argnums=0)) == pytest.approx(4000, abs=200)
    sorted_twice = program(lambda x: jnp.sort(jnp.sort(x)[::-1] ** 2).sum())  # what is sorted is somewhere meanwhile
    assert memory.of_program(sorted_twice) > 4000 + 4 + 3000


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with 8 MiB available and no control groups, whose files tests may add."""
    (tmp_path / "meminfo").write_text("MemTotal: 99999 kB\nMemFree: 17 kB\nMemAvailable: 8192 kB\n")
    for name, file in {"CONTROL_GROUPS": "groups", "MEMBERSHIP": "membership", "MEMORY_INFO": "meminfo"}.items():
        monkeypatch.setattr(memory, name, tmp_path / file)
    monkeypatch.setattr(memory, "_of_accelerator", lambda: None)
    return tmp_path


def limit(folder: Path, most: str, used: int, cache: int, *, version: int = 2):
    folder.mkdir(parents=True, exist_ok=True)
    names = ("memory.max", "memory.current", "inactive_file")
    if version == 1:
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    (folder / names[0]).write_text(f"{most}\n")
    (folder / names[1]).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 1\n{names[2]} {cache}\n")


def test_linux_is_asked_for_what_is_available(machine: Path):
    assert memory.available() == 8 * MEBIBYTE


def test_without_linux_all_there_is_counts(machine: Path):
    (machine / "meminfo").unlink()
    total = memory.available()
    assert total is None or total > 8 * MEBIBYTE


def test_the_narrowest_limit_around_the_process_counts(machine: Path):
    (machine / "membership").write_text("1:cpu:/elsewhere\n0::/job/step\n")
    limit(machine / "groups/job", str(5 * MEBIBYTE), used=3 * MEBIBYTE, cache=MEBIBYTE)
    limit(machine / "groups/job/step", "max", used=2 * MEBIBYTE, cache=0)
    assert memory.available() == 3 * MEBIBYTE
    limit(machine / "groups/job/step", str(2 * MEBIBYTE), used=MEBIBYTE, cache=0)
    assert memory.available() == MEBIBYTE
    limit(machine / "groups/job/step", str(2**40), used=MEBIBYTE, cache=0)
    limit(machine / "groups/job", str(2**40), used=MEBIBYTE, cache=0)
    assert memory.available() == 8 * MEBIBYTE


def test_the_first_version_of_control_groups(machine: Path):
    (machine / "membership").write_text("4:cpu,memory:/job\n0::/\n")
    limit(machine / "groups/memory", str(2**62), used=2 * MEBIBYTE, cache=0, version=1)
    limit(machine / "groups/memory/job", str(4 * MEBIBYTE), used=2 * MEBIBYTE, cache=MEBIBYTE, version=1)
    assert memory.available() == 3 * MEBIBYTE


def test_an_accelerator_is_asked_itself(monkeypatch: pytest.MonkeyPatch):
    statistics = {"bytes_limit": 100, "bytes_in_use": 30, "peak_bytes_in_use": 70}
    monkeypatch.setattr(memory, "_of_accelerator", lambda: statistics)
    assert (memory.available(), memory.in_use(), memory.peak()) == (70, 30, 70)
