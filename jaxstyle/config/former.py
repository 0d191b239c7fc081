"""Experiments that earlier versions recorded, carried over into today's terms.

A record is of one loss, whatever a convention's name means later. So a resolved experiment says its format, and one of
an earlier format is read with the weights that give the same loss today.
"""

from collections.abc import Mapping
from typing import Any

from jaxstyle.config.options import Convention
from jaxstyle.errors import JaxstyleError

FORMAT = 2
"""Of resolved experiments. In format 1, which says none, `paper-figures` was 5 · mean ΔF²; since 2 it is ½ mean ΔF²."""
FORMER_TERMS = "5 · mean ΔF² and Eq. 4, `paper-figures` as it was in records of format 1"
_TIMES = 10


def current(mapping: Mapping[str, Any], *, source: str) -> dict[str, Any]:
    """Returns an experiment's sections with the weights of today's format, without the format.

    Args:
      mapping: sections by name; where `format` is absent they are of today's.
      source: what to call the mapping in messages.

    Raises:
      JaxstyleError: the format is unknown, or its weights cannot be carried over.
    """
    sections = {name: table for name, table in mapping.items() if name != "format"}
    found = mapping.get("format", FORMAT)
    if isinstance(found, bool) or found not in range(1, FORMAT + 1):
        raise JaxstyleError(f"{source}: format: found {found!r}; allowed: 1 to {FORMAT}, a newer jaxstyle may know it")
    return sections if found == FORMAT else _of_format_1(sections, source)


def former_terms(mapping: Mapping[str, Any]) -> str | None:
    """Says what the weights of a recorded experiment multiply, where that is not what its convention means today.

    Args:
      mapping: what a run's `experiment.json` holds.
    """
    loss = mapping.get("loss")
    named = loss.get("convention") if isinstance(loss, Mapping) else None
    return FORMER_TERMS if named == Convention.PAPER_FIGURES and mapping.get("format", 1) == 1 else None


def _of_format_1(sections: dict[str, Any], source: str) -> dict[str, Any]:
    loss, sweep = ({**table} if isinstance(table := sections.get(name), Mapping) else {} for name in ("loss", "sweep"))
    conventions = {str(name) for name in sweep.get("loss.convention", [loss.get("convention")])}
    if Convention.PAPER_FIGURES not in conventions:
        return sections
    if len(conventions) > 1 and ("content_weight" in loss or "loss.content_weight" in sweep):
        raise JaxstyleError(
            f"{source}: recorded when paper-figures was 5 · mean ΔF², with content weights for several conventions, "
            "which cannot be carried over; write them anew"
        )
    if "content_weight" in loss:
        sections = {**sections, "loss": {**loss, "content_weight": _tenfold(loss["content_weight"])}}
    if "loss.content_weight" in sweep:
        weights = [_tenfold(weight) for weight in sweep["loss.content_weight"]]
        sections = {**sections, "sweep": {**sweep, "loss.content_weight": weights}}
    return sections


def _tenfold(weight: Any) -> Any:
    """Ten times a weight as a person would write it; anything else is left for the validation to answer."""
    is_number = isinstance(weight, int | float) and not isinstance(weight, bool)
    return float(f"{_TIMES * weight:.15g}") if is_number else weight
