"""`[[loss.terms]]`: terms of other papers, each validated by the keys of its kind."""

import dataclasses
import functools
import typing
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ConfigDict, Field, ValidationError, create_model, model_validator

from jaxstyle import terms
from jaxstyle.config.fields import LayerWeights, Text, Weight
from jaxstyle.config.options import STYLE_LAYERS
from jaxstyle.config.section import Section
from jaxstyle.errors import JaxstyleError

if TYPE_CHECKING:
    from jaxstyle.paper.terms import Term


class LossTerm(Section):
    """A term that is added to the loss: its kind, its weight, and the keys of its kind (`jaxstyle terms`)."""

    model_config = ConfigDict(extra="allow")

    kind: Text
    """What is compared; `jaxstyle terms` lists the kinds, with their keys and where they come from."""
    weight: Weight = 1.0
    """What multiplies the term's value."""

    @model_validator(mode="after")
    def _possible(self) -> "LossTerm":
        self.build()
        return self

    def build(self) -> "dict[Term, float]":
        """The term, or one for each of its layers, with the layers' own weights.

        Raises:
          JaxstyleError: there is no such kind, or it has other keys.
        """
        kind = terms.load(self.kind)
        given = dict(self.__pydantic_extra__ or {})
        try:
            keys = keys_of(kind).model_validate(given)
        except ValidationError as error:
            raise JaxstyleError("; ".join(_problem(self.kind, kind, found) for found in error.errors())) from None
        own = {name: getattr(keys, name) for name in type(keys).model_fields}
        if "layers" not in own:
            return {kind(**own): 1.0}
        layers: Mapping[str, float] = own.pop("layers")
        share = 1 / len(layers) if isinstance(given.get("layers"), list | tuple) else 1.0
        of_layers = (kind(**{"layer": layer, **own}) for layer in layers)
        return {term: share * weight for term, weight in zip(of_layers, layers.values(), strict=True)}


@functools.cache
def keys_of(kind: "type[Term]") -> type[Section]:
    """The keys of a kind, as a table to validate: its fields, with `layers` for `layer`.

    As of the style term, n listed layers weigh 1/n each, and by default the paper's five are taken.
    """
    hints = typing.get_type_hints(kind)
    fields: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        if field.name == "layer":
            fields["layers"] = (LayerWeights, Field(default_factory=_paper_layers))
        else:
            default = ... if field.default is dataclasses.MISSING else field.default
            fields[field.name] = (hints[field.name], default)
    return create_model(kind.__name__, __base__=Section, **fields)


def _paper_layers() -> dict[str, float]:
    return dict.fromkeys(STYLE_LAYERS, 1 / len(STYLE_LAYERS))


def _problem(name: str, kind: "type[Term]", found: Any) -> str:
    key = ".".join(map(str, found["loc"]))
    allowed = ", ".join(["kind", "weight", *keys_of(kind).model_fields])
    if found["type"] == "extra_forbidden":
        return f"{name} has no key '{key}'; its keys: {allowed}"
    return f"{key}: {found['msg'].removeprefix('Value error, ')}"
