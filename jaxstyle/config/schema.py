"""The experiment file described for editors (JSON Schema) and for readers (the documentation's tables)."""

import json
import re
from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from jaxstyle import terms
from jaxstyle.config.models import SECTIONS, Experiment, Sweep, all_keys, section_keys
from jaxstyle.config.optimizer import methods_with
from jaxstyle.config.options import CUSTOMARY, LAYER_KEYS, LayerSubsets
from jaxstyle.config.parts import keys_of
from jaxstyle.config.patterns import names_image
from jaxstyle.optimizers import methods

Schema = dict[str, Any]

_CHECKOUT = Path(__file__).parents[2]
SCHEMA_FILE = _CHECKOUT / "experiments" / "experiment.schema.json"
DOCUMENT_FILE = _CHECKOUT / "docs" / "experiments.md"
_GENERATED = re.compile(r"(<!-- (keys|customary): python -m jaxstyle\.config -->\n).*?(<!-- end -->)", re.DOTALL)


class _TomlSchema(GenerateJsonSchema):
    """JSON Schema of what TOML can say: no null, and no titles made from the keys."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])


def schema() -> Schema:
    """Returns the JSON Schema (draft 2020-12) that accepts what experiment files accept, every key described."""
    result = Experiment.model_json_schema(mode="validation", schema_generator=_TomlSchema)
    definitions = result["$defs"]
    definitions["LossTerm"] |= {"properties": _term_properties(definitions["LossTerm"]), "additionalProperties": False}
    definitions["Optimizer"] |= {
        "properties": _method_properties(definitions["Optimizer"]),
        "additionalProperties": False,
    }
    definitions["Sweep"] |= {"properties": _sweep_properties(definitions["Sweep"]), "additionalProperties": False}
    for table in (result, *definitions.values()):
        _tidy(table)
        for described in table.get("properties", {}).values():
            _tidy(described)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **result}


def _method_properties(optimizer: Schema) -> Schema:
    """The keys of every method, each with the methods that have it."""
    keys: Schema = {}
    for name in methods.names():
        described = keys_of(methods.load(name)).model_json_schema(mode="validation", schema_generator=_TomlSchema)
        keys = described.get("properties", {}) | keys
    for key, described in keys.items():
        described["description"] = f"{described.get('description', '')} Of {' and '.join(methods_with(key))}."
    method = {key: value for key, value in optimizer["properties"]["method"].items() if key != "type"}
    return {**optimizer["properties"], "method": {**method, "enum": methods.names()}, **keys}


def _term_properties(term: Schema) -> Schema:
    """The keys of every kind of this package, side by side."""
    keys: Schema = {}
    for kind in terms.BUILT_IN:
        described = keys_of(terms.load(kind)).model_json_schema(mode="validation", schema_generator=_TomlSchema)
        keys |= described.get("properties", {})
    kinds = {"kind": {**term["properties"]["kind"], "examples": [*terms.BUILT_IN]}}
    return {**term["properties"], **kinds, **keys}


def _sweep_properties(sweep: Schema) -> Schema:
    """A list for each key, under its dotted name in quotes or in a table within the table."""
    lists: Schema = {}
    for dotted in all_keys():
        section, _, key = dotted.rpartition(".")
        items = f"#/$defs/{SECTIONS[section].__name__}/properties/{key}" if section else f"#/properties/{key}"
        lists[dotted] = {"description": f"Values of {dotted}."} | _list_of({"$ref": items}, dotted)
    tables = {
        section: {
            "description": f"Lists of values for the keys of [{section}].",
            "type": "object",
            "properties": {key: lists[f"{section}.{key}"] for key in section_keys(section)},
            "additionalProperties": False,
        }
        for section in SECTIONS
    }
    return {**sweep["properties"], **lists, **tables}


def _list_of(item: Schema, dotted: str) -> Schema:
    """A list of at least one value; subsets of layers and a pattern of images may be named instead.

    Subsets may be one value of the list or all of it, and so may a pattern, which is text as an image is.
    """
    if names_image(dotted):
        return {"anyOf": [{"type": "string", "minLength": 1}, {"type": "array", "minItems": 1, "items": item}]}
    if dotted not in LAYER_KEYS:
        return {"type": "array", "minItems": 1, "items": item}
    words = {"enum": [*LayerSubsets]}
    return {"anyOf": [words, {"type": "array", "minItems": 1, "items": {"anyOf": [words, item]}}]}


def _tidy(described: Schema) -> None:
    """Puts a description on one line and drops a default that only means absence."""
    if "description" in described:
        described["description"] = " ".join(described["description"].split())
    if "default" in described and described["default"] is None:
        del described["default"]


def key_table() -> str:
    """Returns the documentation's table of every key: what is allowed, the default, the meaning."""
    whole = schema()
    tables = {"": whole, **{section: whole["$defs"][model.__name__] for section, model in SECTIONS.items()}}
    named = [(dotted, *dotted.rpartition(".")[::2]) for dotted in all_keys()]
    rows = [(dotted, tables[section]["properties"][key]) for dotted, section, key in named]
    rows += [(f"sweep.{key}", whole["$defs"]["Sweep"]["properties"][key]) for key in Sweep.model_fields]
    lines = [
        f"| `{dotted}` | {_allowed(key, whole['$defs'])} | {_default(dotted, key)} | {key['description']} |"
        for dotted, key in rows
    ]
    return "\n".join(["| key | allowed | default | meaning |", "|---|---|---|---|", *lines, ""])


def _allowed(described: Schema, definitions: Schema) -> str:
    """Returns `whole number, 16 to 8192` and the like."""
    if "$ref" in described:
        target = definitions[described["$ref"].rpartition("/")[2]]
        return _allowed(target, definitions) if "enum" in target else "table"
    if "enum" in described:
        return ", ".join(str(option) for option in described["enum"])
    if "anyOf" in described:
        return " or ".join(_allowed(option, definitions) for option in described["anyOf"])
    kind: str = described["type"]
    names = {"integer": "whole number", "string": "text", "boolean": "true, false", "array": "list", "object": "table"}
    limits = [
        f"{words} {described[limit]:.10g}"
        for limit, words in {
            "minimum": "at least",
            "exclusiveMinimum": "above",
            "maximum": "at most",
            "exclusiveMaximum": "below",
        }.items()
        if limit in described
    ]
    return ", ".join([names.get(kind, kind), *limits])


def _default(dotted: str, described: Schema) -> str:
    if described.get("default") == []:
        return "absent"
    if "default" in described:
        return f"`{json.dumps(described['default'])}`"
    if dotted == "loss.content_layers":
        return "conv4_2"
    return "by convention" if dotted.startswith("loss.") else "absent"


def customary_table() -> str:
    """Returns the documentation's table of the weights that each convention takes where a file gives none."""
    lines = [
        f"| `{name}` | {_number(usual.content_weight)} | {_number(usual.style_weight)} | {_number(usual.tv_weight)} "
        f"| {'1/n' if usual.style_layers_share else '1'} |"
        for name, usual in CUSTOMARY.items()
    ]
    head = "| convention | `content_weight` | `style_weight` | `tv_weight` | each of n style layers |"
    return "\n".join([head, "|---|---|---|---|---|", *lines, ""])


def _number(value: float) -> str:
    """Returns 1e6 rather than 1e+06."""
    return re.sub(r"e([+-])0*", lambda found: "e" + found[1].strip("+"), f"{value:g}")


def documented(page: str) -> str:
    """Returns the documentation's page with its tables brought up to date."""
    tables = {"keys": key_table, "customary": customary_table}
    return _GENERATED.sub(lambda found: f"{found[1]}\n{tables[found[2]]()}\n{found[3]}", page)


def schema_text() -> str:
    """Returns the text of `experiments/experiment.schema.json`."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
