"""The folded view: what hides or dresses up Latin letters is taken off, where that is what it does.

Words of another script are left alone unless they mix with Latin letters, or stand in a text that is Latin but for
them, or turn into English once folded: `сор` in a Russian text is Russian.
"""

from __future__ import annotations

import re
import unicodedata
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
    foreign: re.Pattern[str]
    foreign_word: re.Pattern[str]
    symbol: re.Pattern[str]
    regional: re.Pattern[str]


@lru_cache(maxsize=1)
def _folder() -> _Folder:
    drawn = tables()
    foreign = chars(drawn.foreign)
    regional = "[\U0001f1e6-\U0001f1ff]"
    return _Folder(
        drawn,
        re.compile(
            f"(?P<gone>[{ZERO_WIDTH}{CONTROLS}]++)|(?P<marked>[^\\W\\d_]?[{MARKS}][{MARKS}{ZERO_WIDTH}]*+)"
            f"|(?P<longer>[{chars(drawn.longer)}])|(?P<jamo>[\u1100-\u115e\u1161-\u11ff\uff66-\uff9f]++)"
            "|(?P<colour>\x1b\\[[0-9;]{0,16}[A-Za-z])|(?P<gone2>\x1b)"
        ),
        re.compile(f"[{foreign}]"),
        re.compile(f"[A-Za-z0-9_@$]*+[{foreign}][{foreign}\\w]*+"),
        re.compile(f"(?<=[A-Za-z])[{chars(c for c in drawn.symbols if c not in (0xD7,))}](?=[A-Za-z])"),
        re.compile(f"{regional}(?: ?{regional}){{2,}}+"),
    )


def reasons_to_fold() -> str:
    """An expression, for RE2, of what a text must hold for folding to be worth a look."""
    drawn = tables()
    zero = ZERO_WIDTH.replace("\ufe00-\ufe0f", "").replace("\u200b-\u200f", "\u200b\u200c\u200e\u200f")
    regional = "[\U0001f1e6-\U0001f1ff]"
    return (
        f"[{drawn.reasons}{chars(drawn.foreign)}{MARKS}{zero}\\x00-\\x08\\x0e-\\x1f\\x7f-\\x{{9f}}]"
        f"|{regional} ?{regional} ?{regional}|[A-Za-z0-9]+[\u200d\ufe00-\ufe0f]|[\u200d\ufe0f][A-Za-z0-9]"
        f"|[A-Za-z][\u200d\ufe0f]?[{chars(drawn.symbols)}][\u200d\ufe0f]?[A-Za-z]|[{chars(drawn.han)}]{{3}}|[\u1100-\u11ff]"
    )


def fold(text: str) -> tuple[str, Map | None] | None:
    """The folded text and its map (None where every character kept its place), or None where nothing changes."""
    folder = _folder()
    rewrite = Rewrite(text)
    longer = folder.tables.longer
    for match in folder.step.finditer(text):
        start, end = match.span()
        if match.lastgroup == "longer":
            rewrite.put(start, end, longer[ord(match[0])])
        elif match.lastgroup == "marked":
            _put_marked(rewrite, match[0], start, end)
        elif match.lastgroup == "jamo":
            composed = unicodedata.normalize("NFKC", match[0])
            if composed != match[0]:
                rewrite.put(start, end, composed)
        else:
            rewrite.put(start, end, "")
    done = rewrite.finish()
    plain, made = done or (text, None)
    plain = plain.translate(folder.tables.always)
    plain = folder.regional.sub(lambda match: match[0].translate(folder.tables.regional), plain)
    plain = _fold_foreign(plain, folder)
    plain = _fold_han(plain, folder.tables.han)
    plain = folder.symbol.sub(lambda match: match[0].translate(folder.tables.symbols), plain)
    return None if plain == text else (plain, made)


def _put_marked(rewrite: Rewrite, marked: str, start: int, end: int) -> None:
    base = marked[0] if marked[0].isalpha() else ""
    if base and not base.isascii():
        # A letter such as й written in two characters is one letter, and not its base.
        composed = unicodedata.normalize("NFC", marked[:2])
        base = composed if len(composed) == 1 else base
    if base == marked[0]:
        rewrite.put(start + 1, end, "")
    else:
        rewrite.put(start, end, base)


def _fold_foreign(text: str, folder: _Folder) -> str:
    if not folder.foreign.search(text):
        return text
    table = folder.tables.foreign
    own = loose = strict = 0
    for match in folder.foreign_word.finditer(text):
        word = match[0]
        if not _has_latin(word):
            if all(letter in _LOOKALIKE for letter in word):
                strict += len(word)
            elif all(ord(letter) in table for letter in word):
                loose += len(word)
            else:
                own += len(word)
    latin = len(text.encode("ascii", "ignore").translate(None, _NOT_LETTERS))
    all_strict = strict > 0 and latin + strict > own + loose
    all_loose = latin > 3 * (own + loose) or (
        own + loose > 0 and count_english(text.translate(table), 2) >= 2 > count_english(text, 2)
    )

    def choose(match: re.Match[str]) -> str:
        word = match[0]
        if _has_latin(word) or all_loose or (all_strict and all(letter in _LOOKALIKE for letter in word)):
            return word.translate(table)
        return word

    return folder.foreign_word.sub(choose, text)


_NOT_LETTERS = bytes(code for code in range(256) if not chr(code).isalpha() or code > 127)


def _has_latin(word: str) -> bool:
    return bool(_LATIN_LETTER.search(word))


_LATIN_LETTER = re.compile("[A-Za-z]")
_HAN_CHAR = re.compile(f"[{_HAN}]")


def _fold_han(text: str, table: dict[int, str]) -> str:
    first = _HAN_CHAR.search(text)
    if not first or ord(first[0]) not in table:
        return text
    found = _HAN_CHAR.findall(text)
    if len(found) < 3 or any(ord(char) not in table for char in found):
        return text
    return text.translate(table)
