"""`[[loss.terms]]`: terms of other papers, each validated by the keys of its kind."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ConfigDict, PrivateAttr, ValidationError, ValidationInfo, model_validator

from jaxstyle import terms
from jaxstyle.config.fields import Text, Weight
from jaxstyle.config.parts import keys_of
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

    _built: dict[Any, float] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _possible(self, info: ValidationInfo) -> "LossTerm":
        self._built = self._build(info.context)
        return self

    def build(self) -> "dict[Term, float]":
        """The term, or one for each of its layers, with the layers' own weights."""
        return dict(self._built)

    def _build(self, context: Any) -> "dict[Term, float]":
        """Makes what `build` returns.

        Raises:
          JaxstyleError: there is no such kind, or it has other keys.
        """
        kind = terms.load(self.kind)
        given = dict(self.__pydantic_extra__ or {})
        try:
            keys = keys_of(kind).model_validate(given, context=context)
        except ValidationError as error:
            raise JaxstyleError("; ".join(_problem(self.kind, kind, found) for found in error.errors())) from None
        own = {name: getattr(keys, name) for name in type(keys).model_fields}
        if "layers" not in own:
            return {kind(**own): 1.0}
        layers: Mapping[str, float] = own.pop("layers")
        share = 1 / len(layers) if isinstance(given.get("layers"), list | tuple) else 1.0
        of_layers = (kind(**{"layer": layer, **own}) for layer in layers)
        return {term: share * weight for term, weight in zip(of_layers, layers.values(), strict=True)}


def _problem(name: str, kind: "type[Term]", found: Any) -> str:
    key = ".".join(map(str, found["loc"]))
    allowed = ", ".join(["kind", "weight", *keys_of(kind).model_fields])
    if found["type"] == "extra_forbidden":
        return f"{name} has no key '{key}'; its keys: {allowed}"
    return f"{key}: {found['msg'].removeprefix('Value error, ')}"
