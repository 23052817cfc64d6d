"""The JSON Schema of a rule file, for editors: what `rules.load` takes, with all short forms.

Made from the models, so it cannot say other things than they do. It knows no more than a schema can: patterns in
linear time, quotes that are there and ids that repeat are for `wardlaw rules check`.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from rules.docstrings import field_docstrings
from rules.faults import parts_of
from rules.languages import LANGUAGES
from rules.rule_file import Extended, RuleFile
from rules.schema import Defaults, Rule

_TEXT = {"type": "string", "minLength": 1, "pattern": r"\S"}


def rule_file_schema() -> dict[str, Any]:
    """The schema, as JSON Schema of 2020-12."""
    rule = Rule.model_json_schema(ref_template="#/$defs/{model}")
    head = RuleFile.model_json_schema(ref_template="#/$defs/{model}")
    definitions = {**head.pop("$defs"), **rule.pop("$defs")}
    for model in models_in(Rule):
        _describe(definitions[model.__name__] if model is not Rule else rule, model)
    _describe(head, RuleFile)
    _describe(definitions["Extended"], Extended)
    _describe(definitions["Defaults"], Defaults)
    definitions["Text"] = _text(definitions["Text"])
    definitions["Example"] = _example(definitions["Example"])
    definitions["Rule"] = _partial(rule)
    _only_one_of_two(definitions["Pattern"])
    definitions["Extended"] = {"anyOf": [_TEXT, {**definitions["Extended"], "required": ["pack"]}]}
    one = {"$ref": "#/$defs/Extended"}
    head["properties"]["extends"] = {
        "description": head["properties"]["extends"]["description"],
        "anyOf": [one, {"type": "array", "items": one}],
    }
    head["properties"]["rules"] = {
        "description": head["properties"]["rules"]["description"],
        "type": "array",
        "items": {"$ref": "#/$defs/Rule"},
    }
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Wardlaw rule file",
        **{key: value for key, value in head.items() if key != "title"},
        "$defs": dict(sorted(definitions.items())),
    }
    result: dict[str, Any] = _tidied(schema)
    result["title"] = "Wardlaw rule file"
    return result


def models_in(model: type[BaseModel]) -> list[type[BaseModel]]:
    """The model and all models that stand in its fields, each once, outermost first."""
    found = [model]
    for each in found:
        inside = (part for info in each.model_fields.values() for part in parts_of(info.annotation))
        found += [part for part in dict.fromkeys(inside) if part not in found]
    return found


def _describe(definition: dict[str, Any], model: type[BaseModel]) -> None:
    for name, text in field_docstrings(model).items():
        if text and "properties" in definition:
            field = definition["properties"][name]
            definition["properties"][name] = {"description": "", **field} | {"description": text}


def _text(definition: dict[str, Any]) -> dict[str, Any]:
    tags = "|".join(sorted(LANGUAGES))
    by_language = {
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"pattern": f"^({tags})(-[A-Za-z0-9]{{2,8}})*$"},
        "additionalProperties": _TEXT,
    }
    return {"description": definition["description"], "anyOf": [_TEXT, by_language]}


def _example(definition: dict[str, Any]) -> dict[str, Any]:
    fields = definition["properties"]
    turns = {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/Turn"}}
    prompt = {
        "description": "What the user asks: a string, or a list of messages.",
        "anyOf": [_TEXT, turns],
    }
    response = {"description": "What the assistant answered; this is what is judged then.", **_TEXT}
    short = {
        "type": "object",
        "properties": {"prompt": prompt, "response": response, "note": fields["note"]},
        "required": ["prompt"],
        "additionalProperties": False,
    }
    whole = {
        "type": "object",
        "properties": {"messages": fields["messages"], "note": fields["note"]},
        "required": ["messages"],
        "additionalProperties": False,
    }
    return {"description": definition["description"], "anyOf": [_TEXT, short, whole]}


def _partial(rule: dict[str, Any]) -> dict[str, Any]:
    """A rule as a file may hold it: one that changes an extended rule names only what it changes."""
    disabled = {"description": "`true` drops a rule of an extended file.", "type": "boolean"}
    return {**rule, "properties": {**rule["properties"], "disabled": disabled}, "required": ["id"]}


def _only_one_of_two(pattern: dict[str, Any]) -> None:
    pattern["oneOf"] = [{"required": ["literal"]}, {"required": ["regex"]}]


def _tidied(schema: Any, names: bool = False) -> Any:
    """Without the titles and defaults that pydantic makes up, and with descriptions on one line.

    `names` says that the keys are names of fields, of which one is `title`.
    """
    if isinstance(schema, list):
        return [_tidied(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if names:
        return {key: _tidied(value) for key, value in schema.items()}
    tidy: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "title" or (key == "default" and value in (None, [], {})):
            continue
        if key == "description":
            tidy[key] = " ".join(value.split())
        elif key in ("default", "enum", "const", "required"):
            tidy[key] = value
        else:
            tidy[key] = _tidied(value, names=key in ("properties", "$defs"))
    return tidy
