"""A run's folder from outside: its name, what it holds, and whose run that is."""

import contextlib
import datetime
import functools
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jaxstyle.config import Experiment, load_experiment
from jaxstyle.config.words import is_named_image
from jaxstyle.devices.environment import versions
from jaxstyle.errors import JaxstyleError
from jaxstyle.images import gallery
from jaxstyle.optimizers import Status

EXPERIMENT, MANIFEST, METRICS, RESULT = "experiment.json", "manifest.json", "metrics.jsonl", "result.png"
CHECKPOINT = "checkpoint.safetensors"
"""What is kept to go on; of a finished run, to extend it."""
MEMBERS, IMAGES, LANES = "members", "images.json", "lanes.json"
"""A sweep's members, the checksums of the images that they name, by name, and how many run at once."""
SCALES, TILE = "scales", "tile"
"""Of a manifest: what was optimized at which size, and there the side of the tiles."""
FAILED = "failed"
"""The status of a run that an error ended."""
FINISHED = frozenset({Status.BUDGET_SPENT, Status.CONVERGED, Status.STALLED})
"""The statuses of runs that have nothing left to do."""
LIBRARIES = ("jaxstyle", "jax", "jaxlib", "jaxopt", "optax")
"""Those whose versions an optimizer's state depends on."""
_ASIDE = frozenset(
    {"title", *(f"output.{key}" for key in ("save_every", "checkpoint_seconds", "keep_state_mb", "tensorboard"))}
    | {"sweep.patterns"}
)
"""The keys that decide nothing about a result."""
_ITERATIONS, _FORM = "optimizer.iterations", ("output.bits", "output.display")
"""The keys in which a run may be extended, or its result be written again, from the optimizer's state."""
_MOST_DIFFERENCES = 5


def new_names(root: Path, name: str) -> Iterator[Path]:
    """Yields names `root/name/<id>` for a new folder; the id is the time, so that names sort by it."""
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    for attempt in range(1000):
        yield _family(root, name) / (stamp if attempt == 0 else f"{stamp}-{attempt:03d}")


def latest_folder(root: Path, name: str, experiment: Experiment) -> Path | None:
    """Returns the newest folder `root/name/<id>` of exactly this experiment on the same images, if there is one.

    If there is none, the newest of one that can be extended to it.
    """
    family = _family(root, name)
    folders = sorted(family.iterdir(), reverse=True) if family.is_dir() else []
    found = None
    for folder in folders:
        if holds_run(folder) and not differences(folder, experiment):
            found = found or folder
            if not _changes(folder, experiment):
                return folder
    return found


def _family(root: Path, name: str) -> Path:
    return root / (re.sub(r"[^\w.-]+", "-", name).strip("-.") or "run")


def holds_run(folder: Path) -> bool:
    """Whether a run or a sweep has begun there, and there is something to lose."""
    has_record = (folder / EXPERIMENT).exists() or (folder / MANIFEST).exists()
    return has_record and not _failed_before_it_began(folder)


def _failed_before_it_began(folder: Path) -> bool:
    """Whether a run there has failed without a single iteration, so that there is nothing to lose."""
    try:
        return read_manifest(folder).get("status") == FAILED and (folder / METRICS).stat().st_size == 0
    except OSError:
        return False


def read_manifest(folder: Path) -> dict[str, Any]:
    """Returns a run's manifest, empty if there is none that can be read."""
    return _read_table(folder / MANIFEST)


def read_experiment(folder: Path) -> dict[str, Any]:
    """Returns the resolved experiment that a folder records, empty if there is none that can be read."""
    return _read_table(folder / EXPERIMENT)


def read_lanes(folder: Path) -> object:
    """Returns what a sweep's folder says of how many run at once, None if it says nothing that can be read."""
    return _read_table(folder / LANES).get("lanes")


def recorded_sides(folder: Path) -> dict[int, int]:
    """The tiles that an unfinished run has taken at each scale; nothing where it has not begun."""
    return sides_in(read_manifest(folder)) if holds_run(folder) else {}


def sides_in(manifest: Mapping[str, Any]) -> dict[int, int]:
    """The side of a run's tiles by the size of its scales, 0 where the image was whole; as far as a manifest says."""
    try:
        return {int(scale["size"]): int(scale[TILE]) for scale in manifest[SCALES] if TILE in scale}
    except (KeyError, TypeError, ValueError):
        return {}


def _read_table(path: Path) -> dict[str, Any]:
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return table if isinstance(table, dict) else {}


def has_ended(folder: Path) -> bool:
    """Whether a run has come to its end there, and its result is there."""
    return read_manifest(folder).get("status") in FINISHED and (folder / RESULT).is_file()


def is_finished(folder: Path, experiment: Experiment) -> bool:
    """Whether nothing is left to do of an experiment in its own run's folder."""
    return has_ended(folder) and not _changes(folder, experiment)


def is_extended(folder: Path, experiment: Experiment) -> bool:
    """Whether a run has ended in its folder with fewer iterations than an experiment wants."""
    return has_ended(folder) and _ITERATIONS in _changes(folder, experiment)


def _changes(folder: Path, experiment: Experiment) -> list[str]:
    """The keys in which a run may be continued, and the experiment differs from the recorded one."""
    there, here = _keys(_read_table(folder / EXPERIMENT)), _keys(experiment.to_json())
    return [key for key in (_ITERATIONS, *_FORM) if key in there and there[key] != here[key]]


def ensure_usable(folder: Path, experiment: Experiment) -> None:
    """Does nothing with a folder in which an experiment can begin or go on, whether it is there or not.

    Raises:
      JaxstyleError: it holds a finished run or another experiment, or cannot be looked at.
    """
    try:
        if holds_run(folder):
            refuse_another(folder, experiment)
            if is_finished(folder, experiment):
                raise JaxstyleError(f"{folder}: already holds a run, and it is finished; name another folder")
    except OSError as error:
        raise JaxstyleError(f"{folder}: the run's folder cannot be used ({error.strerror})") from None


def refuse_another(folder: Path, experiment: Experiment) -> None:
    """Does nothing if a folder's run or sweep is of exactly this experiment.

    Raises:
      JaxstyleError: it is of another, and in what they differ.
    """
    if differing := differences(folder, experiment):
        more = [f"{len(differing) - _MOST_DIFFERENCES} more"] if len(differing) > _MOST_DIFFERENCES else []
        found = "; ".join([*differing[:_MOST_DIFFERENCES], *more])
        raise JaxstyleError(
            f"{folder}: already holds a run of another experiment ({found}); name another folder, or delete this one"
        )


def differences(folder: Path, experiment: Experiment) -> list[str]:
    """Says in what a folder's run or sweep is not the one that this experiment gives; nothing if it is the same.

    Images that a pattern of the sweep finds now and did not find then, or the other way round, are no difference.

    Compares the resolved experiments. An image is the same where its bytes are, wherever it lies and whatever it is
    called; so are weights. Where the record has no checksum of one yet, or it is not to be had here, its name decides.
    More iterations at one scale, and another form of the result, are no difference where the run can go on.
    """
    try:
        recorded = load_experiment(folder / EXPERIMENT)
    except JaxstyleError as error:
        return [str(error)]
    there, here = _keys(recorded.to_json()), _keys(experiment.to_json())
    known, changed = recorded_checksums(folder), set()

    def is_same(one: Any, other: Any) -> bool:
        if isinstance(one, str) and isinstance(other, str):
            before, now = known.get(one), checksum(other)
            if before is None or now is None:
                return one == other
            if before != now and one == other:
                changed.add(one)
                return True  # said apart
            return before == now
        if isinstance(one, list) and isinstance(other, list):
            return len(one) == len(other) and all(map(is_same, one, other))
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            return one.keys() == other.keys() and all(is_same(one[key], other[key]) for key in one)
        return one == other

    def is_same_key(key: str) -> bool:
        before, now = there.get(key), here.get(key)
        if isinstance(now, list) and isinstance(before, list) and _same_patterns(key, recorded, experiment):
            return all(is_same(value, value) for value in now if value in before)
        return is_same(before, now)

    keys = [key for key in {**there, **here} if key not in _ASIDE and not is_same_key(key)]
    extending = {key for key in keys if _may_change(key, there, here)}
    obstacle = _obstacle(folder) if extending else ""
    reasons = {key: f", and {obstacle}" if key in extending else "" for key in keys if obstacle or key not in extending}
    differing = [f"{key}: {_shown(there, key)} there, {_shown(here, key)} here{why}" for key, why in reasons.items()]
    return [*differing, *(f"{name} has changed since" for name in sorted(changed))]


def _same_patterns(key: str, recorded: Experiment, experiment: Experiment) -> bool:
    """Whether a key is a sweep's, and its images are found by the same patterns as those that are recorded."""
    there, here = (it.sweep.patterns or {} if it.sweep else {} for it in (recorded, experiment))
    swept = key.removeprefix("sweep.")
    return key != swept and swept in here and there.get(swept) == here[swept]


def _may_change(key: str, there: Mapping[str, Any], here: Mapping[str, Any]) -> bool:
    """Whether a run can go on with another value of a key: more iterations at one scale, or its result's form."""
    if key == _ITERATIONS:
        return there.get("image.scales") == here["image.scales"] == "single" and there.get(key, 0) < here[key]
    return key in _FORM and key in there


def _obstacle(folder: Path) -> str:
    """Why a run, or a member of a sweep, has ended and cannot be extended; nothing if all can go on."""
    for place in (folder, *folder.glob(f"{MEMBERS}/*")):
        if has_ended(place):
            if not (place / CHECKPOINT).is_file():
                return "its optimizer's state was not kept"
            before, now = read_manifest(place).get("versions", {}), versions()
            if changed := [name for name in LIBRARIES if before.get(name) != now[name]]:
                return f"its optimizer's state is {changed[0]} {before.get(changed[0])}'s"
    return ""


def recorded_checksums(folder: Path) -> dict[str, str]:
    """The SHA-256 of the images and weights that a run, or a sweep and its members, have read, by their names."""
    found: dict[str, str] = _read_table(folder / IMAGES)
    for manifest_file in (folder / MANIFEST, *folder.glob(f"{MEMBERS}/*/{MANIFEST}")):
        manifest = read_manifest(manifest_file.parent)
        with contextlib.suppress(JaxstyleError, KeyError, TypeError, AttributeError):  # damaged: nothing is known
            names = load_experiment(manifest_file.parent / EXPERIMENT).file_names()
            read = {**manifest.get("images", {}), "weights": manifest.get("weights")}
            found |= {name: read[role]["sha256"] for role, name in names.items() if read.get(role)}
    return found


def checksum(name: str) -> str | None:
    """The SHA-256 of the file that an experiment means by an image's name or path; None where there is none."""
    if not os.path.isabs(name) and not is_named_image(name):
        return None
    try:
        path = gallery.resolve(name, relative_to=Path.cwd())
        facts = path.stat()
        return _checksum_of(path, facts.st_mtime_ns, facts.st_size)
    except (JaxstyleError, OSError):
        return None


@functools.lru_cache(maxsize=1024)
def _checksum_of(path: Path, changed: int, size: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def decisive(experiment: Mapping[str, Any]) -> dict[str, Any]:
    """The values of an experiment's keys, by dotted key, without those that decide nothing about the result."""
    return {key: value for key, value in _keys(experiment).items() if key not in _ASIDE}


def _keys(experiment: Mapping[str, Any]) -> dict[str, Any]:
    """An experiment's values by dotted key."""
    sections = {name: table for name, table in experiment.items() if isinstance(table, Mapping)}
    alone = {name: value for name, value in experiment.items() if name not in sections}
    return alone | {f"{name}.{key}": value for name, table in sections.items() for key, value in table.items()}


def _shown(values: Mapping[str, Any], key: str) -> str:
    return json.dumps(values[key], ensure_ascii=False) if key in values else "absent"
