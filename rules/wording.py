"""Which words of a text changed, for a person who edits rules."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

from rules.text import Text
from rules.words import quoted

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|\w+(?:['’-]\w+)*|\S")
_LONGEST = 1500
"""Words up to which two texts are held against each other: that takes time by the product of their lengths."""
_SHOWN = 3
_PLAIN = "und"


def quote(text: object, limit: int = 60) -> str:
    """`text` in backticks on one line, shortened. It holds no backtick itself, so that what is quoted can be told from
    the words round it."""
    return quoted(str(text).replace("`", "'"), limit)


def text_changes(field: str, old: Text | None, new: Text | None) -> Iterator[tuple[str, str, str]]:
    """What changed in a text of one or more languages: in words, the old text, the new one.

    Args:
        field: its name, as `rule`.
        old: the text before.
        new: the text now.
    """
    before, after = {} if old is None else dict(old.root), {} if new is None else dict(new.root)
    for tag in sorted({*before, *after}):
        name = f"`{field}`" if tag == _PLAIN else f"`{field}` ({tag})"
        was, now = before.get(tag, ""), after.get(tag, "")
        if was == now:
            continue
        if not was:
            yield f"{name} added: {quote(now, 120)}", was, now
        elif not now:
            yield f"{name} removed: {quote(was, 120)}", was, now
        else:
            yield f"wording of {name}: {words_changed(was, now)}", was, now


def words_changed(old: str, new: str) -> str:
    """The words that changed, as `now "give" -> "offer"`, in one line."""
    pairs = list(_pairs(old, new))
    if not pairs:
        return "spacing alone"
    told = [_told(was, now) for was, now in pairs[:_SHOWN]]
    more = len(pairs) - _SHOWN
    return ", ".join(told) + (f", and {more} more {'place' if more == 1 else 'places'}" if more > 0 else "")


def _told(was: str, now: str) -> str:
    if not was:
        return f"{quote(now)} put in"
    return f"{quote(was)} taken out" if not now else f"{quote(was)} -> {quote(now)}"


def _pairs(old: str, new: str) -> Iterator[tuple[str, str]]:
    """Stretches that differ: the words before and the words now, each as they stand in their text."""
    was, now = list(_WORD.finditer(old)), list(_WORD.finditer(new))
    if max(len(was), len(now)) > _LONGEST:
        yield old, new
        return
    matcher = difflib.SequenceMatcher(None, [w[0] for w in was], [w[0] for w in now], autojunk=False)
    for kind, start, end, to_start, to_end in matcher.get_opcodes():
        if kind != "equal":
            yield _stretch(old, was[start:end]), _stretch(new, now[to_start:to_end])


def _stretch(text: str, words: list[re.Match[str]]) -> str:
    return text[words[0].start() : words[-1].end()] if words else ""
