"""`[optimizer]`: a method with its own keys, each validated by the method that has it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import InitErrorDetails

from jaxstyle.config.fields import Bounds, Number, Text
from jaxstyle.config.options import BoundsRule
from jaxstyle.config.parts import keys_of
from jaxstyle.config.section import Section
from jaxstyle.errors import JaxstyleError
from jaxstyle.optimizers import methods

if TYPE_CHECKING:
    from jaxstyle.optimizers.base import Method


def _known(method: str) -> str:
    methods.load(method)
    return method


class Optimizer(Section):
    """How the image is improved, and for how long."""

    model_config = ConfigDict(extra="allow")

    method: Annotated[Text, AfterValidator(_known)] = next(iter(methods.BUILT_IN))
    """"lbfgs" runs on the device; "adam" is a first-order method; "scipy-lbfgsb" is SciPy's L-BFGS-B, which the
    authors' own code used. Installed packages may add others."""
    iterations: int = Field(default=500, ge=1, le=10**9)
    """The number of steps at most: of all scales together, with `scales = "fast"` of each. The paper gives none."""
    bounds: Bounds = BoundsRule.NONE
    """Box constraints on the pixels: "none"; "paper", one interval for all channels of the mean-subtracted image, from
    the lowest to the highest value of the source images in any channel, as in the authors' texture code (of images of
    the full range: red 0 to 1.077, green -0.027 to 1.050, blue -0.077 to 1); or "per-channel", each channel's own range
    in the source images, as fzliu/style-transfer keeps to valid colours. true means "per-channel", false "none"."""
    tolerance: Number = Field(default=0.0, ge=0, lt=1)
    """Stop when the loss changes relatively by less than this over 20 iterations; 0: never."""

    @property
    def own(self) -> Mapping[str, Any]:
        """The values of the method's own keys, and of others that the file has."""
        return self.__pydantic_extra__ or {}

    @model_validator(mode="after")
    def _of_its_method(self) -> "Optimizer":
        """Validates each key by the method that has it, and adds those that are absent.

        What another method has is kept where it is not the default: a sweep may choose that method.
        """
        given = dict(self.own)
        found: dict[str, Any] = {}
        for name in dict.fromkeys([self.method, *methods.names()]):
            keys = keys_of(methods.load(name))
            mine = {key: given.pop(key) for key in keys.model_fields if key in given}
            checked = keys.model_validate(mine)
            values = {key: getattr(checked, key) for key in keys.model_fields}
            if name == self.method:
                found |= values
            else:
                default = {key: field.default for key, field in keys.model_fields.items()}
                found |= {key: values[key] for key in mine if values[key] != default[key]}
        if given:
            unknown = [
                InitErrorDetails(type="extra_forbidden", loc=(key,), input=value) for key, value in given.items()
            ]
            raise ValidationError.from_exception_data("optimizer", unknown)
        object.__setattr__(self, "__pydantic_extra__", found)
        self.build()
        return self

    def build(self) -> "Method":
        """The method.

        Raises:
          JaxstyleError: it cannot be with these values.
        """
        method = methods.load(self.method)
        return method(**{key: self.own[key] for key in keys_of(method).model_fields})

    def foreign(self) -> Mapping[str, Any]:
        """What is given for other methods."""
        own = keys_of(methods.load(self.method)).model_fields
        return {key: value for key, value in self.own.items() if key not in own}


def method_keys() -> dict[str, FieldInfo]:
    """The keys that methods add to the section, in the order of the methods."""
    fields: dict[str, FieldInfo] = {}
    for name in methods.names():
        fields = keys_of(methods.load(name)).model_fields | fields
    return fields


def methods_with(key: str) -> list[str]:
    """The methods that have a key."""
    return [name for name in methods.names() if key in keys_of(methods.load(name)).model_fields]


def keys_left_behind(method: str) -> set[str]:
    """The keys of other methods, which go when that one is chosen; none where there is no such method."""
    try:
        own = keys_of(methods.load(method)).model_fields
    except JaxstyleError:
        return set()
    return method_keys().keys() - own.keys()
