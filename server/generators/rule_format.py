"""docs/rule-format.md: a frame that was written by hand, and in it the tables that the models give."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

import rules.rule_file
import rules.schema
from rules.docstrings import field_docstrings
from rules.lints import lints
from rules.schema import Action, Part, Text, Turn

TARGET = "docs/rule-format.md"
_FRAME = Path(__file__).with_name("rule_format.frame.md")
_MARKER = re.compile(r"<!-- (fields|words|lints)(?: (\w+))? -->")
_IN_WORDS = {
    Action: "[action](#parts-and-actions)",
    Part: "[part](#parts-and-actions)",
    Text: "[text](#text)",
    Turn: "message",
    float: "number",
    int: "whole number",
    str: "string",
}


def render(_root: Path) -> str:
    """The page."""
    frame = _FRAME.read_text(encoding="utf-8")
    return _MARKER.sub(_filled, frame)


def _filled(marker: re.Match[str]) -> str:
    if marker[1] == "words":
        return _choices([each.value for each in getattr(rules.schema, marker[2])])
    return _fields(marker[2]) if marker[1] == "fields" else _lints()


def _fields(name: str) -> str:
    model: type[BaseModel] = getattr(rules.rule_file if hasattr(rules.rule_file, name) else rules.schema, name)
    said = field_docstrings(model)
    rows = [
        f"| `{field}` | {in_words(info.annotation)} | {_default(info)} | {_cell(said[field])} |"
        for field, info in model.model_fields.items()
    ]
    return "\n".join(["| key | is | if left out | |", "| --- | --- | --- | --- |", *rows])


def _lints() -> str:
    rows = [f"| `{each.code}` | {each.severity} | {_cell(each.about)} |" for each in lints()]
    return "\n".join(["| code | | |", "| --- | --- | --- |", *rows])


def in_words(annotation: Any) -> str:
    """A type as a person says it."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return in_words(arguments[0])
    if origin is typing.Literal:
        return _choices(arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(in_words(each) for each in arguments if each is not type(None)))
    if origin is tuple:
        one = in_words(arguments[0]) if arguments[0] is not Any else "[rule](#rule)"
        return f"list of {one}s" if one.isalpha() else f"list of {one}"
    if origin is Mapping:
        return f"map from {in_words(arguments[0])} to {in_words(arguments[1])}"
    if annotation in _IN_WORDS:
        return _IN_WORDS[annotation]
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return _choices([each.value for each in annotation])
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", annotation.__name__).lower()
        return f"[{name}](#{name.replace(' ', '-')})"
    return str(annotation)


def _choices(values: Any) -> str:
    return ", ".join(f"`{value}`" for value in values)


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "**must be there**"
    value = info.default
    if isinstance(value, tuple) and value:
        return _choices(value)
    if isinstance(value, str | float):
        return f"`{value}`"
    if isinstance(value, BaseModel) and value.model_fields_set:
        return "as below"
    return "as below" if isinstance(value, BaseModel) and value.model_dump(exclude_none=True) else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
