"""The settings that a result carries in its file → the experiment that makes it again.

Such a file may come from anybody. Its settings are checked like an experiment file, and the files that they name are
taken for the images that were used only where their checksums say so.
"""

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxstyle.config import Experiment, experiment_from_mapping, load_experiment
from jaxstyle.config.regions import CONTENT_MASK, KEEP_MASK, STYLE_MASK
from jaxstyle.config.words import is_named_image, printable
from jaxstyle.errors import JaxstyleError, Note
from jaxstyle.images import read_metadata
from jaxstyle.images.gallery import SUFFIXES
from jaxstyle.runs.folders import EXPERIMENT, RESULT, checksum

MOST_SETTINGS = 1 << 20
"""Characters of settings that are read: far more than any experiment has."""
_PREFIX = "jaxstyle:"
_KEYS = {"content": "image.content", "start": "start.method", KEEP_MASK: "image.keep", "weights": "network.weights"}
_REGIONS = ((CONTENT_MASK, "content"), (STYLE_MASK, "style"))


def load_settings(path: Path, overrides: Sequence[str] = ()) -> Experiment:
    """Returns the experiment of an experiment file, of a run's `experiment.json`, or of an image that a run has made.

    Args:
      path: the file; an image is known by its suffix.
      overrides: as for `load_experiment`.

    Raises:
      JaxstyleError: the file cannot be read, carries no settings, or asks for what cannot be; or a file that it names
        is gone or has changed. All problems, one to a line.
    """
    if not is_image(path):
        return load_experiment(path, overrides)
    facts = _facts(path)
    recorded = experiment_from_mapping(facts["experiment"], source=str(path), folder=path.parent)
    used = _checksums(facts)
    given = {override.partition("=")[0].strip() for override in overrides}
    names = {role: name for role, name in recorded.file_names().items() if _key(role) not in given}
    moved: dict[str, str] = {}
    problems: list[str] = []
    for role, name in names.items():
        if role == "weights" and not Path(name).is_absolute():
            continue  # the name of a set, whose weights are the same everywhere
        try:
            moved[name] = _found(name, used.get(role), path.parent)
        except JaxstyleError as error:
            problems.append(printable(f"{path}: {role}: {error}: --set {_remedy(role, name, recorded)}"))
    if problems:
        raise JaxstyleError("\n".join(problems))
    sections = {name: _renamed(table, moved) for name, table in facts["experiment"].items()}
    experiment = experiment_from_mapping(sections, source=str(path), folder=path.parent, overrides=overrides)
    for role, name in experiment.file_names().items():
        if role not in names and role in used and checksum(name) not in (None, used[role]):
            warnings.warn(f"{role}: {name} is another file than the one that {path} was made of", Note, stacklevel=2)
    return experiment


def is_image(path: Path) -> bool:
    """Whether a file's settings are those that an image carries."""
    return path.suffix.lower() in SUFFIXES


def name_of(path: Path) -> str:
    """Returns what a run of a file's settings is called: by the file, or of what lies in a run's folder by this."""
    return path.resolve().parent.name if path.name in (EXPERIMENT, RESULT) else path.stem


def made_with(path: Path) -> list[str]:
    """Says of an image what made it: the program, the versions, the files with their checksums."""
    facts = _facts(path)
    versions = [f"{name} {version}" for name, version in _mapping(facts.get("versions")).items()]
    lines = [f"made with {', '.join(versions)}"] if versions else []
    lines += [f"status: {facts['status']}"] if "status" in facts else []
    files = {**_mapping(facts.get("images")), "weights": facts.get("weights")}
    for role, known in files.items():
        file = _mapping(known)
        if file:
            lines.append(f"{role}: {file.get('path') or file.get('name')} (SHA-256 {file.get('sha256')})")
    return [printable(line) for line in lines]


def _facts(path: Path) -> dict[str, Any]:
    """What the file says of itself, by name; of that, the experiment is a table.

    Raises:
      JaxstyleError: there is no such file, it is no image, or it carries no settings.
    """
    texts = {key.removeprefix(_PREFIX): text for key, text in read_metadata(path).items() if key.startswith(_PREFIX)}
    if "experiment" not in texts:
        raise JaxstyleError(
            f"{path}: carries no settings: jaxstyle did not write it, or a program that saved it again has removed "
            "them; allowed: an experiment file, or an image as jaxstyle wrote it"
        )
    if (size := sum(map(len, texts.values()))) > MOST_SETTINGS:
        raise JaxstyleError(f"{path}: carries {size:,} characters of settings; at most {MOST_SETTINGS:,} are read")
    facts = {name: _parsed(text) for name, text in texts.items()}
    experiment = facts["experiment"]
    if not isinstance(experiment, dict) or experiment.get("sweep") is not None:
        raise JaxstyleError(f"{path}: its settings are damaged: they are not those of one run")
    return {**facts, "experiment": {"format": 1, **experiment}}


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _checksums(facts: Mapping[str, Any]) -> dict[str, str]:
    """The SHA-256 of the files that were used, by what they were for."""
    files = {**_mapping(facts.get("images")), "weights": facts.get("weights")}
    known = {str(role): _mapping(file).get("sha256") for role, file in files.items()}
    return {role: digest for role, digest in known.items() if isinstance(digest, str)}


def _found(name: str, used: str | None, folder: Path) -> str:
    """Returns where a file is: where it was, else under its name beside the image or in the current folder.

    Raises:
      JaxstyleError: it is nowhere, or another file; the message ends before the remedy.
    """
    now = checksum(name)
    if now is not None and used in (None, now):
        return name
    if is_named_image(name) and now is None:
        return name  # reading it says how to get it
    if used is not None:
        for place in (folder.resolve(), Path.cwd()):
            beside = str(place / Path(name).name)
            if checksum(beside) == used:
                return beside
    known = f"SHA-256 {used}" if used else "of unknown checksum"
    if now is None:
        raise JaxstyleError(f"{name} ({known}) is not there; say where it is")
    raise JaxstyleError(f"{name} is another file now (SHA-256 {now}) than was used ({known}); to use this one")


def _key(role: str) -> str:
    """The dotted key that names the file of a role."""
    for prefix, key in _REGIONS:
        if role.startswith(prefix) and role != KEEP_MASK:
            return f"image.regions.{role.removeprefix(prefix)}.{key}"
    return _KEYS.get(role, "image.style")


def _remedy(role: str, name: str, experiment: Experiment) -> str:
    """What to write behind `--set`: the key with PATH, of several styles the others too."""
    key, place = _key(role), name if checksum(name) is not None else "PATH"
    if key != "image.style":
        return f"{key}={place}"
    styles = [style.model_dump(mode="json", exclude_defaults=True) for style in experiment.image.style]
    if len(styles) == 1 and len(styles[0]) == 1:
        return f"{key}={place}"
    for style in styles:
        style["image"] = place if style["image"] == name else style["image"]
    tables = (", ".join(f"{field} = {json.dumps(value)}" for field, value in style.items()) for style in styles)
    return f"'{key}=[{', '.join(f'{{{table}}}' for table in tables)}]'"


def _renamed(value: Any, moved: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return moved.get(value, value)
    if isinstance(value, Mapping):
        return {key: _renamed(entry, moved) for key, entry in value.items()}
    return [_renamed(entry, moved) for entry in value] if isinstance(value, list) else value
