"""The keys of a part, a term or a method, as a table to validate: the fields of its dataclass."""

import dataclasses
import functools
import typing
from typing import Annotated, Any

from pydantic import AfterValidator, Field, create_model

from jaxstyle.config.fields import LayerWeights, in_range
from jaxstyle.config.options import STYLE_LAYERS
from jaxstyle.config.section import Section


@functools.cache
def keys_of(part: type) -> type[Section]:
    """The fields of a part, with `layers` for `layer`.

    As of the style term, n listed layers weigh 1/n each, and by default the paper's five are taken. Numbers must be
    those that a device computes with.
    """
    hints = typing.get_type_hints(part, include_extras=True)
    fields: dict[str, Any] = {}
    for field in dataclasses.fields(part):
        hint = hints[field.name]
        if field.name == "layer":
            fields["layers"] = (LayerWeights, Field(default_factory=_paper_layers))
            continue
        if float in (hint, *typing.get_args(hint)):
            hint = Annotated[hint, Field(allow_inf_nan=False), AfterValidator(in_range)]
        fields[field.name] = (hint, ... if field.default is dataclasses.MISSING else field.default)
    return create_model(part.__name__, __base__=Section, **fields)


def _paper_layers() -> dict[str, float]:
    return dict.fromkeys(STYLE_LAYERS, 1 / len(STYLE_LAYERS))
