"""What the page is told, as values that JSON can hold: of all runs what they have come to, of one run everything."""

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxstyle.reports.layout import lay_out, sheets
from jaxstyle.reports.records import NOT_BEGUN, Recorded, mapping
from jaxstyle.reports.words import clean, letters, number, readable
from jaxstyle.runs.folders import FAILED, FINISHED, RESULT
from jaxstyle.runs.locks import is_at_work
from jaxstyle.watch.following import RUNNING, SILENT, STOPPED, Followed, Group, scales_of, signature

POINTS = 3000
"""A curve has at most so many points."""
_SHOWN = {"weights": ("name", "network"), "device": ("kind", "platform", "count"), "versions": ("jaxstyle", "jax")}
"""What of the manifest is shown below the settings."""


class Row(NamedTuple):
    """A run, read: what it has come to."""

    followed: Followed
    recorded: Recorded
    state: str


def identity(folder: Path) -> str:
    """A name for a folder in addresses, which says nothing of its path."""
    return hashlib.sha256(str(folder.absolute()).encode("utf-8", "surrogateescape")).hexdigest()[:12]


def overview(groups: Sequence[Group]) -> dict[str, Any]:
    """All runs in short.

    Args:
      groups: what is followed.
    """
    shown = [_group(group) for group in groups]
    return {"groups": shown, "live": any(group["live"] for group in shown)}


def _group(group: Group) -> dict[str, Any]:
    rows = [Row(followed, followed.read(), followed.state()) for followed in group.members]
    runs = [_summary(index, row) for index, row in enumerate(rows)]
    titles = [row.recorded.title for row in rows if row.recorded.title]
    counts = Counter(row.state for row in rows)
    begun = group.is_sweep and is_at_work(group.folder) is not False
    return {
        "id": identity(group.folder),
        "title": clean(titles[0] if titles else group.folder.resolve().name),
        "folder": clean(str(group.folder)),
        "sweep": group.is_sweep,
        "runs": runs,
        "sheets": _sheets([row.recorded for row in rows]) if len(rows) > 1 else [],
        "counts": [[state, count] for state, count in counts.most_common()],
        "fraction": sum(run["fraction"] for run in runs) / len(runs),
        "left": _seconds_left(runs),
        "live": RUNNING in counts or SILENT in counts or (begun and NOT_BEGUN in counts),
    }


def _summary(index: int, row: Row) -> dict[str, Any]:
    followed, recorded, state = row
    newest = recorded.iterations[-1] if recorded.iterations else {}
    numbers, images = recorded.numbers, followed.images()
    seconds = number(numbers.get("run_seconds"))
    share = seconds / (seconds + followed.left) if seconds + followed.left > 0 else 0.0
    return {
        "id": identity(followed.folder),
        "letter": letters(index),
        "label": clean(recorded.label),
        "state": state,
        "ended": state in FINISHED,
        "bad": state in (FAILED, STOPPED) or recorded.error is not None,
        "error": clean(recorded.error or ""),
        "iteration": newest.get("iteration", 0),
        "iterations": _planned_iterations(recorded),
        "evaluations": numbers.get("evaluations"),
        "loss": readable(numbers.get("loss")),
        "seconds": _finite(seconds),
        "left": followed.left if state == RUNNING else None,
        "fraction": 1.0 if state in FINISHED else share,
        "image": _image(images[-1]) if images else None,
        "size": newest.get("size"),
    }


def _planned_iterations(run: Recorded) -> int | None:
    if scales := scales_of(run):
        return sum(scale.iterations for scale in scales)
    wanted = mapping(run.experiment.get("optimizer")).get("iterations")
    return wanted if isinstance(wanted, int) else None


def _seconds_left(runs: Sequence[Mapping[str, Any]]) -> float | None:
    """What all will still take, if every member takes as long as those so far and as many run at once as now."""
    running = [run for run in runs if run["state"] == RUNNING]
    if not running:
        return None
    if len(runs) == 1:
        return running[0]["left"]
    begun = [run for run in runs if run["fraction"] > 0 and run["seconds"]]
    if not begun:
        return None
    each = sum(run["seconds"] for run in begun) / sum(run["fraction"] for run in begun)
    ahead = sum(1 - run["fraction"] for run in runs if run["state"] in (RUNNING, NOT_BEGUN))
    return ahead * each / len(running)


def _sheets(runs: Sequence[Recorded]) -> list[dict[str, Any]]:
    """The rows and columns of the swept keys, as a report lays them out; none where there is no such order."""
    found = sheets(lay_out(runs))
    return [
        {
            "heading": clean(sheet.heading),
            "down": clean(sheet.down),
            "across": clean(sheet.across),
            "columns": [clean(column) for column in sheet.columns],
            "rows": [
                {"label": clean(row.label), "runs": row.runs, "captions": [clean(each) for each in row.captions]}
                for row in sheet.rows
            ],
        }
        for sheet in found
    ]


def details(followed: Followed, *, start: int = 0, generation: str = "") -> dict[str, Any]:
    """One run: its images, its sources, its settings, and of its curves the points that the page has not yet.

    Args:
      followed: the run.
      start: how many lines of the metrics the page has seen …
      generation: … of which file; of another one it is given all.
    """
    recorded = followed.read()
    images = [_image(path) for path in followed.images()]
    stride = 1 << max(0, math.ceil(math.log2(max(1, len(recorded.iterations)) / POINTS)))
    current = f"{followed.generation}-{stride}"
    first = start if generation == current else 0
    names = list(dict.fromkeys(str(name) for line in recorded.iterations[:1] for name in line["terms"]))
    return {
        "id": identity(followed.folder),
        "folder": clean(str(followed.folder)),
        "images": images,
        "sources": _sources(followed, recorded),
        "settings": [[clean(key), clean(readable(found))] for key, found in recorded.settings.items()],
        "facts": _facts(recorded),
        "generation": current,
        "first": first,
        "next": len(recorded.iterations),
        "terms": [clean(name) for name in names],
        "points": [
            _point(recorded.iterations[index], names)
            for index in range(-(-first // stride) * stride, len(recorded.iterations), stride)
        ],
    }


def _point(line: Mapping[str, Any], names: Sequence[str]) -> list[Any]:
    values = [line["loss"], *(line["terms"].get(name) for name in names)]
    return [
        line.get("iteration", 0),
        line["evaluations"],
        line.get("size"),
        *(_finite(number(each)) for each in values),
    ]


def _facts(run: Recorded) -> list[list[str]]:
    manifest = run.manifest
    facts = [[key, str(manifest[key])] for key in ("started", "resumed", "ended") if manifest.get(key)]
    for section, keys in _SHOWN.items():
        table = mapping(manifest.get(section))
        if found := [str(table[key]) for key in keys if key in table]:
            facts.append([section, ", ".join(found)])
    facts += [[name, readable(found)] for name, found in run.metrics.items() if not isinstance(found, Mapping)]
    return [[clean(name), clean(found)] for name, found in facts]


def _sources(followed: Followed, run: Recorded) -> list[dict[str, Any]]:
    """Content and styles: what they were called, and the copies that are in the record."""
    copies = {path.stem: path for path in followed.sources()}
    known = mapping(run.manifest.get("images"))
    roles = [role for role in dict.fromkeys([*map(str, known), *copies]) if "mask" not in role]
    return [
        {
            "role": clean(role),
            "name": clean(str(mapping(known.get(role)).get("path", "")).replace("\\", "/").rpartition("/")[2]),
            "image": _image(copies[role]) if role in copies else None,
        }
        for role in roles
    ]


def _image(path: Path) -> dict[str, Any]:
    """An image as the page asks for it; `version` is another once the file is."""
    version = hashlib.sha256(repr(signature(path)).encode()).hexdigest()[:12]
    iteration = int(path.stem) if path.stem.isdecimal() else None
    return {"name": path.name, "iteration": iteration, "version": version, "result": path.name == RESULT}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
