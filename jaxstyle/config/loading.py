"""Experiment files and `--set` overrides → `Experiment`."""

import json
import os
import re
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from pydantic import ValidationError

from jaxstyle.config.colour import colour_keys_left_behind
from jaxstyle.config.fields import NETWORKS_LAYERS
from jaxstyle.config.former import current
from jaxstyle.config.models import (
    SECTIONS,
    Experiment,
    Sweep,
    is_key,
    unknown_key,
)
from jaxstyle.config.optimizer import keys_left_behind
from jaxstyle.config.options import StartMethod
from jaxstyle.config.patterns import found_images, names_image
from jaxstyle.config.problems import explain, show
from jaxstyle.config.words import BACKSLASHES, is_named_image, looks_like_path, printable
from jaxstyle.errors import JaxstyleError, did_you_mean
from jaxstyle.network.layers import LAYERS


def load_experiment(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Experiment:
    """Reads an experiment file.

    Args:
      path: a TOML file, or the `experiment.json` of a run. Relative images in it are relative to its folder; a swept
        image may be a pattern, which in a record stands beside what it found then.
      overrides: `section.key=value` each, laid over the file; relative images in them are relative to the current
        folder.

    Returns:
      The experiment with every default filled in and every path absolute.

    Raises:
      JaxstyleError: the file cannot be read, or asks for what cannot be; all problems, one to a line.
    """
    path = Path(path)
    mapping = _read(path)
    if path.suffix == ".json":
        mapping = {"format": 1, **mapping}  # records from before there were formats say none
    return experiment_from_mapping(mapping, source=str(path), folder=path.parent, overrides=overrides)


def experiment_from_mapping(
    mapping: Mapping[str, Any],
    *,
    source: str,
    folder: Path,
    overrides: Sequence[str] = (),
    layers: Sequence[str] = LAYERS,
) -> Experiment:
    """Makes an experiment of tables as they stand in a file.

    Args:
      mapping: sections by name, and the format if they are of a record; paths may be `Path`s.
      source: what to call the mapping in messages.
      folder: what relative images in the mapping are relative to.
      overrides: as for `load_experiment`.
      layers: the names of the network's layers: by default VGG-19's.

    Raises:
      JaxstyleError: all problems, one to a line.
    """
    written = _with_absolute_paths(current(mapping, source=source), folder)
    values = _parse_overrides(overrides, swept=_table(written, "sweep"))
    complete = overlay(written, values)
    if "format" not in mapping:
        complete = _with_found_images(complete, source, values)
    try:
        return Experiment.model_validate(complete, context={NETWORKS_LAYERS: layers})
    except ValidationError as error:
        raise JaxstyleError(explain(error, source=source, overridden=values)) from None


def overlay(mapping: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the file's mapping with other values laid over it.

    When they choose another method, of the optimizer or of the colours, the file's settings of the one it replaces go
    with it.

    Args:
      mapping: sections by name, as in a file.
      values: new values by dotted key (`all_keys`, or `sweep.` and one of them).
    """
    result = {name: dict(table) if isinstance(table, Mapping) else table for name, table in mapping.items()}
    for section, left_behind in (("optimizer", keys_left_behind), ("colour", colour_keys_left_behind)):
        method = values.get(f"{section}.method")
        if isinstance(method, str) and isinstance(result.get(section), dict):
            for key in left_behind(method):
                result[section].pop(key, None)
    for dotted, value in values.items():
        section, _, key = dotted.partition(".")
        _put(result, [section, key] if section == "sweep" else dotted.split("."), value)
    return result


def _put(table: dict[str, Any], way: Sequence[str], value: Any) -> None:
    """Puts a value where a way of keys leads, if there are tables on the way or nothing; tables are copied."""
    key, *further = way
    if not further:
        table[key] = value
    elif isinstance(inner := table.get(key, {}), Mapping):
        table[key] = dict(inner)
        _put(table[key], further, value)


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise JaxstyleError(f"{path}: no such file{_nearest_file(path)}") from None
    except UnicodeDecodeError as error:
        raise JaxstyleError(f"{path}: not text in UTF-8 (byte {error.start}); allowed: a TOML file") from None
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        raise JaxstyleError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    try:
        mapping = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise JaxstyleError(f"{path}: {_syntax_problem(error, text)}") from None
    if not isinstance(mapping, dict):
        raise JaxstyleError(f"{path}: found {show(mapping)}; allowed: the sections of an experiment")
    return mapping


def _nearest_file(path: Path) -> str:
    if not path.parent.is_dir():
        return f"; the folder {path.parent} does not exist"
    names = sorted(file.name for file in path.parent.iterdir() if file.suffix in (".toml", ".json"))
    return did_you_mean(path.name, names) or f"; experiment files there: {', '.join(names) or 'none'}"


def _syntax_problem(error: Exception, text: str) -> str:
    """Returns `line 3, column 8: not valid TOML: Invalid value`."""
    if isinstance(error, json.JSONDecodeError):
        return f"line {error.lineno}, column {error.colno}: not valid JSON: {error.msg}"
    reason, line, column = str(error), text.count("\n") + 1, len(text) - text.rfind("\n")
    if place := re.search(r" \(at line (\d+), column (\d+)\)", reason):
        line, column = int(place[1]), int(place[2])
    lines = text.splitlines()[line - 1 : line]
    hint = f"; {BACKSLASHES}" if any(re.search(r'"[^"]*\\', written) for written in lines) else ""
    return f"line {line}, column {column}: not valid TOML: {re.sub(r' [(]at .*[)]$', '', reason)}{hint}"


def _table(mapping: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = mapping.get(name)
    return table if isinstance(table, Mapping) else {}


# Paths


def _with_absolute_paths(mapping: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Returns the mapping with every relative path made absolute and the sweep's keys dotted."""
    result = {name: dict(table) if isinstance(table, Mapping) else table for name, table in mapping.items()}
    for section in SECTIONS:
        for key, value in _table(result, section).items():
            result[section][key] = _absolute(f"{section}.{key}", value, folder)
    if _table(result, "sweep"):
        result["sweep"] = {
            key: [_absolute(key, value, folder) for value in values]
            if isinstance(values, list | tuple)
            else _absolute(key, values, folder)
            for key, values in _flat(result["sweep"])
        }
    return result


def _with_found_images(mapping: dict[str, Any], source: str, overridden: Collection[str]) -> dict[str, Any]:
    """Returns the mapping with the images that the sweep's patterns find in their place, and the patterns recorded.

    Raises:
      JaxstyleError: a pattern finds no image; all such, one to a line.
    """
    sweep = _table(mapping, "sweep")
    found: dict[str, Any] = {}
    patterns: dict[str, list[str]] = {}
    problems: list[str] = []
    for key, values in sweep.items():
        if not names_image(key) or not isinstance(values, list | tuple | str):
            continue
        try:
            found[key], own = found_images(values)
            patterns |= {key: own} if own else {}
        except JaxstyleError as error:
            name = f"sweep.{key}"
            problems.append(printable(f"{f'--set {name}' if name in overridden else f'{source}: {name}'}: {error}"))
    if problems:
        raise JaxstyleError("\n".join(problems))
    recorded = {"patterns": patterns} if patterns else {}
    return {**mapping, "sweep": {**sweep, **found, **recorded}} if found else mapping


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Yields dotted keys: TOML reads an unquoted `loss.content_weight` as a table within a table."""
    for key, value in table.items():
        if isinstance(value, Mapping) and (prefix or key not in Sweep.model_fields):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _absolute(key: str, value: Any, folder: Path) -> Any:
    """Returns the value of a key with the path in it, if there is one, made absolute."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, str):
        return os.path.abspath(folder / os.path.expanduser(value)) if _is_path(key, value, folder) else value
    if key == "image.style" and isinstance(value, list | tuple):
        return [_absolute(key, image, folder) for image in value]
    if key.startswith("image.regions") and isinstance(value, Mapping):
        return {name: _absolute(f"{key}.{name}", inner, folder) for name, inner in value.items()}
    if key == "image.style" and isinstance(value, Mapping) and "image" in value:
        return {**value, "image": _absolute(key, value["image"], folder)}
    return value


def _is_path(key: str, text: str, folder: Path) -> bool:
    match key:
        case "image.content" | "image.style" | "image.keep":
            return text != "" and not _is_name(text, folder)
        case "start.method":
            return text not in list(StartMethod) and not _is_name(text, folder) and looks_like_path(text)
        case "network.weights":
            has_folder = PurePath(text).name != text
            return has_folder or text.endswith(".safetensors") or os.path.isfile(folder / text)
    return key.startswith("image.regions.") and key.endswith((".content", ".style")) and not _is_name(text, folder)


def _is_name(text: str, folder: Path) -> bool:
    """Whether an image of a registry is meant: not a file with a colon in its name."""
    from jaxstyle.images.gallery import GALLERIES  # with it comes Pillow, which `--help` does without

    is_known = text.partition(":")[0] in GALLERIES
    return is_named_image(text) and (is_known or not os.path.exists(folder / text))


# Overrides


def _parse_overrides(overrides: Sequence[str], *, swept: Mapping[str, Any]) -> dict[str, Any]:
    """Returns new values by dotted key, paths in them made absolute from the current folder."""
    values: dict[str, Any] = {}
    problems = []
    for override in overrides:
        try:
            key, value = _parse_override(override)
            if key in swept:
                raise JaxstyleError(f"the file's [sweep] varies {key}; allowed: sweep.{key}=[…]")
            values[key] = value
        except JaxstyleError as error:
            problems.append(printable(f"--set {override}: {error}"))
    if problems:
        raise JaxstyleError("\n".join(problems))
    return values


def _parse_override(override: str) -> tuple[str, Any]:
    key, equals, text = (part.strip() for part in override.partition("="))
    target = key.removeprefix("sweep.")
    if not is_key(target) and not (key != target and target in Sweep.model_fields):
        raise JaxstyleError(_unknown_override(target))
    if not equals:
        raise JaxstyleError(f"found no '='; allowed: {key}=value")
    value = _parse_value(text)
    if key != target and isinstance(value, list):
        return key, [_absolute(target, item, Path.cwd()) for item in value]
    return key, _absolute(target, value, Path.cwd())


def _unknown_override(key: str) -> str:
    if key in SECTIONS or key == "sweep":
        return f"'{key}' is a section; allowed: one of its keys, {key}.key=value"
    return unknown_key(key)


def _parse_value(text: str) -> Any:
    """Reads a TOML value; a bare word or a path is taken as text."""
    try:
        table = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        table = {}
    if table.keys() == {"value"}:
        return table["value"]
    if text[:1] in ("[", "{", '"', "'"):
        raise JaxstyleError(
            f'found {text}, which is not a TOML value; allowed: a number, true, false, "text" or ["a", "b"]'
        )
    return text
