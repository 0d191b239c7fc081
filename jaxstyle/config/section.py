"""What every table of an experiment file has in common, and how the faults of a whole table are reported."""

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

Problem = tuple[tuple[int | str, ...], str]
"""A key, as the path to it, and what is wrong with its value."""


class Section(BaseModel):
    """A table of an experiment file: frozen, unknown keys refused, no type guessed from another."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


def refuse(problems: Iterable[Problem]) -> None:
    """Raises all problems as one error of validation; does nothing when there are none."""
    details = [
        InitErrorDetails(type=PydanticCustomError("refused", "{text}", {"text": text}), loc=key, input=None)
        for key, text in problems
    ]
    if details:
        raise ValidationError.from_exception_data("experiment", details)
