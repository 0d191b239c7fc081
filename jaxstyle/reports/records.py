"""Reads runs' folders as they are: finished, interrupted, failed, not begun, or cut off in the middle of a line."""

import dataclasses
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxstyle.config import former_terms, load_experiment
from jaxstyle.errors import JaxstyleError, did_you_mean
from jaxstyle.metrics import flatten
from jaxstyle.paper.conventions import FORMULAS
from jaxstyle.runs.folders import EXPERIMENT, MANIFEST, MEMBERS, METRICS, RESULT
from jaxstyle.sweeps.continuing import numbered
from jaxstyle.sweeps.expansion import Member, expand

IMAGES = ("images", "pictures")
"""The folder of the images that a run saves on its way; the second in older records."""

NOT_BEGUN = "not begun"
ENDED_WELL = ("budget spent", "converged")
"""How a run that needs no remark ends."""
_ENDED = ("loss", "evaluations", "iterations", "run_seconds", "compile_seconds", "peak_memory_bytes")
_LINE = {"evaluations": (int,), "loss": (int, float, str), "seconds": (int, float), "terms": (dict,)}
"""What a line of metrics must hold; a loss that is not finite is written by its name."""


@dataclasses.dataclass(frozen=True)
class Recorded:
    """One run, as its folder has it.

    Attributes:
      folder: the run's folder; of a member that has not begun, where it would be.
      label: distinguishes it from the other runs of the report.
      experiment: the resolved experiment, of a member that has not begun the planned one; empty if it is damaged.
      manifest: what is known of the run; empty if it had not begun.
      iterations: the lines of the metrics as far as they are whole.
      place: the labels of its sweep's keys, by key; empty of a run that belongs to none.
    """

    folder: Path
    label: str
    experiment: Mapping[str, Any]
    manifest: Mapping[str, Any]
    iterations: Sequence[Mapping[str, Any]]
    place: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def title(self) -> str:
        """The experiment's title."""
        return str(self.experiment.get("title") or "")

    @property
    def status(self) -> str:
        """How it ended; `running` may also mean that its process was killed."""
        return str(self.manifest.get("status") or NOT_BEGUN)

    @property
    def error(self) -> str | None:
        """Why it failed."""
        return str(self.manifest["error"]) if self.manifest.get("error") else None

    @property
    def settings(self) -> dict[str, Any]:
        """The experiment's values by dotted key, the title apart; and what its weights multiply, in words."""
        sections = {name: table for name, table in self.experiment.items() if isinstance(table, Mapping)}
        found = {f"{name}.{key}": table[key] for name, table in sections.items() if name != "sweep" for key in table}
        return found | ({"loss.terms": terms} if (terms := terms_of(self.experiment)) else {})

    @property
    def metrics(self) -> Mapping[str, Any]:
        """What was measured on the finished image."""
        return mapping(self.manifest.get("metrics"))

    @property
    def numbers(self) -> dict[str, Any]:
        """Status, loss, evaluations, seconds and every metric, flat, as they are in the record.

        Of a run that has not ended they are those of its last iteration.
        """
        last = self.iterations[-1] if self.iterations else {}
        names = {"loss": "loss", "evaluations": "evaluations", "run_seconds": "seconds"}
        reached = {name: last[key] for name, key in names.items() if key in last}
        ended = {key: self.manifest[key] for key in _ENDED if key in self.manifest}
        return {"status": self.status, **reached, **ended, **flatten(self.metrics)}

    @property
    def image(self) -> Path | None:
        """The result, else the last image that was saved on the way."""
        on_the_way = [path for name in IMAGES for path in (self.folder / name).glob("*.*g")]
        candidates = [self.folder / RESULT, *sorted(on_the_way, key=lambda path: path.name, reverse=True)]
        return next((path for path in candidates if path.is_file()), None)


def read_runs(folders: Sequence[Path]) -> list[Recorded]:
    """Reads runs, and the members of sweeps in their order, those that have not begun included.

    Args:
      folders: of runs and of sweeps; a run that is named twice is read once.

    Returns:
      At least one run, no two with the same label.

    Raises:
      JaxstyleError: a folder holds neither a run nor a sweep, or none is named.
    """
    if not folders:
        raise JaxstyleError("no run is named; give one or more folders, such as runs/fig4/20260131-120000")
    found = {run.folder.resolve(): run for folder in folders for run in _read_folder(folder)}
    return _distinguished(list(found.values()))


def scale_starts(run: Recorded) -> dict[int, int]:
    """Returns the image's long side by the line of the metrics at which it changed, the first line included."""
    sizes = [line.get("size") for line in run.iterations]
    return {
        index: size
        for index, size in enumerate(sizes)
        if isinstance(size, int) and (index == 0 or size != sizes[index - 1])
    }


def terms_of(experiment: Mapping[str, Any]) -> str | None:
    """Says what the weights of a recorded experiment multiply, as its convention was when it was recorded."""
    if former := former_terms(experiment):
        return former
    formula = FORMULAS.get(str(mapping(experiment.get("loss")).get("convention")))
    return formula.meaning if formula else None


def mapping(value: Any) -> Mapping[str, Any]:
    """The value if it is a table, else an empty one: a damaged record may hold anything anywhere."""
    return value if isinstance(value, Mapping) else {}


def _read_folder(folder: Path) -> Iterator[Recorded]:
    try:
        if not (folder / EXPERIMENT).is_file():
            raise JaxstyleError(_no_run(folder))
        if (folder / MANIFEST).exists() or not is_sweep(folder):
            yield read_run(folder)
            return
        planned = planned_members(folder)
        relabelled = "patterns" in mapping(_read_table(folder / EXPERIMENT).get("sweep"))
        begun = {int(path.name) for path in (folder / MEMBERS).glob("*") if path.name.isdecimal() and path.is_dir()}
    except OSError as error:
        raise JaxstyleError(f"{folder}: cannot be read: {error.strerror or error}") from None
    if not begun and not planned:
        raise JaxstyleError(f"{folder}: a sweep of which no member has begun")
    for index in [*planned, *sorted(begun - planned.keys())]:
        yield read_run(folder / MEMBERS / str(index), planned.get(index), relabelled=relabelled)


def is_sweep(folder: Path) -> bool:
    """Whether a folder is that of a sweep, and not of a run."""
    return (folder / MEMBERS).is_dir() or "sweep" in _read_table(folder / EXPERIMENT)


def planned_members(folder: Path) -> dict[int, Member]:
    """The members that a sweep should have, in its order; none where it can no longer be expanded."""
    try:
        experiment = load_experiment(folder / EXPERIMENT)
        return {member.index: member for member in numbered(experiment, expand(experiment), folder)}
    except JaxstyleError:
        return {}


def read_run(
    folder: Path,
    planned: Member | None = None,
    lines: Sequence[Mapping[str, Any]] | None = None,
    *,
    relabelled: bool = False,
) -> Recorded:
    """Reads one run.

    Args:
      folder: the run's own.
      planned: what it is of a sweep, if it is of one.
      lines: of its metrics, if they have been read already.
      relabelled: whether it is called as it is planned, and not as it was: new images may have changed others' labels.
    """
    experiment, manifest = _read_table(folder / EXPERIMENT), _read_table(folder / MANIFEST)
    member = mapping(manifest.get("member"))
    label, place = member.get("label"), mapping(member.get("place"))
    if planned is not None:
        experiment = experiment or planned.experiment.to_json()
        if relabelled or not label:
            label = planned.label
        if relabelled or not place:
            place = planned.place
    label = label or experiment.get("title") or folder.resolve().name
    place = {str(key): str(found) for key, found in place.items()}
    lines = _read_lines(folder / METRICS) if lines is None else lines
    return Recorded(folder, str(label), experiment, manifest, lines, place)


def _read_table(path: Path) -> Mapping[str, Any]:
    try:
        return mapping(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError):
        return {}


def _read_lines(path: Path) -> list[Mapping[str, Any]]:
    """The lines up to the first one that is not whole."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    lines: list[Mapping[str, Any]] = []
    for line in text.split("\n"):
        if (entry := parse_line(line)) is None:
            break
        lines.append(entry)
    return lines


def parse_line(line: str) -> Mapping[str, Any] | None:
    """Returns what a line of the metrics holds; None if it is not whole."""
    try:
        entry = mapping(json.loads(line))
    except (ValueError, RecursionError):
        return None
    return entry if all(isinstance(entry.get(key), kinds) for key, kinds in _LINE.items()) else None


def _distinguished(runs: list[Recorded]) -> list[Recorded]:
    """Adds the title to labels where there are several titles, and the folder where that is not enough."""
    if len({run.title for run in runs}) > 1:
        runs = [dataclasses.replace(run, label=_joined(run.title, run.label)) for run in runs]
    count = Counter(run.label for run in runs)
    return [
        dataclasses.replace(run, label=f"{run.label} ({run.folder})") if count[run.label] > 1 else run for run in runs
    ]


def _joined(title: str, label: str) -> str:
    return f"{label} · {title}" if title and title != label else label


def _no_run(folder: Path) -> str:
    if folder.is_file():
        return f"{folder}: is a file; name the run's folder, {folder.parent}"
    if not folder.is_dir():
        beside = [path.name for path in folder.parent.iterdir()] if folder.parent.is_dir() else []
        return f"{folder}: no such folder{did_you_mean(folder.name, beside)}"
    inside = sorted(str(path.parent) for path in folder.glob(f"*/{EXPERIMENT}"))
    more = " …" if len(inside) > 5 else ""
    hint = f"; runs in it: {', '.join(inside[:5])}{more}" if inside else ""
    return f"{folder}: not a run's folder, it has no {EXPERIMENT}{hint}"
