"""Reads runs' folders as they are: finished, interrupted, failed, or cut off in the middle of a line."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxstyle.errors import JaxstyleError, did_you_mean
from jaxstyle.members import MEMBERS
from jaxstyle.record import EXPERIMENT, MANIFEST, METRICS, RESULT


@dataclasses.dataclass(frozen=True)
class Recorded:
    """One run, as its folder tells it.

    Attributes:
      folder: the run's folder.
      label: the sweep member's label, else the title, else the folder's name.
      experiment: the resolved experiment; empty if the file is damaged.
      manifest: what is known of the run; empty if it had not begun.
      iterations: the lines of the metrics, a cut-off last one left out.
    """

    folder: Path
    label: str
    experiment: Mapping[str, Any]
    manifest: Mapping[str, Any]
    iterations: Sequence[Mapping[str, Any]]

    @property
    def status(self) -> str:
        """How it ended; `running` may also mean that its process was killed."""
        return str(self.manifest.get("status", "not begun"))

    @property
    def picture(self) -> Path | None:
        """The result, if there is one."""
        path = self.folder / RESULT
        return path if path.is_file() else None

    @property
    def settings(self) -> dict[str, Any]:
        """The experiment's keys, dotted."""
        return flatten({name: value for name, value in self.experiment.items() if name != "sweep"}, separator=".")

    @property
    def numbers(self) -> dict[str, Any]:
        """What was measured, flat: status, loss, evaluations, seconds and every metric."""
        found = {key: self.manifest[key] for key in ("loss", "evaluations", "run_seconds") if key in self.manifest}
        if not found and self.iterations:
            last = self.iterations[-1]
            found = {"loss": last["loss"], "evaluations": last["evaluations"], "run_seconds": last["seconds"]}
        return {"status": self.status, **found, **flatten(self.manifest.get("metrics", {}))}

    def source(self, role: str) -> Path | None:
        """The file of a source picture, `content` or `style`, if it is still the one that was used."""
        facts = self.manifest.get("images", {}).get(role)
        if not facts:
            return None
        path = Path(str(facts.get("path", "")))
        try:
            same = hashlib.sha256(path.read_bytes()).hexdigest() == facts.get("sha256")
        except OSError:
            return None
        return path if same else None


def read_runs(folders: Iterable[Path]) -> list[Recorded]:
    """Reads runs, and the members of sweeps in their order.

    Raises:
      JaxstyleError: a folder holds neither.
    """
    runs = []
    for folder in folders:
        if not (folder / EXPERIMENT).is_file():
            raise JaxstyleError(_no_run(folder))
        members = [path for path in (folder / MEMBERS).glob("*") if path.name.isdigit() and path.is_dir()]
        places = sorted(members, key=lambda path: int(path.name)) if (folder / MEMBERS).is_dir() else [folder]
        if not places:
            raise JaxstyleError(f"{folder}: a sweep of which no member has begun")
        runs += [_read(place) for place in places]
    if not runs:
        raise JaxstyleError("no run is named; give one or more run folders, such as runs/fig4/20260131-120000")
    return runs


def flatten(tree: Mapping[str, Any], prefix: str = "", *, separator: str = "/") -> dict[str, Any]:
    """Returns `{"gram_distance/conv1_1": …}` for nested tables."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{name}{separator}", separator=separator)
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _read(folder: Path) -> Recorded:
    experiment, manifest = _read_table(folder / EXPERIMENT), _read_table(folder / MANIFEST)
    member = manifest.get("member") or {}
    label = member.get("label") or experiment.get("title") or folder.name
    return Recorded(folder, str(label), experiment, manifest, _read_lines(folder / METRICS))


def _read_table(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _read_lines(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    lines = []
    for line in text.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            break
        if isinstance(entry, dict) and {"loss", "evaluations", "terms", "seconds"} <= entry.keys():
            lines.append(entry)
    return lines


def _no_run(folder: Path) -> str:
    if not folder.is_dir():
        beside = folder.parent.iterdir() if folder.parent.is_dir() else ()
        return f"{folder}: no such folder{did_you_mean(folder.name, [path.name for path in beside])}"
    inside = sorted(str(path.parent) for path in folder.glob(f"*/{EXPERIMENT}"))
    hint = f"; runs in it: {', '.join(inside[:5])}" if inside else ""
    return f"{folder}: not a run's folder, it has no {EXPERIMENT}{hint}"
