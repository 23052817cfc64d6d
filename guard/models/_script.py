"""A script file as plain data, and the line that each part of it stands on."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from guard.models.base import ModelConfigError
from rules.errors import Location

Loc = Sequence[int | str]
Places = dict[tuple[int | str, ...], tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, and what to do about it."""

    what: str
    hint: str


@dataclass(frozen=True, slots=True)
class Source:
    """A file that was read."""

    path: str
    data: Any
    """As `{"replies": [...], "default": ...}`, whichever way the file is written."""
    places: Places
    """Path into `data` -> line and column, from 1. Of a key, where the key stands."""

    def error(self, loc: Loc, fault: Fault) -> ModelConfigError:
        """The error to raise for a fault at `loc`, or at the nearest thing round it that has a place."""
        at = tuple(loc)
        while at and at not in self.places:
            at = at[:-1]
        line, column = self.places.get(at, (1, 1))
        return ModelConfigError(f"{Location(self.path, line, column)}: {fault.what}", fault.hint)

    def fault_of(self, loc: Loc, kind: str, message: str, keys: Sequence[str]) -> ModelConfigError:
        """The error for what pydantic found: its `loc`, `type` and `msg`; `keys` are those known at `loc`."""
        name = loc[-1] if loc else ""
        if kind == "extra_forbidden":
            near = difflib.get_close_matches(str(name), keys, n=1)
            known = ", ".join(f"`{key}`" for key in keys)
            fault = Fault(f"unknown key `{name}`", f"did you mean `{near[0]}`?" if near else f"the keys are {known}")
            return self.error(loc, fault)
        if kind == "model_type" and (tuple(loc) == ("default",) or (len(loc) == 2 and loc[0] == "replies")):
            example = "text: ..." if name == "default" else "- text: ..."
            if self.path.lower().endswith(("json", "jsonl")):
                example = '{"text": "..."}'
            return self.error(
                loc, Fault(f"a reply is a map, as `{example}`", "`match:` beside it says what it is a reply to")
            )
        what = message.removeprefix("Value error, ")
        what = re.sub("^Input should be( a valid)?", lambda found: "must be a" if found[1] else "must be", what)
        named = f"`{name}`: " if isinstance(name, str) and name else ""
        hint = "the head of guard/models/scripted.py shows every key"
        if kind == "string_type":
            hint = "put it in quotes: YAML reads a bare yes, no, on, off or number as something else than text"
        return self.error(loc, Fault(f"{named}{what[:1].lower()}{what[1:]}", hint))


def read_source(path: str, text: str) -> Source:
    """Read YAML, JSON, or JSON lines where the file's name ends in `.jsonl`.

    Raises:
        ModelConfigError: it cannot be parsed, a key is repeated, or it is neither a list nor a map.
    """
    if path.lower().endswith((".jsonl", ".ndjson")):
        return _lines(path, text)
    places: Places = {}
    try:
        if path.lower().endswith(".json"):
            data = json.loads(text)
            # For the places alone: YAML reads JSON but for the tabs that it may be indented with.
            text = text.replace("\t", " ")
        else:
            data = yaml.safe_load(text)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except json.JSONDecodeError as error:
        where = Location(path, error.lineno, error.colno)
        raise ModelConfigError(f"{where}: no JSON: {error.msg.lower()}", "mend it there") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = Location(path, mark.line + 1, mark.column + 1) if mark else Location(path)
        raise ModelConfigError(f"{where}: no YAML: {error.problem}", "mend it there") from None
    except yaml.YAMLError as error:
        raise ModelConfigError(f"{Location(path)}: no YAML: {' '.join(str(error).split())}", "mend it there") from None
    prefix: tuple[int | str, ...] = ()
    if isinstance(data, list):
        data, prefix = {"replies": data}, ("replies",)
    if node is not None:
        _place(node, prefix, places, path, set())
    if not isinstance(data, dict):
        raise ModelConfigError(
            f"{Location(path)}: a script is a list of replies, or a map with `replies` and `default`", "write one"
        )
    return Source(path, data, places)


def _lines(path: str, text: str) -> Source:
    replies: list[Any] = []
    places: Places = {}
    # Not splitlines: it also breaks at U+2028 and its like, which may stand inside a JSON string.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        places["replies", len(replies)] = (number, 1)
        try:
            replies.append(json.loads(line))
        except ValueError as error:
            raise ModelConfigError(f"{Location(path, number)}: no JSON: {error}", "write one reply a line") from None
    return Source(path, {"replies": replies}, places)


def _place(node: yaml.Node, at: tuple[int | str, ...], places: Places, path: str, seen: set[int]) -> None:
    places.setdefault(at, (node.start_mark.line + 1, node.start_mark.column + 1))
    # An alias is the node that it stands for, so one that holds itself would be walked for ever.
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            _place(item, (*at, number), places, path, seen)
    elif isinstance(node, yaml.MappingNode):
        keys = set()
        for key, item in node.value:
            line, column = key.start_mark.line + 1, key.start_mark.column + 1
            if key.value in keys:
                what = f"{Location(path, line, column)}: key `{key.value}` is given twice"
                raise ModelConfigError(what, "leave one of them")
            keys.add(key.value)
            places[*at, key.value] = (line, column)
            _place(item, (*at, key.value), places, path, seen)
