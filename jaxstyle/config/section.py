"""What every table of an experiment file has in common."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A table of an experiment file: frozen, unknown keys refused, no type guessed from another."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)
