"""How the keys of a sweep and their values are called where there is little room: `α = 1e-3`, `conv1_1 … conv4_1`."""

import math
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from jaxstyle.config.words import is_named_image

_NAMES = {
    "image.content": "content",
    "image.style": "style",
    "network.weights": "network",
    "loss.content_weight": "α",
    "loss.style_weight": "β",
    "loss.tv_weight": "TV weight",
    "start.method": "start",
    "optimizer.method": "optimizer",
}
_RUN = 3
"""So many neighbouring layers are called by the first and the last."""


def axis_name(key: str) -> str:
    """Returns a swept key's short name: `α` for `loss.content_weight`, `style layers` for `loss.style_layers`."""
    return _NAMES.get(key, key.rpartition(".")[2].replace("_", " "))


def axis_title(key: str) -> str:
    """Returns a swept key with its symbol, if it has one: `loss.content_weight (α)`."""
    name = axis_name(key)
    return key if name.isascii() else f"{key} ({name})"


def member_label(labels: Mapping[str, str], values: Mapping[str, Any]) -> str:
    """Returns `style layers conv1_1 … conv4_1, α = 1e-3`.

    Args:
      labels: the values' labels by swept key.
      values: the values, which say whether a label is a number.
    """
    parts = [f"{axis_name(key)}{' = ' if _is_number(values[key]) else ' '}{label}" for key, label in labels.items()]
    return ", ".join(parts)


def layers_label(layers: Sequence[str], whole: Sequence[str]) -> str:
    """Returns `conv1_1 … conv4_1` for neighbours, `without conv3_1` for all but one, else `conv1_1 + conv4_1`.

    Args:
      layers: the layers to name.
      whole: the layers that they are a part of, in the network's order.
    """
    inside = [layer for layer in whole if layer in layers]
    if len(inside) == len(layers) >= _RUN:
        start = whole.index(inside[0])
        if list(whole[start : start + len(inside)]) == inside:
            return f"{inside[0]} … {inside[-1]}"
        if len(inside) == len(whole) - 1:
            return without_label(next(layer for layer in whole if layer not in layers))
    return " + ".join(layers) or "none"


def without_label(layer: str) -> str:
    """Returns what all layers but one are called."""
    return f"without {layer}"


def value_label(value: Any) -> str:
    """Returns a value as a label says it: a number by its digits, an image by its name, a weight before its layer."""
    match value:
        case bool():
            return str(value).lower()
        case float():
            return _number(value)
        case str() if is_named_image(value):
            return value.partition(":")[2]
        case str() if PurePath(value).is_absolute():
            return PurePath(value).stem
        case {"image": image, **rest}:
            weight = rest.get("weight", 1)
            return value_label(image) if weight == 1 else f"{value_label(weight)} {value_label(image)}"
        case {"kind": kind, **rest}:
            return f"{value_label(rest.get('weight', 1))} {kind}"
        case Mapping():
            return " + ".join(f"{value_label(weight)} {name}" for name, weight in value.items()) or "none"
        case list() | tuple():
            return " + ".join(map(value_label, value)) or "none"
    return str(value)


def value_labels(values: Sequence[Any]) -> list[str]:
    """Returns each value's label; images of one name in several folders, or formats, by as much as tells them apart.

    Examples:
      >>> value_labels(["/a/lake.jpg", "/b/lake.jpg", "/b/hill.jpg"])
      ['a/lake.jpg', 'b/lake.jpg', 'hill']
    """
    alike: dict[str, list[PurePath]] = {}
    for value in values:
        if isinstance(value, str) and PurePath(value).is_absolute():
            alike.setdefault(value_label(value), []).append(PurePath(value))
    known = {str(path): name for paths in alike.values() if len(set(paths)) > 1 for path, name in _apart(paths).items()}
    return [known[value] if isinstance(value, str) and value in known else value_label(value) for value in values]


def _apart(paths: Sequence[PurePath]) -> dict[PurePath, str]:
    """The ends of different paths, of as many parts as make them different."""
    depths = range(1, max(len(path.parts) for path in paths) + 1)
    ends = ({path: "/".join(path.parts[-depth:]) for path in paths} for depth in depths)
    return next(names for names in ends if len(set(names.values())) == len(names))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _number(value: float) -> str:
    """Returns 1e-3, 0.02 and 250: digits where they are few, a power of ten where it is one."""
    if value and math.isfinite(value):
        mantissa, _, exponent = f"{value:.11e}".partition("e")
        mantissa = mantissa.rstrip("0").rstrip(".")
        power = int(exponent)
        if not -2 <= power < 5 or (mantissa == "1" and power < 0):
            return f"{mantissa}e{power}"
    return f"{value:.12g}"
