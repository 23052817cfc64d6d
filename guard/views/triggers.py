"""What a text is searched for before any view is built: one pass of one automaton tells which views could say more.

A plain text pays for this pass and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from guard.views.words import mirrored, rotated

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_GAP = r"(?:[ \t\r\n]{1,4}|[ \t]?[.\-_*/\\|,+~:;'\"^=][ \t]?[.\-_*/\\|,+~:;'\"^=]?)"
_ZERO = (
    r"[\x{ad}\x{34f}\x{115f}\x{1160}\x{180e}\x{200b}-\x{200f}\x{2060}-\x{2064}\x{206a}-\x{206f}"
    r"\x{3164}\x{feff}\x{ffa0}]"
)
_OTHERS = r"\p{Cyrillic}\p{Greek}\p{Armenian}\p{Georgian}\p{Hebrew}\p{Arabic}\x{c0}-\x{24f}A-Za-z"
_HAN = r"[\x{3400}-\x{9fff}\x{f900}-\x{faff}\x{20000}-\x{3ffff}]"


def _runs(letter: str) -> tuple[str, str]:
    # Addresses begin with `www`.
    size = 4 if letter == "w" else 3
    return letter * size, letter.upper() * 3


def _mixed() -> str:
    # A word has a capital only in front and no digit; base64 of text has one within any six letters or so.
    letter = "[A-Za-z0-9+/_-]"
    ups = (f"{letter}{{{before}}}[a-z][A-Z0-9]{letter}{{{4 - before}}}" for before in range(5))
    downs = (f"{letter}{{{before}}}[A-Z0-9][a-z]{letter}{{{4 - before}}}" for before in range(1, 5))
    return "|".join((f"{letter}{{6}}=", *ups, *downs))


_PLAIN: tuple[tuple[str, str], ...] = (
    ("fold-step", r"[\x00-\x08\x0e-\x1f\x7f]"),
    (
        "apart",
        rf"(?:^|[^\w'])[A-Za-z@$!](?:{_GAP}[\w@$!]){{2}}(?:$|[^\w'])"
        r"|(?:^|[^\w.*|~\-@/])[A-Za-z]{1,3}(?:[.*_|~\-][A-Za-z]{1,3})+(?:$|[^A-Za-z0-9@/])",
    ),
    (
        "leet",
        r"[A-Za-z][0-9@$!|]{1,3}[A-Za-z]|(?:^|[^\w@$!])(?:[0-9][A-Za-z]{3}|[@$][A-Za-z]{2})"
        r"|[A-Za-z]{2}[013-8](?:$|\W)",
    ),
    (
        "long",
        f"{'|'.join(run for letter in _LETTERS for run in _runs(letter))}"
        f"|(?:^|\\W)(?:{'|'.join(letter * 2 + '+' for letter in _LETTERS + _LETTERS.upper())}){{3,}}(?:$|\\W)",
    ),
    ("url", "%[0-9A-Fa-f]{2}"),
    ("html", "&(?:#[0-9]|#[xX][0-9A-Fa-f]|[A-Za-z][A-Za-z0-9]+;)"),
    ("escapes", r"\\x[0-9A-Fa-f]{2}|\\[0-3][0-7]{2}|[\\%]u[0-9A-Fa-f{]|\\U[0-9A-Fa-f]|U\+[0-9A-Fa-f]{4}"),
    ("quoted", "(?:=[0-9A-F]{2}){2}"),
    ("base64", _mixed()),
    ("base32", "[A-Z2-7]{16}"),
    ("hex", r"[0-9A-Fa-f]{8}|[0-9A-Fa-f]{2}(?:[ ,:;\-]{1,2}(?:0[xX])?[0-9A-Fa-f]{2}){2}"),
    ("numbers", "[0-9]{2,3}(?:[ ,;]{1,2}[0-9]{2,3}){2}"),
    ("binary", "[01]{8}[ ,]?[01]{8}"),
    ("morse", r"[.\-]{1,5}(?:(?: ?[/|] ?| {1,3})[.\-]{1,5}){2}"),
    ("rot13", rf"(?i:\b(?:{'|'.join(rotated())})\b|\brot.?13\b|\bcaesar\b|\bcipher)"),
    (
        "reversed",
        rf"(?i:\b(?:{'|'.join(mirrored())})\b|\bbackwards?\b|\brevers|\bmirror)|(?:^|\s)={{1,2}}[A-Za-z0-9+/]{{6}}",
    ),
)


def _wide() -> tuple[tuple[str, str], ...]:
    from guard.views.folding import reasons_to_fold

    selectors = r"[\x{fe00}-\x{fe0f}\x{e0100}-\x{e01ef}]"
    return (
        *reasons_to_fold(),
        (
            "apart",
            rf"{_HAN}[ \x{{3000}}*.\-_|/·+~]{{1,2}}{_HAN}(?:$|[^\p{{Han}}])"
            rf"|(?:^|[^\pL'])[{_OTHERS}](?:{_GAP}[{_OTHERS}]){{2}}(?:$|[^\pL'])",
        ),
        # A text that begins with the mark with which one ends.
        ("reversed", rf"^[？！。，、；：?!.,]{_HAN}"),
        ("tags", r"[\x{e0000}-\x{e007f}]"),
        ("selectors", rf"{selectors}{selectors}|[A-Za-z]{selectors}"),
        ("bidi", r"[\x{202d}\x{202e}]"),
        ("zero", f"{_ZERO}{_ZERO}|[A-Za-z]{_ZERO}[A-Za-z]{_ZERO}"),
        ("morse", r"[.\-·−]{1,5}(?:(?: ?[/|] ?| {1,3})[.\-·−]{1,5}){2}"),
    )


_GROUPS = (
    frozenset("fold-step url html escapes quoted rot13 reversed".split()),
    frozenset("hex base32 binary numbers morse".split()),
    frozenset({"base64"}),
    frozenset({"long"}),
    frozenset({"apart", "leet"}),
)
"""Families that share an automaton; those of `_wide` have two of their own.

All in one, the automaton needs a state for each combination of what has matched so far: random text then cost 1 to 3
microseconds a byte; in groups it costs a hundredth.
"""

_Match = Callable[[bytes], list[int]]


@lru_cache(maxsize=2)
def _automata(plain: bool) -> tuple[Callable[[bytes], object], tuple[tuple[_Match, tuple[str, ...]], ...]]:
    """A search for any reason at all, and for each group the search that names them."""
    import re2

    options = re2.Options()
    options.max_mem = 64 << 20
    options.never_capture = True
    options.log_errors = False
    groups = [tuple(pair for pair in _PLAIN if pair[0] in group) for group in _GROUPS]
    if not plain:
        wide = _wide()
        groups += [tuple(pair for pair in wide if (pair[0] == "apart") is apart) for apart in (False, True)]
    named = []
    for group in groups:
        found = re2.Set.SearchSet(options)
        for _, pattern in group:
            found.Add(pattern)
        found.Compile()
        named.append((found.Match, tuple(name for name, _ in group)))
    anything = "|".join(f"(?:{pattern})" for group in groups for _, pattern in group)
    return re2.compile(anything, options).search, tuple(named)


def find_reasons(text: str) -> frozenset[str]:
    """Names of the families of views that could show something new in a text."""
    plain = text.isascii()
    search, named = _automata(plain)
    # A lone surrogate has no UTF-8 form: it becomes `?`, and no family looks for either.
    data = text.encode() if plain else text.encode("utf-8", "replace")
    if search(data) is None:
        return _NONE
    return frozenset(names[hit] for match, names in named for hit in match(data) or ())


_NONE: frozenset[str] = frozenset()
