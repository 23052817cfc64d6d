"""What to do about a key that is not known, by where it stands and what stands beside it."""

from __future__ import annotations

from pydantic import BaseModel

from rules.keys import EXAMPLE_SHORT_FORMS
from rules.languages import LANGUAGES
from rules.places import Node
from rules.rule_file import RULE_KEYS, Extended, RuleFile
from rules.schema import Detect, Example, ExampleSet, Meaning, Rule, Turn
from rules.words import listed, nearest, quoted

_HOMES: dict[str, tuple[type[BaseModel], str]] = {
    **dict.fromkeys(Detect.model_fields, (Detect, "detect")),
    **dict.fromkeys(ExampleSet.model_fields, (ExampleSet, "examples")),
    "threshold": (Meaning, "detect: meaning"),
    "literal": (Detect, "detect: patterns"),
    "regex": (Detect, "detect: patterns"),
}
"""Keys that people put a level too high, and where they belong."""

_MEANT: dict[type[BaseModel], dict[str, str]] = {
    Example: {
        **dict.fromkeys(("question", "user", "input", "request", "text", "query"), "prompt"),
        **dict.fromkeys(("answer", "assistant", "output", "completion", "reply"), "response"),
    },
    Extended: dict.fromkeys(("from", "file", "path", "name", "of"), "pack") | {"rules": "only", "ids": "only"},
    Turn: {**dict.fromkeys(("text", "message"), "content"), **dict.fromkeys(("from", "speaker"), "role")},
}
"""Words that other tools use for a key; no slip of the finger leads from one to the other."""

ROLES = ("system", "user", "assistant", "tool")
EXAMPLE_HINT = "an example is text, or `prompt` with or without `response`, or `messages`"


def key_hint(key: str, inner: type[BaseModel], owner: Node) -> str:
    """What to do about a key that `inner` does not know.

    Args:
        key: the key.
        inner: the model of the map that it stands in.
        owner: that map.
    """
    known = [*inner.model_fields, *(["disabled"] if inner is Rule else [])]
    if inner is RuleFile and key in RULE_KEYS and not isinstance(owner.data.get(key), list):
        return f"`{key}` is a key of a rule: put it under `rules:`, into an item that begins with `- id: NAME`"
    if inner is Example:
        known += EXAMPLE_SHORT_FORMS
        if key in known:
            return "an example has either `prompt`, with or without `response`, or `messages`"
        if key in _MEANT[Example]:
            return f"did you mean `{_MEANT[Example][key]}`?"
        if key.partition("-")[0] in LANGUAGES:
            return "an example has one language: write one line for each"
        if not any(name in owner.fields for name in known):
            whole = one_text(key, owner)
            if whole and (nearest(key, known) is None or not key.islower()):
                return whole
    near = _MEANT.get(inner, {}).get(key) or nearest(key, [name for name in known if name not in owner.fields] or known)
    home = _HOMES.get(key)
    if near is None and home is not None and home[0] is not inner:
        return f"`{key}` belongs under `{home[1]}:`"
    if inner is Turn and key in ROLES:
        return f"write `role: {key}`, and what is said under `content:`"
    if near is None and inner is Extended and isinstance(owner.data.get(key), list):
        return f"to take some of its rules, write `{{pack: {key}, only: [...]}}`"
    if inner is not Rule and key in RULE_KEYS and key not in known:
        return f"`{key}` is a key of a rule: it is indented too deep"
    return f"did you mean `{near}`?" if near else f"known are {listed(known)}"


def tag_hint(tag: str, owner: Node, otherwise: str) -> str:
    """What to do about a key that stands where a language tag was asked for."""
    if tag in RULE_KEYS:
        return f"`{tag}` is a key of a rule: it is indented too deep"
    if len(owner.fields) == 1 and (" " in tag or len(tag) > 3) and not tag.islower():
        return one_text(tag, owner) or otherwise
    return otherwise


def one_text(key: str, owner: Node) -> str | None:
    """The advice to quote a text that YAML took for a map by the colon in it."""
    value = owner.data.get(key)
    if not isinstance(value, str | None):
        return None
    text = (f"{key}:" if value is None else f"{key}: {value}").replace("'", "''")
    return f"is this one text? quote it: {quoted(chr(39) + text + chr(39), 100)}"


def list_hint(name: str, _: object) -> str:
    """What to do about a value that must be a list."""
    item = "rule with `- id: NAME`" if name == "rules" else "item with `- `"
    return f"begin each {item} on a line of its own under `{name}:`"


_UNDER = {
    "detect": "`patterns: [...]`; `detect: null` lets only the loop use the rule",
    "meaning": "`threshold: auto`; `meaning: null` turns it off",
    "judge": "`when: unsure`",
    "patterns": "`literal: pipe bomb`, or `regex: ...`",
    "examples": "`breaks: [...]` and `keeps: [...]`",
    "tests": "`breaks: [...]` and `keeps: [...]`",
    "on": "`prompt: revise`",
    "contract": "`recall: 0.9`",
    "defaults": "`mode: shadow`",
    "critique": "`quotes`, `problem` and `verdict`",
    "prompt": "`role: user` and `content: ...`",
    "messages": "`role: user` and `content: ...`",
    "demonstrations": "`prompt`, `answer`, `critique` and `revision`",
}


def map_hint(name: str, value: object) -> str:
    """What to do about a value that must be a map."""
    marks = "; write them without brackets or hyphens" if isinstance(value, list) and name in ("on", "contract") else ""
    return f"under `{name}:` go keys, as {_UNDER[name]}{marks}" if name in _UNDER else "write it as `key: value`"
