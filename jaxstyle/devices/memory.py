"""How much memory is used, was used, and is available: the accelerator's where there is one, else this process's."""

import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

CONTROL_GROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
MEMORY_INFO = Path("/proc/meminfo")
STATISTICS = Path("/proc/self/statm")


def in_use() -> int:
    """The bytes in use now; 0 where the system does not say."""
    if statistics := _of_accelerator():
        return int(statistics["bytes_in_use"])
    try:
        return int(STATISTICS.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):  # no Linux: the most so far is the nearest answer
        return peak() or 0


def peak() -> int | None:
    """The most bytes used so far; None where the system does not say."""
    if statistics := _of_accelerator():
        return int(statistics["peak_bytes_in_use"])
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def available() -> int | None:
    """The bytes that this process can still take without anything being swapped or killed; None where nobody says."""
    if statistics := _of_accelerator():
        return int(statistics["bytes_limit"]) - int(statistics["bytes_in_use"])
    found = [room for room in (_of_machine(), _of_control_groups()) if room is not None]
    return min(found, default=None)


def in_all() -> int | None:
    """The bytes that this process has and can still take; None where nobody says."""
    room = available()
    return None if room is None else in_use() + room


def of_program(program: jax.stages.Compiled) -> int:
    """The bytes that a compiled program holds on each device while it runs: arguments, results and temporaries.

    0 on a device that does not say.
    """
    found = program.memory_analysis()
    if found is None:
        return 0
    results = found.output_size_in_bytes - found.alias_size_in_bytes  # what takes an argument's place costs nothing
    return int(found.argument_size_in_bytes + results + found.temp_size_in_bytes)


def is_shared() -> bool:
    """Whether jax's devices have one memory together, as those that it makes of a CPU have."""
    return jax.default_backend() == "cpu"


def _of_accelerator() -> dict[str, Any] | None:
    statistics = jax.devices()[0].memory_stats()
    return statistics if statistics and "bytes_limit" in statistics else None


def _of_machine() -> int | None:
    """Linux' own estimate of the available memory, else all there is."""
    try:
        lines = MEMORY_INFO.read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        try:
            return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (AttributeError, OSError, ValueError):
            return None


def _of_control_groups() -> int | None:
    """What the narrowest limit of a container, a service or a cluster's job leaves; the page cache does not count."""
    rooms = []
    for folder, limit, usage, cache in _control_groups():
        try:
            most, used = int((folder / limit).read_text()), int((folder / usage).read_text())
            statistics = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            rooms.append(most - used + int(statistics.get(cache, 0)))
        except (OSError, ValueError):  # no such file, or "max": no limit here
            continue
    return min(rooms, default=None)


def _control_groups() -> Iterator[tuple[Path, str, str, str]]:
    """Yields the control groups around this process with their files' names, in versions 2 and 1."""
    try:
        memberships = [line.split(":", 2) for line in MEMBERSHIP.read_text().splitlines()]
    except OSError:
        return
    for _, controllers, path in memberships:
        if controllers == "":
            for group in _upwards(CONTROL_GROUPS, path):
                yield group, "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            for group in _upwards(CONTROL_GROUPS / "memory", path):
                yield group, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"


def _upwards(root: Path, path: str) -> list[Path]:
    """The folder that a path such as `/slurm/job_7` means below the root, and those around it up to the root."""
    folder = root / path.lstrip("/")
    return [group for group in (folder, *folder.parents) if group.is_relative_to(root)]
