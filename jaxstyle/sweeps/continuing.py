"""A sweep whose patterns find other images than when it was begun: what is new, and the places of what has been made.

A member keeps its folder for ever. So those that have begun are known by their values, and new ones take numbers that
are free, wherever they stand in the sweep.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxstyle.config import Experiment, load_experiment
from jaxstyle.errors import JaxstyleError
from jaxstyle.runs.folders import (
    EXPERIMENT,
    MEMBERS,
    checksum,
    decisive,
    holds_run,
    read_experiment,
    read_manifest,
    recorded_checksums,
)
from jaxstyle.runs.record import finite
from jaxstyle.sweeps.expansion import Member

_MOST_NAMES = 5


def numbered(experiment: Experiment, members: Sequence[Member], folder: Path) -> list[Member]:
    """Returns members with the numbers of their folders, in the sweep's order.

    Those of a sweep with patterns keep the number under which the folder has them; by the names of their images, or
    where these have changed, by what the files hold.

    Args:
      experiment: the sweep.
      members: what it expands to.
      folder: where it has run before, or will.
    """
    if experiment.sweep is None or not experiment.sweep.patterns:
        return [*members]
    begun = _begun(folder)
    left = {member.index: member for member in members}
    places: dict[int, int] = {}

    def assign(name_there: Callable[[str], str], name_here: Callable[[str], str]) -> None:
        free: dict[str, list[int]] = {}
        for number, values in begun.items():
            if number not in places.values():
                free.setdefault(_identity(values, name_there), []).append(number)
        for index, member in [*left.items()]:
            if numbers := free.get(_identity(member.values, name_here)):
                places[index] = numbers.pop(0)
                del left[index]

    assign(str, str)
    for number in [number for number, values in begun.items() if not values]:  # killed before it was called anything
        there = decisive(read_experiment(folder / MEMBERS / str(number)))
        same = next((index for index, member in left.items() if decisive(member.experiment.to_json()) == there), None)
        if same is not None:
            places[same] = number
            del left[same]
    if left and len(places) < len(begun):
        known = recorded_checksums(folder)
        assign(lambda name: known.get(name, name), lambda name: checksum(name) or name)
    taken = {*begun}
    unused = (number for number in range(len(members) + len(begun)) if number not in taken)
    return [
        dataclasses.replace(member, index=places[member.index] if member.index in places else next(unused))
        for member in members
    ]


def changed_images(experiment: Experiment, folder: Path) -> list[str]:
    """Says which images the patterns of a sweep find that they did not find before, and which they find no longer."""
    if experiment.sweep is None or not experiment.sweep.patterns:
        return []
    try:
        before = load_experiment(folder / EXPERIMENT).sweep
    except JaxstyleError:
        return []
    said = []
    for key, patterns in experiment.sweep.patterns.items():
        if before is None or key not in before.axes:
            continue
        there, here = [*before.axes[key]], [*experiment.sweep.axes[key]]
        if new := [value for value in here if value not in there]:
            said.append(f"{', '.join(patterns)}: {len(new)} new: {_listed(new)}")
        if gone := [value for value in there if value not in here]:
            said.append(f"{', '.join(patterns)}: {len(gone)} no longer there, their records stay: {_listed(gone)}")
    return said


def _begun(folder: Path) -> dict[int, Mapping[str, Any]]:
    """The values of the members that have begun, by the number of their folder; none where a record does not say."""
    found: dict[int, Mapping[str, Any]] = {}
    for path in (folder / MEMBERS).glob("*"):
        if path.name.isdecimal() and holds_run(path):
            member = read_manifest(path).get("member")
            values = member.get("values") if isinstance(member, Mapping) else None
            found[int(path.name)] = values if isinstance(values, Mapping) else {}
    return dict(sorted(found.items()))


def _identity(values: Mapping[str, Any], name: Callable[[str], str]) -> str:
    """Values as text, each word renamed."""

    def renamed(value: Any) -> Any:
        if isinstance(value, str):
            return name(value)
        if isinstance(value, Mapping):
            return {key: renamed(entry) for key, entry in value.items()}
        return [*map(renamed, value)] if isinstance(value, list | tuple) else value

    return json.dumps(finite(renamed(values)), sort_keys=True)


def _listed(values: Sequence[Any]) -> str:
    names = [str(value.get("image") if isinstance(value, Mapping) else value) for value in values]
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more
