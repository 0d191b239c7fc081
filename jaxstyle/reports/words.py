"""How values and names are written for a reader."""

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

ABSENT = "–"


def readable(value: Any) -> str:
    """Returns a value as a person writes it: four digits of a number, a style by its name, layers by theirs."""
    match value:
        case None | "":
            return ABSENT
        case bool():
            return "yes" if value else "no"
        case float() | "inf" | "-inf" | "nan":
            return _number(float(value))
        case {"image": image, "weight": weight}:
            return str(image) if weight == 1 else f"{image} × {readable(weight)}"
        case Mapping() if value and len({*map(repr, value.values())}) == 1:
            return f"{', '.join(map(str, value))}, {readable(next(iter(value.values())))} each"
        case Mapping():
            return ", ".join(f"{name} {readable(entry)}" for name, entry in value.items()) or ABSENT
        case list() | tuple():
            return ", ".join(map(readable, value)) or ABSENT
    return str(value)


def clean(text: str) -> str:
    """Returns text without control characters and halves of characters, which no file may hold; lines stay lines."""
    return "".join(
        "\ufffd" if letter != "\n" and unicodedata.category(letter) in ("Cc", "Cs") else letter for letter in text
    )


def letters(index: int) -> str:
    """Returns a … z, then aa, ab, …."""
    letter = chr(ord("a") + index % 26)
    return letter if index < 26 else letters(index // 26 - 1) + letter


def lettered(indices: Sequence[int]) -> str:
    """Returns (a), (c)–(f) for places in rising order: three neighbours or more by the first and the last."""
    runs: list[list[int]] = []
    for index in indices:
        if runs and index == runs[-1][-1] + 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    parts = [
        [f"({letters(run[0])})–({letters(run[-1])})"] if len(run) > 2 else [f"({letters(index)})" for index in run]
        for run in runs
    ]
    return ", ".join(part for run in parts for part in run)


def number(value: Any) -> float:
    """Returns a recorded number; records write infinities and NaN by name, and a damaged one may hold anything."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _number(value: float) -> str:
    """Returns 6.713e−4 rather than 0.00067127, and ∞."""
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else "∞" if value > 0 else "−∞"
    text = f"{value:.3e}" if value and abs(value) < 1e-3 else f"{value:.4g}"
    text = re.sub(r"(?:\.0+|(\.\d*?)0+)(?=e)", r"\1", text)
    return re.sub(r"e([+-])0*", lambda found: "e" + found[1].strip("+"), text).replace("-", "−")
