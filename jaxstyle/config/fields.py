"""What a key may hold, where that is more than a type and its limits."""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
)

from jaxstyle.config.limits import out_of_range
from jaxstyle.config.options import CUSTOMARY, DEFAULT_CONVENTION, BoundsRule, Customary, ScaleRule, TileRule
from jaxstyle.config.words import no_escapes, unknown
from jaxstyle.errors import JaxstyleError
from jaxstyle.network.layers import LAYERS, canonical_layer


def in_range(number: float) -> float:
    """Returns the number.

    Raises:
      JaxstyleError: it is too large or too small for a device.
    """
    if problem := out_of_range(number):
        raise JaxstyleError(f"found {problem}")
    return number


def _not_empty(text: str) -> str:
    if not text:
        raise JaxstyleError('found ""; allowed: some text')
    return text


# Not pydantic's own limit on the length: it takes only text that is Unicode, and a file's name need not be.
Text = Annotated[str, AfterValidator(_not_empty), AfterValidator(no_escapes), Field(json_schema_extra={"minLength": 1})]
Number = Annotated[float, Field(allow_inf_nan=False), AfterValidator(in_range)]
"""What a device computes with."""
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False), AfterValidator(in_range)]
NETWORKS_LAYERS = "layers"
"""The key of pydantic's context under which a network of one's own has the names of its layers."""


def _known_layers(info: ValidationInfo) -> Sequence[str]:
    return (info.context or {}).get(NETWORKS_LAYERS, LAYERS)


def _layer_name(name: str, info: ValidationInfo) -> str:
    return canonical_layer(name, _known_layers(info))


LayerName = Annotated[
    str,
    AfterValidator(_layer_name),
    WithJsonSchema({"type": "string", "enum": [*LAYERS, *(layer.replace("conv", "relu") for layer in LAYERS)]}),
]
_LAYER_NAMES = TypeAdapter(list[LayerName], config=ConfigDict(strict=True))


def customary(given: Mapping[str, Any]) -> Customary:
    """The weights that go with the convention among the keys given so far."""
    return CUSTOMARY[given.get("convention", DEFAULT_CONVENTION)]


def _weighted_layers(value: Any, weights_of: ValidatorFunctionWrapHandler, info: ValidationInfo) -> dict[str, float]:
    """Turns a list of layers, or a table of their weights, into weights by canonical name in the network's order."""
    if isinstance(value, list | tuple):
        names = _LAYER_NAMES.validate_python(list(value), context=info.context)
        is_style = info.field_name == "style_layers" and names
        weight = customary(info.data).style_layer_weight(len(names)) if is_style else 1.0
        weights = dict.fromkeys(names, weight)
    else:
        weights = weights_of(value)
        names = [_layer_name(name, info) for name in value]
    known = _known_layers(info)
    if twice := [layer for layer in known if names.count(layer) > 1]:
        raise JaxstyleError(f"{', '.join(twice)} named more than once; allowed: each layer once (reluX_Y is convX_Y)")
    return {layer: weights[layer] for layer in known if layer in weights}


LayerWeights = Annotated[
    dict[LayerName, Weight],
    WrapValidator(_weighted_layers, json_schema_input_type=list[LayerName] | dict[LayerName, Weight]),
]


LongSide = Annotated[int, Field(ge=16, le=8192)]
_LONG_SIDES = TypeAdapter(list[LongSide], config=ConfigDict(strict=True))


def _scales(value: Any) -> ScaleRule | tuple[int, ...]:
    """Tells a rule from a list of long sides, which must rise."""
    allowed = "a rising list of long sides"
    if isinstance(value, str):
        if value not in list(ScaleRule):
            raise JaxstyleError(unknown("scales", value, [*ScaleRule], last=allowed))
        return ScaleRule(value)
    if not isinstance(value, list | tuple):
        raise JaxstyleError(f"found {json.dumps(value, default=str)}; allowed: {', '.join(ScaleRule)}, {allowed}")
    sizes = _LONG_SIDES.validate_python(list(value))
    if not sizes or sizes != sorted(set(sizes)):
        raise JaxstyleError(f"found {sizes}; allowed: {allowed}, such as [128, 256, 512]")
    return tuple(sizes)


Scales = Annotated[
    ScaleRule | tuple[LongSide, ...], BeforeValidator(_scales, json_schema_input_type=ScaleRule | list[LongSide])
]


TILE_SIDES = range(16, 8193, 4)
"""Poolings divide a tile in the first two blocks."""


def _tile(value: Any) -> TileRule | int:
    """Reads the rule's name, or the side of a tile; 0 is none."""
    allowed = f"0, a multiple of 4 from {TILE_SIDES[0]} to {TILE_SIDES[-1]}"
    if isinstance(value, str):
        if value not in list(TileRule):
            raise JaxstyleError(unknown("tile", value, [*TileRule], last=allowed))
        return TileRule(value)
    if not isinstance(value, int) or isinstance(value, bool) or (value and value not in TILE_SIDES):
        raise JaxstyleError(f"found {json.dumps(value, default=str)}; allowed: {', '.join(TileRule)}, {allowed}")
    return value


Tile = Annotated[
    TileRule | int,
    BeforeValidator(_tile, json_schema_input_type=TileRule | Annotated[int, Field(ge=0, le=8192, multiple_of=4)]),
]


def _bounds(value: Any) -> BoundsRule:
    """Reads a rule's name; true and false are what files of version 0.1 say."""
    if isinstance(value, bool):
        return BoundsRule.PER_CHANNEL if value else BoundsRule.NONE
    if not isinstance(value, str):
        raise JaxstyleError(f"found {json.dumps(value, default=str)}; allowed: {', '.join(BoundsRule)}")
    if value not in list(BoundsRule):
        raise JaxstyleError(unknown("bounds", value, [*BoundsRule]))
    return BoundsRule(value)


Bounds = Annotated[BoundsRule, BeforeValidator(_bounds, json_schema_input_type=BoundsRule | bool)]
