"""A file with `[sweep]` → its members: one complete experiment for each combination of the swept values.

Only the expansion: pure, and apart from how or where members are run.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError

from jaxstyle.config import LAYER_KEYS, Experiment, LayerSubsets, Loss, SweepMode, overlay
from jaxstyle.config.problems import explain
from jaxstyle.errors import JaxstyleError
from jaxstyle.sweeps.labels import layers_label, member_label, value_label, value_labels, without_label

BASELINE = "baseline"
"""What the member of an ablation is called that is the file as it stands."""
_MOST_PROBLEMS = 20


@dataclasses.dataclass(frozen=True)
class Member:
    """One experiment of a sweep.

    Attributes:
      index: its place in the sweep, from 0.
      label: what distinguishes it, such as `α = 1e-3`, or the file's own label.
      values: the value of every swept key: as written, or where an ablation leaves it alone, as resolved.
      place: the label of every swept key's value: the member's coordinates on the sweep's axes. In an ablation, keys
        left alone have the baseline's.
      experiment: the complete experiment, without a sweep.
    """

    index: int
    label: str
    values: Mapping[str, Any]
    place: Mapping[str, str]
    experiment: Experiment


class _Point(NamedTuple):
    """A value on an axis, and what it is called there."""

    value: Any
    label: str


def expand(experiment: Experiment, *, source: str = "sweep") -> list[Member]:
    """Returns the members of an experiment's sweep in the file's order, in a grid the last key changing fastest.

    Weights that follow the convention are each member's own, and a swept `optimizer.method` leaves behind the settings
    of the method it replaces. An ablation begins with its baseline, the file as it stands, and has no member twice.

    Args:
      experiment: a sweep; without `[sweep]` it is its own only member.
      source: what to call the experiment in messages, usually the file.

    Raises:
      JaxstyleError: the lists of a zip differ in length, there are too many or too few labels, or some members cannot
        be; each problem with its member and key, one to a line.
    """
    sweep = experiment.sweep
    if sweep is None:
        return [Member(0, experiment.title, {}, {}, experiment)]
    axes = {key: _points(key, values, experiment.loss, source) for key, values in sweep.axes.items()}
    base = experiment.model_dump(mode="json", exclude={"sweep"}, exclude_unset=True)
    stay = _baseline(experiment, axes) if sweep.mode is SweepMode.ABLATION else {}
    members: list[Member] = []
    problems: list[str] = []
    for index, row in enumerate(_rows(sweep.mode, axes, source)):
        values, labels = ({key: point[part] for key, point in row.items()} for part in (0, 1))
        label = member_label(labels, values) or BASELINE
        try:
            complete = Experiment.model_validate(overlay(base, values))
        except ValidationError as error:
            problems += explain(error, source=f"{source}: member {index} ({label})").splitlines()
            continue
        if sweep.mode is SweepMode.ABLATION and any(complete == member.experiment for member in members):
            continue
        values = {key: values.get(key, _setting(complete, key)) for key in axes}
        members.append(Member(len(members), label, values, stay | labels, complete))
    if problems:
        more = [f"{source}: {len(problems) - _MOST_PROBLEMS} more"] if len(problems) > _MOST_PROBLEMS else []
        raise JaxstyleError("\n".join(problems[:_MOST_PROBLEMS] + more))
    return members if sweep.labels is None else _labelled(members, sweep.labels, source)


def _rows(mode: SweepMode, axes: Mapping[str, Sequence[_Point]], source: str) -> Iterator[dict[str, _Point]]:
    """Yields what each member takes from the axes; the baseline of an ablation takes nothing."""
    match mode:
        case SweepMode.GRID:
            rows = itertools.product(*axes.values())
        case SweepMode.ZIP:
            if len({len(points) for points in axes.values()}) > 1:
                found = ", ".join(f"{key} has {len(points)}" for key, points in axes.items())
                allowed = "allowed in mode zip: one length for all"
                raise JaxstyleError(f"{source}: sweep: lists of different lengths: {found}; {allowed}")
            rows = zip(*axes.values(), strict=True)
        case SweepMode.ABLATION:
            yield {}
            yield from ({key: point} for key, points in axes.items() for point in points)
            return
    yield from (dict(zip(axes, row, strict=True)) for row in rows)


def _points(key: str, values: Sequence[Any], loss: Loss, source: str) -> list[_Point]:
    """Returns an axis: subsets of layers spelled out, and no two different values called the same."""
    if key not in LAYER_KEYS:
        points = [_Point(*point) for point in zip(values, value_labels(values), strict=True)]
    else:
        field = key.removeprefix("loss.")
        points = [point for value in values for point in _layer_points(value, field, loss)]
        if not points:
            raise JaxstyleError(f"{source}: sweep.{key}: the file's layers all weigh 0; allowed: some above 0")
    first = {label: value for value, label in reversed(points)}
    return [
        point if first[point.label] == point.value else point._replace(label=f"{point.label} ({index + 1})")
        for index, point in enumerate(points)
    ]


def _layer_points(value: Any, field: str, loss: Loss) -> Iterator[_Point]:
    """Yields one value of layers with its label, or the subsets that a word names.

    Subsets of layers that weigh what a mere list of them would are lists, so that a part of n layers weighs 1/n each
    where the whole does; layers with weights of their own keep them.
    """
    weights: Mapping[str, float] = getattr(loss, field)
    layers = [layer for layer, weight in weights.items() if weight]
    own = not _weigh_as_listed(field, loss)

    def subset(part: list[str]) -> Any:
        return {layer: weights[layer] for layer in part} if own else part

    if value == LayerSubsets.CUMULATIVE:
        for count in range(1, len(layers) + 1):
            yield _Point(subset(layers[:count]), layers_label(layers[:count], layers))
    elif value == LayerSubsets.LEAVE_ONE_OUT:
        for left in layers:
            yield _Point(subset([layer for layer in layers if layer != left]), without_label(left))
    elif isinstance(value, list | tuple) and all(isinstance(layer, str) for layer in value):
        yield _Point(value, layers_label(value, layers))
    else:
        yield _Point(value, value_label(value))


def _weigh_as_listed(field: str, loss: Loss) -> bool:
    """Whether layers weigh what they would if the file only listed them."""
    weights: Mapping[str, float] = getattr(loss, field)
    listed = Loss.model_validate({"convention": loss.convention, field: list(weights)})
    return getattr(listed, field) == weights


def _baseline(experiment: Experiment, axes: Mapping[str, Any]) -> dict[str, str]:
    """Returns the labels of what the file itself says of the swept keys."""
    labels = {}
    for key in axes:
        field = key.removeprefix("loss.")
        value = _setting(experiment, key)
        as_list = key in LAYER_KEYS and _weigh_as_listed(field, experiment.loss)
        labels[key] = layers_label(list(value), list(value)) if as_list else value_label(value)
    return labels


def _setting(experiment: Experiment, key: str) -> Any:
    """Returns the value of a dotted key as a file would write it."""
    found: Any = experiment.model_dump(mode="json")
    for part in key.split("."):
        found = found[part]
    return found


def _labelled(members: Sequence[Member], labels: Sequence[str], source: str) -> list[Member]:
    if len(labels) != len(members):
        found = f"found {len(labels)} labels; allowed: one for each of {len(members)} members"
        raise JaxstyleError(f"{source}: sweep.labels: {found}")
    return [dataclasses.replace(member, label=label) for member, label in zip(members, labels, strict=True)]
