"""A file with `[sweep]` → its members: one complete experiment for each combination of the swept values.

Only the expansion: pure, and apart from how or where members are run.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from pydantic import ValidationError

from jaxstyle.config import Experiment, Sweep, SweepMode, overlay
from jaxstyle.config.problems import explain
from jaxstyle.config.words import is_named_picture
from jaxstyle.errors import JaxstyleError

_MOST_PROBLEMS = 20


@dataclasses.dataclass(frozen=True)
class Member:
    """One experiment of a sweep.

    Attributes:
      index: its place in the sweep, from 0.
      label: what distinguishes it, such as `content_weight=0.001`, or the file's own label.
      values: the swept values by dotted key, as written.
      experiment: the complete experiment, without a sweep.
    """

    index: int
    label: str
    values: Mapping[str, Any]
    experiment: Experiment


def expand(experiment: Experiment, *, source: str = "sweep") -> list[Member]:
    """Returns the members of an experiment's sweep in the file's order, in a grid the last key changing fastest.

    Weights that follow the convention are each member's own, and a swept `optimizer.method` leaves behind the settings
    of the method it replaces.

    Args:
      experiment: a sweep; without `[sweep]` it is its own only member.
      source: what to call the experiment in messages, usually the file.

    Raises:
      JaxstyleError: some members cannot be; each problem with its member and key, one to a line.
    """
    if experiment.sweep is None:
        return [Member(0, experiment.title, {}, experiment)]
    base = experiment.model_dump(mode="json", exclude={"sweep"}, exclude_unset=True)
    labels = experiment.sweep.labels or itertools.repeat(None)
    members, problems = [], []
    for index, (values, given) in enumerate(zip(_combinations(experiment.sweep), labels, strict=False)):
        label = _label(values) if given is None else given
        try:
            members.append(Member(index, label, values, Experiment.model_validate(overlay(base, values))))
        except ValidationError as error:
            problems += explain(error, source=f"{source}: member {index} ({label})").splitlines()
    if problems:
        more = [f"{source}: {len(problems) - _MOST_PROBLEMS} more"] if len(problems) > _MOST_PROBLEMS else []
        raise JaxstyleError("\n".join(problems[:_MOST_PROBLEMS] + more))
    return members


def _combinations(sweep: Sweep) -> Iterator[dict[str, Any]]:
    """Yields each member's values by dotted key."""
    lists = sweep.axes.values()
    rows = itertools.product(*lists) if sweep.mode is SweepMode.GRID else zip(*lists, strict=True)
    return (dict(zip(sweep.axes, row, strict=True)) for row in rows)


def _label(values: Mapping[str, Any]) -> str:
    """Returns `content_weight=0.001, seed=2`, with whole keys where the last parts would be the same."""
    last = [key.rpartition(".")[2] for key in values]
    names = last if len(set(last)) == len(last) else list(values)
    return ", ".join(f"{name}={_short(value)}" for name, value in zip(names, values.values(), strict=True))


def _short(value: Any) -> str:
    """Returns a value as a label says it: a picture by its name, a number by its digits."""
    match value:
        case bool():
            return str(value).lower()
        case float():
            return f"{value:.12g}"
        case str() if is_named_picture(value):
            return value.partition(":")[2]
        case str() if PurePath(value).is_absolute():
            return PurePath(value).stem
        case list() | tuple():
            return "+".join(map(_short, value))
        case dict():
            return "+".join(f"{key}:{_short(item)}" for key, item in value.items())
    return str(value)
