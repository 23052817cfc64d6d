"""What is wrong with a value, in the words of a person, and what to write in its place."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from pydantic import BaseModel

from rules.contract import MOST, Contract
from rules.hints import EXAMPLE_HINT, list_hint, map_hint
from rules.keys import KEYS
from rules.languages import LANGUAGES
from rules.rule_file import Extended
from rules.schema import Example, Text
from rules.slips import slip_in_text
from rules.words import quoted

EXTENDED_HINT = "name a pack or a file, as `base`, or take some of its rules, as `{pack: base, only: [defamation]}`"
_HAZARD_HINT = "write `system:code`, as `llama-guard-3:S9`"
_TEXT_HINT = "write one string, or `{en: ..., zh: ...}`"

NAMING = {"id": ("the id", "weapon-building-help"), "constitution": ("the name of the file's set,", "household")}
"""Keys whose value is a name, what that is called, and one to go by."""

_WANTED: tuple[tuple[tuple[str, ...], str, str | Callable[[str, object], str]], ...] = (
    (
        ("string_type", "string_unicode"),
        "text",
        "quote text that begins with `[` or `{`, and `true`, `null`",
    ),
    (("list_type", "tuple_type"), "a list", list_hint),
    (("model_type", "dict_type", "mapping_type", "model_attributes_type"), "a map of keys", map_hint),
)


def wrong_value(details: Any, path: tuple[Any, ...], inner: type[BaseModel], required: str) -> tuple[str, str]:
    """What is wrong with a value, and the hint, by kind of fault; `required` says what a value has to say."""
    kind, value, name = details["type"], details["input"], name_of(path)
    empty = value is None or (isinstance(value, str) and not value.strip())
    if path[:1] in (("examples",), ("tests",)) and len(path) > 2:
        if empty or kind == "too_short":
            return "an empty example", "write the text, or delete the line"
        if inner is Example and kind == "model_type":
            return f"an example cannot be {shown(value)}", EXAMPLE_HINT
    if inner is Contract and name in Contract.model_fields and kind != "missing":
        return f"`{name}` cannot be {shown(value)}", _contract_hint(name, value)
    if empty or kind == "too_short":
        if required:
            return f"`{name}` is empty", f"it must be there: {required}"
        if isinstance(path[-1], int):
            return f"an item of `{name}` is empty", "write it out, or delete the item"
        tag = path[-1] if path and path[-1] in LANGUAGES and path[-1] not in KEYS else None
        return f"`{name}` is empty", f"write it out, or delete {f'`{tag}:`' if tag else 'the key'}"
    if name in NAMING and kind.startswith("string_") and isinstance(value, str):
        return _wrong_id(name, value)
    if kind == "string_pattern_mismatch":
        return f"{quoted(value)} is no hazard code", _HAZARD_HINT
    for kinds, wanted, usual in _WANTED:
        if kind in kinds:
            item = "an item of " if path and isinstance(path[-1], int) else ""
            slip = slip_in_text(value) if isinstance(value, str) else None
            if slip:
                return f"{item}`{name}` must be {wanted}, not {shown(value)}", slip
            of_text = inner is Text and wanted != "a list"
            advice = _TEXT_HINT if of_text else usual(name, value) if callable(usual) else usual
            if inner is Extended and kind == "model_type":
                wanted, advice = "a pack", EXTENDED_HINT
            if name == "hazards" and isinstance(value, dict):
                advice = "write it without a space, as `llama-guard-3:S9`"
            wanted = "text, or a map from language to text" if of_text else wanted
            return f"{item}`{name}` must be {wanted}, not {shown(value)}", advice
    return f"`{name}` cannot be {shown(value)}: {one_line(details['msg']).lower()}", "see docs/rule-format.md"


def _wrong_id(key: str, value: str) -> tuple[str, str]:
    called, usual = NAMING[key]
    slug = re.sub(r"[^a-z0-9]+", "-", value.lower()).strip("-")
    what = f"{called} {quoted(value)}{',' if called.endswith(',') else ''}"
    if slug == value.strip() != value:
        return f"{what} has a space before or after it", f"write {quoted(slug, 90)}"
    if slug == value:
        hint = f"write 2 to 80 characters, as `{usual}`"
        return f"{what} is too {'short' if len(value) < 2 else 'long'}", hint
    hint = f"write {quoted(slug, 90)}" if 2 <= len(slug) <= 80 else f"write one in Latin letters, as `{usual}`"
    return f"{what} is not lower case words joined by hyphens", hint


def _contract_hint(name: str, value: Any) -> str:
    if name in ("breaks", "keeps"):
        return f"write a whole number from 0 to {MOST}"
    found = re.fullmatch(r"\s*(\d{1,3})(?:\.0*)?\s*%?\s*", value) if isinstance(value, str) else None
    per_cent = int(found[1]) if found else 0
    if 1 < per_cent <= 100:
        return f"write a share of 1: for {per_cent}%, write `{per_cent / 100:g}`"
    return "write a number from 0 to 1, as `0.9`"


def name_of(path: Sequence[str | int]) -> str:
    """The last key of a path that a person wrote: no index, no branch of a union, no language tag."""
    names = [key for key in path if isinstance(key, str) and (key in KEYS)]
    return names[-1] if names else "rules"


def shown(value: Any) -> str:
    """A value as a message names it."""
    if isinstance(value, dict):
        return "a map"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return "empty" if value is None else quoted(value)


def one_line(text: str) -> str:
    """A message that holds the user's own words, on one line and without what a terminal would obey."""
    text = " ".join(text.split())
    text = text if len(text) <= 300 else text[:297] + "..."
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
