"""What pydantic says of a value -> what a person reads, at its place in the file, with a hint what to do."""

from __future__ import annotations

import re
import typing
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from rules.docstrings import field_docstrings
from rules.errors import Location, RuleError
from rules.hints import EXAMPLE_HINT, ROLES, key_hint, tag_hint
from rules.keys import KEYS
from rules.places import Node
from rules.rule_file import Extended
from rules.schema import Example, Rule
from rules.slips import slip_in_key, slip_in_text
from rules.values import EXTENDED_HINT, NAMING, name_of, one_line, shown, wrong_value
from rules.words import did_you_mean, listed, nearest, quoted

MAX_FAULTS = 200
"""Faults named of one rule: nobody reads more, and each looks for what was probably meant."""


def read_faults(error: ValidationError, node: Node, model: type[BaseModel], of: str) -> list[RuleError]:
    """Turn everything that pydantic found into errors with places.

    Args:
        error: what validation of `node.data` raised.
        node: the map that was validated.
        model: the model it was validated by.
        of: what to call the map, as "rule `some-id`".
    """
    details_of_all = error.errors(include_url=False)
    found = _causes(details_of_all[:MAX_FAULTS])
    errors: list[RuleError] = []
    for details in found:
        errors.extend(_explain(details, node, model, of))
    if not errors:  # nothing may be refused without a word
        errors = [RuleError(node.where, f"{of}: {one_line(str(error))}", "see docs/rule-format.md")]
    if len(details_of_all) > MAX_FAULTS:
        more = f"and {len(details_of_all) - MAX_FAULTS} more faults in {of}"
        errors.append(RuleError(node.where, more, "mend the first ones, and check again"))
    unique = {(each.where, each.fault): each for each in errors}
    return list(unique.values())


def left_empty(node: Node, of: str, told: Container[Location | None] = ()) -> list[RuleError]:
    """Keys of a map, at any depth, after which nothing was written: YAML takes that for `null`, which turns things off.

    Args:
        node: the map.
        of: what to call it, as "rule `some-id`".
        told: places that have a fault already.
    """
    found: list[RuleError] = []
    waiting = list(node.fields.items())
    while waiting:
        key, inside = waiting.pop()
        if inside.hollow and inside.data is None and key in KEYS and inside.where not in told:
            hint = f"write it out, or delete the key; for none at all, write `{key}: null`"
            if inside.cut:
                hint = f"what follows {quoted(inside.cut)} is a comment: put the text in single quotes"
            found.append(RuleError(inside.where, f"{of}: {quoted(key)} is empty", hint))
        waiting += [(each, value) for each, value in inside.fields.items() if value.hollow]
        waiting += [(key, item) for item in inside.items if item.hollow and item.data is not None]
    return found


def resolve(node: Node, path: Sequence[str | int]) -> Node:
    """The deepest value that stands on the way that `path` takes; short forms of an example are seen through."""
    for at, key in enumerate(path):
        if key == "messages" and "messages" not in node.fields:
            inner = node.fields.get("prompt")
            if inner is not None and len(path) > at + 1:
                index = path[at + 1]
                turns = len(inner.items) if inner.items else 1
                if isinstance(index, int) and index >= turns:
                    return node.fields.get("response", node)
                return resolve(inner, path[at + 1 :]) if inner.items else inner
        step = node.step(key)
        if step is not None:
            node = step
    return node


def model_at(model: type[BaseModel], path: Iterable[str | int]) -> type[BaseModel]:
    """The innermost model on the way that `path` takes through the fields."""
    for key in path:
        inside = model.model_fields.get(key) if isinstance(key, str) else None
        if inside is not None:
            model = next(parts_of(inside.annotation), model)
    return model


def parts_of(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that stand in an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in typing.get_args(annotation):
        yield from parts_of(part)


def _causes(found: list[Any]) -> list[Any]:
    """Leave out the echoes: what is only wrong because of another fault that is named too."""
    unknown: dict[tuple[Any, ...], list[str]] = {}
    for details in found:
        if details["type"] == "extra_forbidden":
            unknown.setdefault(details["loc"][:-1], []).append(details["loc"][-1])
        elif details["loc"][-1:] == ("[key]",):  # a key that was taken for a language: it is indented too deep
            unknown.setdefault(details["loc"][:-3], []).append(details["loc"][-2])
    kept = []
    misplaced = {loc for loc in (_key_path(details) for details in found) if loc}
    slips = [loc for loc in (_key_path(details) for details in found) if loc and slip_in_key(str(loc[-1]))]
    for details in found:
        loc, kind = details["loc"], details["type"]
        if not _key_path(details) and any(loc[: len(slip)] == slip for slip in slips):
            continue  # the key took in its value
        if not _key_path(details) and loc in misplaced:
            continue  # what stands under a key that is at fault itself
        if kind == "missing" and any(nearest(key, [loc[-1]]) for key in unknown.get(loc[:-1], ())):
            continue  # it is there, misspelled
        if kind == "missing" and loc[-1] in ("messages", "pack") and unknown.get(loc[:-1]):
            continue
        if kind == "missing" and loc[-1] in ("role", "content") and {*ROLES} & {*unknown.get(loc[:-1], ())}:
            continue  # the role was written as a key
        if kind == "too_short" and any(len(other["loc"]) > len(loc) and _under(other, loc) for other in found):
            continue  # pydantic counts only the items that were right
        kept.append(details)
    return kept


def _key_path(details: Any) -> tuple[Any, ...]:
    """The way to a key that is at fault itself; empty where a value is."""
    loc: tuple[Any, ...] = details["loc"]
    if loc[-1:] == ("[key]",):
        return loc[:-1]
    return loc if details["type"] == "extra_forbidden" else ()


def _under(other: Any, loc: tuple[Any, ...]) -> bool:
    return bool(other["loc"][: len(loc)] == loc)


def _explain(details: Any, node: Node, model: type[BaseModel], of: str) -> Iterable[RuleError]:
    loc, kind, value = details["loc"], details["type"], details["input"]
    is_key = bool(loc) and loc[-1] == "[key]"
    path = loc[:-1] if is_key else loc
    inner = model_at(model, path[:-1] if kind in ("extra_forbidden", "missing") else path)
    owner = resolve(node, path[:-1])
    target = resolve(node, path)
    where = owner.keys.get(path[-1], target.where) if is_key or kind == "extra_forbidden" else target.where
    slip = slip_in_key(str(path[-1])) if is_key or kind == "extra_forbidden" else None
    if slip:
        yield RuleError(where, f"unknown key {quoted(path[-1])} in {of}", slip)
        return
    if kind == "refused":
        for keys, what, hint in details["ctx"]["faults"]:
            spot = resolve(target, keys)
            hint = tag_hint(str(path[-1]), owner, hint) if is_key else hint
            yield RuleError(where if is_key else spot.where, f"{of}: {one_line(what)}", hint)
        return
    name = name_of(path)
    if kind == "extra_forbidden":
        yield RuleError(where, f"unknown key {quoted(path[-1])} in {of}", key_hint(path[-1], inner, owner))
    elif kind == "missing":
        yield _missing(path[-1], inner, owner, of)
    elif name == "threshold":
        yield RuleError(where, f"{of}: `threshold` cannot be {shown(value)}", "write `auto`, or a number from 0 to 1")
    elif _wrong_branch(loc, node):
        return
    elif kind in ("enum", "literal_error"):
        known = re.findall(r"'([^']+)'", details["ctx"]["expected"])
        if name == "watches" or path[-2:-1] == ("on",):
            name = "part" if is_key or name == "watches" else "action"
        what = f"{of}: {f'the {name}' if name in _CHOSEN else f'`{name}`'} cannot be {shown(value)}"
        if name in _CHOSEN and isinstance(value, str):
            what = f"unknown {name} {shown(value)} in {of}"
        otherwise = slip_in_text(str(value)) or f"choose one of {listed(known)}"
        yield RuleError(where, what, did_you_mean(str(value), known, otherwise))
    else:
        required = _required(model_at(model, path[:-1]), path[-1:])
        what, hint = wrong_value(details, path, inner, required)
        yield RuleError(where, what if name in NAMING and what.startswith("the ") else f"{of}: {what}", hint)


def _missing(key: str, inner: type[BaseModel], owner: Node, of: str) -> RuleError:
    if inner is Example:
        return RuleError(owner.where, f"an example says nothing in {of}", EXAMPLE_HINT)
    if inner is Extended:
        return RuleError(owner.where, "an item of `extends` names no pack", EXTENDED_HINT)
    said = field_docstrings(inner).get(key, "")
    what = f"{of} has no `{key}`" if inner is Rule or of.startswith("the file") else f"`{key}` is missing in {of}"
    return RuleError(owner.where, what, f"add `{key}:`, {said[:1].lower() + said[1:]}".rstrip(". "))


def _wrong_branch(loc: tuple[Any, ...], node: Node) -> bool:
    """Whether this is what the other half of `prompt: text or messages` has to say."""
    if "prompt" not in loc[:-1]:
        return False
    at = loc.index("prompt")
    is_list = isinstance(resolve(node, loc[: at + 1]).data, list)
    return is_list is bool(loc[at + 1] == "str")


_CHOSEN = ("severity", "part", "action", "role", "mode")
"""Keys whose name is the word for what is chosen."""


def _required(model: type[BaseModel], key: tuple[Any, ...]) -> str:
    """What a key without which the model cannot do has to say; empty for any other."""
    info = model.model_fields.get(key[0]) if key and isinstance(key[0], str) else None
    if info is None or not info.is_required():
        return ""
    said = field_docstrings(model).get(str(key[0]), "")
    return said[:1].lower() + said[1:].rstrip(". ")
