"""Slips of the keyboard that YAML misreads: a colon or comma of a Chinese keyboard, an invisible space, a missing one.

YAML takes most of them for text and finds fault lines later, with something else. Each is told by a key that a rule
file can have: `note：this` in a sentence is no slip.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from rules.keys import KEYS
from rules.languages import LANGUAGES
from rules.words import quoted

Slip = tuple[int, str, str]
"""Column from 0, what is wrong, and what to do."""

INVISIBLE = "\u00a0\u1680\u2000-\u200f\u202f\u205f\u2060\u3000\ufeff"
_LONGEST = 2000
"""Characters of a line that are looked at: a line of a million brackets must not be looked up in all keys."""
_NAMES = {"\u00a0": "no-break space ", "\u3000": "full-width space "}
TYPOGRAPHIC = "“”„‟‘’‚‛«»‹›「」『』＂＇"  # the very characters that are mistaken
_DASHES = "–—−－‐‑•·●*"  # the very characters that are mistaken


def find_slip(line: str) -> Slip | None:
    """The first slip in a line that YAML could not read on from."""
    return next(_slips(line[:_LONGEST]), None)


def find_cut(line: str) -> tuple[int, str] | None:
    """Column and first word of a comment that looks like a part of the unquoted text before it."""
    found = re.search(r"[^\s#:\[{,'\"-][ \t]+(#[^\s#=-]\S*)", line)
    quotes = re.search(r"(^|[\s\[{,])['\"]", line[: found.start(1)]) if found else None
    return (found.start(1), found[1]) if found and not quotes else None


def slip_in_key(key: str) -> str | None:
    """What to do about a key that took in what belongs after it, or an invisible character; None for any other."""
    patterns = _patterns()
    if key.strip(TYPOGRAPHIC) in KEYS and key[:1] in TYPOGRAPHIC:
        return f"write `{key.strip(TYPOGRAPHIC)}` without the quotes"
    found = re.search(f"^[{INVISIBLE}]|[{INVISIBLE}]$", key)
    if found:
        return f"it holds the {_named(found[0])}: use plain spaces, or none"
    found = patterns["whole"].fullmatch(key)
    return f"write {quoted(f'{found[1]}: {found[2]}')}, a colon and a space" if found else None


def begins_like(written: str, is_block: bool) -> tuple[str, ...]:
    """What lines of a text begin with that people write for a key or an item: keys, `-` for a bullet, `0` where the
    text is a number or a date and nothing else.

    Args:
        written: an unquoted text as it stands in the file.
        is_block: whether it stands under `>` or `|`, where bullets are usual.
    """
    if not is_block and _NUMBER.fullmatch(written):
        return ("0",)
    if "\n" not in written and ":" not in written and "：" not in written:
        return ()
    found = []
    for line in _BEGINNING.finditer(written):
        if line["key"] and (line["key"] in KEYS or line["key"] in LANGUAGES):
            found.append(line["key"])
        elif line["bullet"] and not is_block and line.start():
            found.append("-")
    return tuple(found)


_NUMBER = re.compile(r"\d[\d.,:/+-]*")
_BEGINNING = re.compile(rf"(?:\A|\n)[ \t]*(?:(?P<key>[a-z][\w-]{{1,20}})(?:：|:(?!//))|(?P<bullet>[-{_DASHES}])[ \t])")


def slip_in_text(text: str) -> str | None:
    """What to do about a text where a list or a map was asked for; None where it shows no slip."""
    if re.match(rf"-\S|[{_DASHES}]|\d+[.)] ", text):
        return "begin each item with `- `, a hyphen and a space"
    found = re.match(r"([a-z_]+)\s*([:：])(?!/)", text)
    if found and found[1] in KEYS:
        return f"write `{found[1]}: `, a colon and a space"
    if re.search("[，、]", text):
        return "write `, ` between the items, in place of a full-width comma"
    return None


def _slips(line: str) -> Iterator[Slip]:
    space_after = "write `{key}: `, a colon and a space"
    item = "write `- `, a hyphen and a space"
    for name, what, hint in (
        ("indent", "the {named} is no indent", "indent with plain spaces"),
        ("colon", "`：` is text to YAML, and no colon", space_after),
        ("tight", "`{key}:` lacks its space", space_after),
        ("comma", "`，` is text to YAML, and no comma", "write `, `, a comma and a space"),
        ("dash", "`-` lacks its space", item),
        ("number", "`{at}` begins no item of a list", item),
        ("bullet", "`{at}` begins no item of a list", item),
    ):
        found = _patterns()[name].search(line)
        if found:
            words = {**found.groupdict(), "named": _named(found["at"][:1])}
            yield found.start("at"), f"not YAML: {what.format_map(words)}", hint.format_map(words)


@lru_cache
def _patterns() -> dict[str, re.Pattern[str]]:
    key = f"(?P<key>{'|'.join(sorted(KEYS | LANGUAGES, key=len, reverse=True))})"
    begin = rf"(?:^\s*(?:-\s+)?|[{{,，]\s*){key}"
    sources = {
        "indent": rf"^[ \t]*(?P<at>[{INVISIBLE}])\s*(?:- |{key}\s*[:：])",
        "colon": rf"{begin}\s*(?P<at>：)",
        "tight": rf"{begin}:(?P<at>[^ \t\r\n/])",
        "comma": rf"(?P<at>，)\s*(?:{key}\s*[:：]|[\[{{])",
        "dash": r"^\s*-(?P<at>[^ \t\r\n-])",
        "number": r"^\s*(?P<at>\d{1,3}[.)])\s",
        "bullet": rf"^\s*(?P<at>[{_DASHES}])(?=[\s{INVISIBLE}]|(?<!\*)\S)",
        "whole": rf"{key}\s*[:：]\s*(.+)",
    }
    return {name: re.compile(source) for name, source in sources.items()}


def _named(char: str) -> str:
    return f"{_NAMES.get(char, 'invisible character ')}U+{ord(char):04X}"
