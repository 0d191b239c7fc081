"""What pydantic found wrong, said as answers: where, what was found, what is allowed, the nearest match."""

import json
from collections.abc import Collection
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from jaxstyle.config.image import StyleImage
from jaxstyle.config.models import SECTIONS, Experiment, Sweep, unknown_key
from jaxstyle.config.regions import Region
from jaxstyle.config.words import printable, unknown
from jaxstyle.errors import did_you_mean

Location = tuple[int | str, ...]

_ALLOWED = {
    "bool_type": "true or false",
    "dict_type": "a list of layers, or a table of their weights",
    "finite_number": "a finite number",
    "float_type": "a number",
    "greater_than": "more than {gt}",
    "greater_than_equal": "{ge} or more",
    "int_type": "a whole number",
    "less_than": "less than {lt}",
    "less_than_equal": "{le} or less",
    "list_type": "a list",
    "literal_error": "{expected}",
    "string_too_short": "some text",
    "string_type": "text in quotes",
    "too_short": "one or more values",
    "tuple_type": "a list of values",
}


def explain(error: ValidationError, *, source: str, overridden: Collection[str] = ()) -> str:
    """Returns all problems, one to a line.

    Args:
      error: pydantic's findings about an experiment.
      source: the file, as the user gave it.
      overridden: dotted keys that came from `--set` and not from the file.
    """
    return "\n".join(
        printable(f"{_origin(problem['loc'], source, overridden)}: {_message(problem)}")
        for problem in error.errors(include_url=False)
        if problem["type"] != "default_factory_not_called"  # only the consequence of another
    )


def _origin(location: Location, source: str, overridden: Collection[str]) -> str:
    key = _dotted(location)
    own = {".".join(map(str, location[:depth])) for depth in range(1, len(location) + 1)}
    return f"--set {key}" if own & set(overridden) else f"{source}: {key}" if key else source


def _dotted(location: Location) -> str:
    """Returns `loss.style_layers[2]` for `("loss", "style_layers", 2)`."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in location if part != "[key]"]
    return "".join(parts).removeprefix(".")


def _message(problem: ErrorDetails) -> str:
    kind, location, found, context = problem["type"], problem["loc"], problem["input"], problem.get("ctx", {})
    if kind == "refused":
        return problem["msg"]
    if kind == "value_error":
        return str(context["error"])
    if kind == "extra_forbidden":
        return _unexpected(location)
    if kind == "missing":
        return "missing; allowed: an image's path or a name of the image registry"
    if kind == "enum":
        options = _options(location)
        key = str(location[-1]).replace("_", " ")
        return (
            unknown(key, found, options)
            if isinstance(found, str)
            else f"found {show(found)}; allowed: {', '.join(options)}"
        )
    if kind in ("model_type", "model_attributes_type"):
        return f"found {show(found)}; allowed: {_table_form(location)}"
    limits = {name: f"{limit:.10g}" if isinstance(limit, float) else limit for name, limit in context.items()}
    return f"found {show(found)}; allowed: {_ALLOWED[kind].format(**limits) if kind in _ALLOWED else problem['msg']}"


def _model(location: Location) -> type[BaseModel]:
    """Returns the model of the table at `location`."""
    if location[:2] == ("image", "style") and len(location) > 2:
        return StyleImage
    if location[:2] == ("image", "regions") and len(location) > 2:
        return Region
    if not location:
        return Experiment
    return Sweep if location[0] == "sweep" else SECTIONS[str(location[0])]


def _options(location: Location) -> list[str]:
    option = _model(location[:-1]).model_fields[str(location[-1])].annotation
    return [*option] if isinstance(option, type) and issubclass(option, StrEnum) else []


def _unexpected(location: Location) -> str:
    *parents, key = location
    if len(parents) <= 1:
        return unknown_key(_dotted(location))
    allowed = list(_model(tuple(parents)).model_fields)
    return f"unknown key '{key}'{did_you_mean(str(key), allowed) or '.'} Allowed: {', '.join(allowed)}"


def _table_form(location: Location) -> str:
    if location[:2] == ("image", "style"):
        return "an image, or a list of images or { image = …, weight = … }"
    return f"a table, [{_dotted(location)}]" if location else "a table"


def show(value: Any) -> str:
    """Returns a value as TOML would write it, shortened."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (TypeError, ValueError):
        text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
