"""How many members of a sweep go side by side: measured on a device's first use, and remembered.

Lanes pay where one image does not fill the device. How many do depends on device, size and program, so it is timed:
1, 2, 4, … lanes, until more gain nothing or do not fit into memory.
"""

import contextlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import platformdirs

from jaxstyle.devices import memory
from jaxstyle.errors import JaxstyleError
from jaxstyle.files import write_atomically
from jaxstyle.optimizers import expected_evaluations, has_lanes
from jaxstyle.sweeps.expansion import Member
from jaxstyle.sweeps.programs import Planned
from jaxstyle.synthesis.estimates import Outline, estimate_memory, time_evaluation
from jaxstyle.synthesis.loss_terms import products_per_pixel
from jaxstyle.synthesis.preparation import Prepared
from jaxstyle.version import __version__

WORTH_MEASURING = 2e12
"""Products that a group of members makes at least for lanes to be timed: on a CPU, 40 s at 256 pixels, 130 s at 64."""
GAIN = 1.05
"""Twice as many lanes are taken if that makes the sweep at least so many times as fast."""


def groups(planned: Sequence[Planned]) -> list[list[Planned]]:
    """The members that can go side by side, in the order of their first: of the same programs and the same network."""
    found: dict[Any, list[Planned]] = {}
    for member in planned:
        programs = tuple(outline.program for outline in member.outlines)
        found.setdefault((member.member.experiment.network.weights, programs), []).append(member)
    return list(found.values())


def batches(members: Sequence[Member], lanes: int) -> Iterator[tuple[Sequence[Member], int]]:
    """Yields members in as few batches of at most `lanes` as there can be, all about as large, and their lanes.

    Example:
      >>> [(list(batch), lanes) for batch, lanes in batches("abcdefg", 4)]
      [(['a', 'b', 'c', 'd'], 4), (['e', 'f', 'g'], 4)]
    """
    count = max(1, math.ceil(len(members) / lanes))
    width = math.ceil(len(members) / count)
    for first in range(0, len(members), max(1, width)):
        yield members[first : first + width], width


def choose_lanes(
    group: Sequence[Planned],
    prepare: Callable[[Planned], Prepared],
    *,
    log: Callable[[str], None] = lambda message: None,
) -> int:
    """How many lanes finish a group of members soonest.

    Where that was measured before, the answer is remembered; otherwise it is measured if the group is large enough.

    Args:
      group: of `groups`.
      prepare: makes a member ready at its last scale, which costs most.
      log: called with a message before each measurement.
    """
    outline, most = group[0].outlines[-1], len(group)
    if most == 1 or not has_lanes(outline.objective, outline.settings):
        return 1
    key = _key(group[0])
    known = _recall(key)
    work = sum(_products(outline) for member in group for outline in member.outlines)
    timed = _measured(group, prepare, known, log) if work >= WORTH_MEASURING else known
    if timed != known:
        _remember(key, timed)
    return _best({lanes: seconds for lanes, seconds in timed.items() if lanes <= most})


def _measured(
    group: Sequence[Planned],
    prepare: Callable[[Planned], Prepared],
    known: Mapping[int, float],
    log: Callable[[str], None],
) -> dict[int, float]:
    """Seconds of an evaluation in each of 1, 2, 4, … lanes, as far as it pays; what is known is not timed again."""
    timed, outline = dict(known), group[0].outlines[-1]
    prepared: Prepared | None = None
    lanes = 1
    while lanes <= len(group) and (lanes == 1 or _fits(outline, lanes)):
        if lanes not in timed:
            prepared = prepared or prepare(group[0])
            timed[lanes] = time_evaluation(prepared, lanes=lanes)
            height, width = outline.size
            log(f"{lanes} side by side at {width}×{height}: {timed[lanes] / lanes:.2g} s an evaluation")
        if lanes > 1 and GAIN * timed[lanes] / lanes > timed[lanes // 2] / (lanes // 2):
            break
        lanes *= 2
    return timed


def _best(timed: Mapping[int, float]) -> int:
    """The most lanes that each doubling up to them has paid for; 1 where nothing is known."""
    best = 1
    while 2 * best in timed and best in timed and timed[best] / best >= GAIN * timed[2 * best] / (2 * best):
        best *= 2
    return best


def _fits(outline: Outline, lanes: int) -> bool:
    available = memory.available()
    return available is None or estimate_memory(outline, lanes=lanes) <= memory.in_use() + available


def _products(outline: Outline) -> float:
    evaluations = expected_evaluations(outline.settings)
    return evaluations * math.prod(outline.size) * products_per_pixel(outline.objective.layers)


# What was measured


def file() -> Path:
    """Where measurements are remembered; it can be deleted at any time."""
    return platformdirs.user_cache_path("jaxstyle") / "lanes.json"


def _key(planned: Planned) -> str:
    """All that the time of an evaluation depends on, in words."""
    device, outline, network = jax.devices()[0], planned.outlines[-1], planned.member.experiment.network
    height, width = outline.size
    facts = [
        f"{device.device_kind} ({os.cpu_count()} cores)",
        f"jax {jax.__version__}",
        f"jaxstyle {__version__}",
        f"{width}×{height}",
        str(outline.settings.method.program),
        f"{network.pooling} {network.padding} {network.precision}",
        *outline.objective.names,
    ]
    return ", ".join(facts)


def _recall(key: str) -> dict[int, float]:
    return {int(lanes): float(seconds) for lanes, seconds in _all().get(key, {}).items()}


def _remember(key: str, timed: Mapping[int, float]) -> None:
    content = _all() | {key: {str(lanes): seconds for lanes, seconds in sorted(timed.items())}}
    with contextlib.suppress(JaxstyleError):  # it is measured again next time
        write_atomically(file(), (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())


def _all() -> dict[str, dict[str, float]]:
    """What is remembered; nothing where the file cannot be read or is damaged."""
    try:
        content = json.loads(file().read_text(encoding="utf-8"))
        return {key: dict(timed) for key, timed in content.items() if all(float(s) > 0 for s in timed.values())}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
