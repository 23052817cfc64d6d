"""The folded view: what hides or dresses up Latin letters is taken off, where that is what it does.

Words of another script are left alone unless they mix with Latin letters, or stand in a text that is Latin but for
them, or turn into English once folded: `сор` in a Russian text is Russian.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from guard.views.maps import Map, Rewrite
from guard.views.tables import CONTROLS, MARKS, ZERO_WIDTH, Tables, chars, tables
from guard.views.words import count_english

_LOOKALIKE = frozenset("асеорхуіѕјһԁԛԝѵӏАВСЕНІЈКМОРЅТХУԌԚԜοονιρυϲϳΑΒΕΖΗΙΚΜΝΟΡΤΥΧ")
"""Letters that in most fonts cannot be told from the Latin ones."""

_HAN = "\u2e80-\u2fdf\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"


class _Folder(NamedTuple):
    tables: Tables
    step: re.Pattern[str]
    """What changes the length: marks, invisible characters, ligatures, jamo, terminal colours."""
    regional: re.Pattern[str]


@lru_cache(maxsize=1)
def _folder() -> _Folder:
    drawn = tables()
    regional = "[\U0001f1e6-\U0001f1ff]"
    return _Folder(
        drawn,
        re.compile(
            f"(?P<marked>[{MARKS}][{MARKS}{ZERO_WIDTH}]*+)|(?P<gone>[{ZERO_WIDTH}{CONTROLS}]++)"
            f"|(?P<longer>[{chars(drawn.longer)}])|(?P<jamo>[\u1100-\u115e\u1161-\u11ff\uff66-\uff9f]++)"
            "|(?P<colour>\x1b(?:\\[[0-9;]{0,16}[A-Za-z])?)"
        ),
        re.compile(f"{regional}(?: ?{regional}){{2,}}+"),
    )


def reasons_to_fold() -> tuple[tuple[str, str], ...]:
    """Names of the ways of folding, and an expression, for RE2, of what a text must hold to be worth a look."""
    drawn = tables()
    # Keycaps, emoji selectors and joiners, flags spelt with tags: a reason only beside a letter or digit.
    emoji = "\u200d\ufe00-\ufe0f\u20e3\U000e0000-\U000e0fff"
    zero = ZERO_WIDTH.replace("\ufe00-\ufe0f", "").replace("\u200b-\u200f", "\u200b\u200c\u200e\u200f")
    zero = zero.replace("\U000e0000-\U000e0fff", "")
    marks = MARKS.replace("\u20d0-\u20ff", "\u20d0-\u20e2\u20e4-\u20ff")
    regional = "[\U0001f1e6-\U0001f1ff]"
    return (
        (
            "fold-step",
            f"[{drawn.reasons_longer}{marks}{zero}\u1100-\u11ff\\x{{80}}-\\x{{9f}}]|[A-Za-z\\p{{Han}}\\p{{Cyrillic}}][{emoji}]|[{emoji}][A-Za-z]",
        ),
        ("fold-always", f"[{drawn.reasons}]"),
        ("fold-regional", f"{regional} ?{regional} ?{regional}"),
        ("fold-foreign", f"[{chars(drawn.foreign)}]"),
        ("fold-han", f"[{chars(drawn.han)}]{{3}}"),
        ("fold-symbols", f"[A-Za-z][{chars(drawn.symbols)}][A-Za-z]"),
    )


def fold(text: str, reasons: frozenset[str]) -> tuple[str, Map | None] | None:
    """The folded text and its map (None where every character kept its place), or None where nothing changes.

    Args:
        text: any text.
        reasons: which of `reasons_to_fold` it gives.
    """
    folder = _folder()
    plain, made = text, None
    if "fold-step" in reasons:
        done = _fold_lengths(text, folder)
        if done:
            # What stood apart for the invisible characters between may now be one word.
            plain, made = done
            reasons = find_ways(plain)
    for way, run in _WAYS:
        if way in reasons:
            plain = run(plain, folder)
    return None if plain == text else (plain, made)


def find_ways(text: str) -> frozenset[str]:
    """The ways of folding that keep the length and could change a text; `fold-always` with any other."""
    from guard.views.triggers import find_reasons

    return find_reasons(text) | {"fold-always"}


def _fold_lengths(text: str, folder: _Folder) -> tuple[str, Map] | None:
    rewrite = Rewrite(text)
    longer = folder.tables.longer
    for match in folder.step.finditer(text):
        start, end = match.span()
        if match.lastgroup == "longer":
            rewrite.put(start, end, longer[ord(match[0])])
        elif match.lastgroup == "marked":
            _put_marked(rewrite, text, start, end)
        elif match.lastgroup == "jamo":
            composed = unicodedata.normalize("NFKC", match[0])
            if composed != match[0]:
                rewrite.put(start, end, composed)
        else:
            rewrite.put(start, end, "")
    return rewrite.finish()


def _fold_regional(text: str, folder: _Folder) -> str:
    return folder.regional.sub(lambda match: match[0].translate(folder.tables.regional), text)


def _fold_symbols(text: str, folder: _Folder) -> str:
    return _BETWEEN.sub(lambda match: folder.tables.symbols.get(ord(match[0]), match[0]), text)


def _put_marked(rewrite: Rewrite, text: str, start: int, end: int) -> None:
    base = text[start - 1] if start else ""
    # A letter such as й written in two characters is one letter, and not its base.
    composed = unicodedata.normalize("NFC", text[start - 1 : start + 1]) if base and not base.isascii() else ""
    if len(composed) == 1 and not unicodedata.name(composed, "").startswith("LATIN"):
        rewrite.put(start - 1, end, composed)
    else:
        rewrite.put(start, end, "")


def _fold_foreign(text: str, folder: _Folder) -> str:
    table = folder.tables.foreign
    words = [word for word in set(_WORD.findall(text)) if not word.isascii()]
    alone = [word for word in words if not _LATIN_LETTER.search(word)]
    strict = [word for word in alone if _LOOKALIKE.issuperset(word)]
    mixed = len(words) - len(alone)
    latin = len(text.encode("ascii", "ignore").translate(None, _NOT_LETTERS))
    foreign = sum(map(len, alone)) - sum(map(len, strict))
    # Two scripts within one word are no one's spelling; where most words are so, the others are disguised too.
    spoilt = mixed > 1 and mixed >= len(alone)
    if latin >= 2 * foreign or spoilt or count_english(text.translate(table)) >= 2 > count_english(text):
        folded = set(words)
    elif latin + sum(map(len, strict)) > foreign:
        folded = {*words} - {*alone} | {*strict}
    else:
        folded = {*words} - {*alone}
    if not folded:
        return text
    return _WORD.sub(lambda match: match[0].translate(table) if match[0] in folded else match[0], text)


_NOT_LETTERS = bytes(code for code in range(256) if not chr(code).isalpha() or code > 127)


_WORD = re.compile(r"[\w@$]++")
_BETWEEN = re.compile(r"[^\x00-\x7f](?<=[A-Za-z].)(?=[A-Za-z])")
_LATIN_LETTER = re.compile("[A-Za-z]")
_HAN_CHAR = re.compile(f"[{_HAN}]")


def _fold_han(text: str, folder: _Folder) -> str:
    table = folder.tables.han
    first = _HAN_CHAR.search(text)
    if not first or ord(first[0]) not in table:
        return text
    found = _HAN_CHAR.findall(text)
    if len(found) < 3 or any(ord(char) not in table for char in found):
        return text
    return text.translate(table)


def _fold_always(text: str, folder: _Folder) -> str:
    return text.translate(folder.tables.always)


_WAYS: tuple[tuple[str, Callable[[str, _Folder], str]], ...] = (
    ("fold-always", _fold_always),
    ("fold-regional", _fold_regional),
    ("fold-foreign", _fold_foreign),
    ("fold-han", _fold_han),
    ("fold-symbols", _fold_symbols),
)
