"""Small helpers for what an error says: input in backticks, and the word that was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def quoted(value: object, limit: int = 60) -> str:
    """`value` in backticks on one line: shortened, with what a terminal would obey written out."""
    text = " ".join(str(value).split())
    if len(text) > limit:
        text = text[: limit - 3].rstrip() + "..."
    # a rule file may come from a stranger: an escape sequence in it must not reach the terminal
    return "`" + "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text) + "`"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` is probably a slip of, if there is one."""
    known = list(known)
    lowered = {name.casefold(): name for name in known}
    if word.casefold() in lowered:
        return lowered[word.casefold()]
    # difflib takes quadratic time; nobody's slip is longer than this
    found = difflib.get_close_matches(word[:100].casefold(), lowered, n=1, cutoff=0.7)
    return lowered[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """The hint after an unknown word: the nearest known one, else `otherwise`, else all known ones."""
    known = list(known)
    near = nearest(word, known)
    if near is not None:
        return f"did you mean `{near}`?"
    return otherwise or (f"known are {listed(known)}" if known else "none is known")


def listed(words: Iterable[object]) -> str:
    """Words in backticks, joined by commas."""
    return ", ".join(f"`{word}`" for word in words)
