"""A YAML file into a closed model that is no rule: every fault at its place, with a hint, all at once."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from rules.docstrings import field_docstrings
from rules.errors import Location, RuleError, RuleErrors
from rules.files import Source, read
from rules.places import Node, compose
from rules.words import did_you_mean, quoted

Model = TypeVar("Model", bound=BaseModel)

_WANTED: Mapping[str, str] = {
    "tuple_type": "should be a list",
    "dict_type": "should be a map",
    "mapping_type": "should be a map",
    "model_type": "should be a map of keys",
    "model_attributes_type": "should be a map of keys",
    "path_type": "should be a path",
    "string_type": "should be text",
    "int_type": "should be a whole number",
    "int_parsing": "should be a whole number",
    "int_from_float": "should be a whole number",
    "float_type": "should be a number",
    "float_parsing": "should be a number",
    "bool_type": "should be `true` or `false`",
    "bool_parsing": "should be `true` or `false`",
}
"""Kind of a fault, as pydantic names it -> what may stand there."""


@dataclass(frozen=True, slots=True)
class Placed(Generic[Model]):
    """A model, and where each part of it was written."""

    model: Model
    node: Node

    def locate(self, *keys: str | int) -> Location:
        """Where the value that `keys` lead to is written; the deepest place that is there."""
        return _step(self.node, keys).where


def read_closed(path: Path, model: type[Model], called: str, context: Mapping[str, Any] | None = None) -> Placed[Model]:
    """Read a file as a model.

    Args:
        path: the file.
        model: closed; a docstring under each field becomes the hint of its faults.
        called: what the file is, as `the cycle`.
        context: for the model's validators.

    Raises:
        RuleErrors: everything that is wrong, each fault with its place.
    """
    faults: list[RuleError] = []
    text = read(Source(path.resolve(), str(path), path.resolve().parent), faults) if path.exists() else None
    if text is None:
        raise RuleErrors(faults or [RuleError(None, f"no file {quoted(path, 200)}", "name a YAML file")])
    node, faults = compose(text, str(path))
    if node is None:
        raise RuleErrors(faults)
    if not isinstance(node.data, dict):
        raise RuleErrors(
            [RuleError(node.where, f"{called} is a map of keys", f"as `{next(iter(model.model_fields))}:`")]
        )
    faults += _left_empty(node)
    try:
        found = model.model_validate(node.data, context=dict(context or {}))
    except ValidationError as error:
        told = {fault.where for fault in faults}
        for details in _causes(error.errors(include_url=False)):
            faults += [fault for fault in _explained(details, node, model, called) if fault.where not in told]
    else:
        if not faults:
            return Placed(found, node)
    unique = {(fault.where, fault.fault): fault for fault in faults}
    raise RuleErrors(sorted(unique.values(), key=lambda fault: fault.where or Location("")))


def _causes(found: Sequence[Any]) -> list[Any]:
    """Without echoes: where items of a list are wrong pydantic counts those that are right, and finds it too short."""

    def has_wrong_items(loc: Sequence[str | int]) -> bool:
        return any(len(each["loc"]) > len(loc) and each["loc"][: len(loc)] == loc for each in found)

    return [details for details in found if details["type"] != "too_short" or not has_wrong_items(details["loc"])]


def _left_empty(node: Node) -> list[RuleError]:
    """Keys after which nothing was written: YAML takes that for `null`, which turns things off."""
    found = []
    waiting = list(node.fields.items())
    while waiting:
        key, inside = waiting.pop()
        if inside.hollow and inside.data is None:
            hint = f"write it out, or delete the key; for none at all, write `{key}: null`"
            found.append(RuleError(inside.where, f"{quoted(key)} is empty", hint))
        waiting += inside.fields.items()
    return found


def _explained(details: Any, node: Node, model: type[BaseModel], called: str) -> Iterator[RuleError]:
    kind = details["type"]
    loc = [key for key in details["loc"] if key != "[key]"]
    if kind == "value_error":  # by a validator that says all that there is to say
        said = details["msg"].removeprefix("Value error, ")
        name = ".".join(key for key in loc if isinstance(key, str))
        yield RuleError(_step(node, loc).where, f"`{name or called}` {said}", _hint(model, loc))
        return
    if kind == "refused":  # by a validator of ours: see `rules.base.refusal`
        for keys, what, hint in details["ctx"]["faults"]:
            yield RuleError(_step(node, [*loc, *keys]).where, what, hint)
        return
    name = ".".join(key for key in loc if isinstance(key, str))
    owner = _step(node, loc[:-1])
    inner = _model_at(model, loc[:-1])
    if kind == "extra_forbidden":
        inside = f" in {quoted('.'.join(map(str, loc[:-1])))}" if len(loc) > 1 else ""
        where = owner.keys.get(str(loc[-1]), owner.where)
        yield RuleError(where, f"unknown key {quoted(loc[-1])}{inside}", did_you_mean(str(loc[-1]), inner.model_fields))
        return
    hint = _hint(model, loc)
    if kind == "missing":
        yield RuleError(owner.where, f"{called} has no `{name}`", f"add `{loc[-1]}:`, {hint}".rstrip(", "))
        return
    what = _WANTED.get(kind) or details["msg"].removeprefix("Input ").replace("'", "`")
    at = _step(node, loc)
    yield RuleError(at.where, f"`{name or called}` {what[:1].lower()}{what[1:]}, not {_shown(at.data)}", hint)


def _hint(model: type[BaseModel], loc: Sequence[str | int]) -> str:
    """What the innermost key is for."""
    names = [key for key in loc if isinstance(key, str)]
    said = field_docstrings(_model_at(model, names[:-1])).get(names[-1], "") if names else ""
    return said[:1].lower() + said[1:].rstrip(".")


def _step(node: Node, keys: Sequence[str | int]) -> Node:
    """The deepest value on the way that `keys` take."""
    for key in keys:
        node = node.step(key) or node
    return node


def _model_at(model: type[BaseModel], loc: Sequence[str | int]) -> type[BaseModel]:
    for key in loc:
        info = model.model_fields.get(str(key))
        if info is not None:
            model = next(_models_in(info.annotation), model)
    return model


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in typing.get_args(annotation):
        yield from _models_in(part)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return (
        "nothing"
        if value is None
        else "a map"
        if isinstance(value, dict)
        else "a list"
        if isinstance(value, list)
        else quoted(value)
    )
