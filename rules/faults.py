"""What pydantic says of a value -> what a person reads, at its place in the file, with a hint what to do."""

from __future__ import annotations

import re
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from rules.docstrings import field_docstrings
from rules.errors import RuleError
from rules.places import Node
from rules.rule_file import RuleFile
from rules.schema import (
    Critique,
    Defaults,
    Demonstration,
    Detect,
    Example,
    ExampleSet,
    Judge,
    Meaning,
    Pattern,
    Rule,
    Text,
    Turn,
)
from rules.words import did_you_mean, listed, nearest, quoted

_SHORT_FORMS: dict[type[BaseModel], tuple[str, ...]] = {Example: ("prompt", "response")}
"""Keys that a model takes beyond its fields."""

_HOMES: dict[str, tuple[type[BaseModel], str]] = {
    **dict.fromkeys(Detect.model_fields, (Detect, "detect")),
    **dict.fromkeys(ExampleSet.model_fields, (ExampleSet, "examples")),
    "threshold": (Meaning, "detect: meaning"),
    "literal": (Detect, "detect: patterns"),
    "regex": (Detect, "detect: patterns"),
}
"""Keys that people put a level too high, and where they belong."""

MAX_FAULTS = 200
"""Faults named of one rule: nobody reads more, and each looks for what was probably meant."""

_HAZARD_HINT = "write `system:code`, as `llama-guard-3:S9`"
_KEYS = {
    name
    for model in (Rule, Detect, Pattern, Meaning, Judge, ExampleSet, Example, Turn, Demonstration, Critique, Defaults)
    for name in model.model_fields
}
_EXAMPLE_HINT = "an example is text, or `prompt` with or without `response`, or `messages`"
_TEXT_HINT = "write one string, or `{en: ..., zh: ...}`"


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
        errors = [RuleError(node.where, f"{of}: {_one_line(str(error))}", "see docs/rules.md")]
    if len(details_of_all) > MAX_FAULTS:
        more = f"and {len(details_of_all) - MAX_FAULTS} more faults in {of}"
        errors.append(RuleError(node.where, more, "mend the first ones, and check again"))
    unique = {(each.where, each.fault): each for each in errors}
    return list(unique.values())


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
    kept = []
    for details in found:
        loc, kind = details["loc"], details["type"]
        if kind == "missing" and any(nearest(key, [loc[-1]]) for key in unknown.get(loc[:-1], ())):
            continue  # it is there, misspelled
        if kind == "missing" and loc[-1] == "messages" and unknown.get(loc[:-1]):
            continue
        if kind == "too_short" and any(len(other["loc"]) > len(loc) and _under(other, loc) for other in found):
            continue  # pydantic counts only the items that were right
        kept.append(details)
    return kept


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
    if kind == "refused":
        for keys, what, hint in details["ctx"]["faults"]:
            spot = resolve(target, keys)
            yield RuleError(where if is_key else spot.where, f"{of}: {_one_line(what)}", hint)
        return
    name = _name(path)
    if kind == "extra_forbidden":
        yield RuleError(where, f"unknown key {quoted(path[-1])} in {of}", _key_hint(path[-1], inner, owner))
    elif kind == "missing":
        yield _missing(path[-1], inner, owner, of)
    elif name == "threshold":
        yield RuleError(
            where, f"`threshold` cannot be {_shown(value)} in {of}", "write `auto`, or a number from 0 to 1"
        )
    elif _wrong_branch(loc, node):
        return
    elif kind in ("enum", "literal_error"):
        known = re.findall(r"'([^']+)'", details["ctx"]["expected"])
        if name == "watches" or path[-2:-1] == ("on",):
            name = "part" if is_key or name == "watches" else "action"
        what = f"unknown {name} {_shown(value)} in {of}"
        yield RuleError(where, what, did_you_mean(str(value), known, f"choose one of {listed(known)}"))
    else:
        what, hint = _wrong_value(details, path, inner)
        yield RuleError(where, f"{what} in {of}", hint)


def _missing(key: str, inner: type[BaseModel], owner: Node, of: str) -> RuleError:
    if inner is Example:
        return RuleError(owner.where, f"an example says nothing in {of}", _EXAMPLE_HINT)
    said = field_docstrings(inner).get(key, "")
    what = f"{of} has no `{key}`" if inner is Rule or of.startswith("the file") else f"`{key}` is missing in {of}"
    return RuleError(owner.where, what, f"add `{key}:`, {said[:1].lower() + said[1:]}".rstrip(". "))


def _key_hint(key: str, inner: type[BaseModel], owner: Node) -> str:
    known = [*inner.model_fields, *_SHORT_FORMS.get(inner, ()), *(["disabled"] if inner is Rule else [])]
    if inner is Example and key in known:
        return "an example has either `prompt`, with or without `response`, or `messages`"
    near = nearest(key, [name for name in known if name not in owner.fields] or known)
    home = _HOMES.get(key)
    if near is None and home is not None and home[0] is not inner:
        return f"`{key}` belongs under `{home[1]}:`"
    return f"did you mean `{near}`?" if near else f"known are {listed(known)}"


def _wrong_branch(loc: tuple[Any, ...], node: Node) -> bool:
    """Whether this is what the other half of `prompt: text or messages` has to say."""
    if "prompt" not in loc[:-1]:
        return False
    at = loc.index("prompt")
    is_list = isinstance(resolve(node, loc[: at + 1]).data, list)
    return is_list is bool(loc[at + 1] == "str")


def _wrong_value(details: Any, path: tuple[Any, ...], inner: type[BaseModel]) -> tuple[str, str]:
    """What is wrong with a value, and the hint, by kind of fault."""
    kind, value, name = details["type"], details["input"], _name(path)
    empty = value is None or (isinstance(value, str) and not value.strip())
    if path[:1] in (("examples",), ("tests",)) and len(path) > 2:
        if empty or kind == "too_short":
            return "an empty example", "write the text, or delete the line"
        if inner is Example and kind == "model_type":
            return f"an example cannot be {_shown(value)}", _EXAMPLE_HINT
    if empty or kind == "too_short":
        return f"`{name}` is empty", "write it out, or delete the key"
    if name in ("id", "constitution") and kind.startswith("string_") and isinstance(value, str):
        slug = re.sub(r"[^a-z0-9]+", "-", value.lower()).strip("-")
        what = f"the {'id' if name == 'id' else 'name'} {quoted(value)}"
        if slug == value:
            return f"{what} is shorter than 2 or longer than 80 characters", "name the bad thing in a few words"
        hint = f"write {quoted(slug, 90)}" if 2 <= len(slug) <= 80 else "as `weapon-building-help`"
        return f"{what} is not lower case words joined by hyphens", hint
    if kind == "string_pattern_mismatch":
        return f"{quoted(value)} is no hazard code", _HAZARD_HINT
    for kinds, wanted, usual in _WANTED:
        if kind in kinds:
            advice = _TEXT_HINT if inner is Text else usual(name) if callable(usual) else usual
            wanted = "text, or a map from language to text" if inner is Text else wanted
            item = "an item of " if path and isinstance(path[-1], int) else ""
            return f"{item}`{name}` must be {wanted}, not {_shown(value)}", advice
    return f"`{name}` cannot be {_shown(value)}: {_one_line(details['msg']).lower()}", "see docs/rules.md"


def _list_hint(name: str) -> str:
    return f"begin each item with `- ` on a line of its own under `{name}:`"


def _map_hint(name: str) -> str:
    of = {
        "detect": "patterns: [...]",
        "examples": "breaks: [...], keeps: [...]",
        "tests": "breaks: [...], keeps: [...]",
    }
    of |= {"on": "prompt: revise, response: block", "critique": "quotes, problem and verdict"}
    return f"under `{name}:` go keys, as {of[name]}" if name in of else "write it as `key: value`"


_WANTED: tuple[tuple[tuple[str, ...], str, str | Callable[[str], str]], ...] = (
    (
        ("string_type", "string_unicode"),
        "text",
        "quote text that begins with `[` or `{`, and `true`, `null`",
    ),
    (("list_type", "tuple_type"), "a list", _list_hint),
    (("model_type", "dict_type", "mapping_type", "model_attributes_type"), "a map", _map_hint),
)


def _name(path: Sequence[str | int]) -> str:
    """The last key of a path that a person wrote: no index, no branch of a union, no language tag."""
    names = [key for key in path if isinstance(key, str) and (key in _KEYS or key in RuleFile.model_fields)]
    return names[-1] if names else "rules"


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a map"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return "empty" if value is None else quoted(value)


def _one_line(text: str) -> str:
    """A message that holds the user's own words, on one line and without what a terminal would obey."""
    text = " ".join(text.split())
    text = text if len(text) <= 300 else text[:297] + "..."
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
