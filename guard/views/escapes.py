"""Escaped characters in running text: percent signs, HTML entities, backslash escapes, quoted-printable."""

from __future__ import annotations

import html
import re

from guard.views.maps import Map, Rewrite

Decoded = tuple[str, Map] | None

_PERCENT = re.compile(r"(?:%[0-9A-Fa-f]{2})++")
_PLUS = re.compile(r"(?<=[A-Za-z0-9])\+(?=[A-Za-z0-9])")
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}+|#[xX][0-9A-Fa-f]{1,6}+|[A-Za-z][A-Za-z0-9]{1,31}+);?")
_QUOTED = re.compile(r"(?:=[0-9A-F]{2}){2,}+")
_BACKSLASH = re.compile(
    r"(?:\\x[0-9A-Fa-f]{2})++|(?:\\[0-3][0-7]{2})++"
    r"|\\u\{(?P<braced>[0-9A-Fa-f]{1,6})\}|\\U(?P<eight>[0-9A-Fa-f]{8})|[\\%]u(?P<four>[0-9A-Fa-f]{4})"
    r"|\bU\+(?P<plus>[0-9A-Fa-f]{4,6})(?: (?=U\+))?"
)


def read_percent(text: str) -> Decoded:
    """`%62omb`, and `+` for a space in a text that holds percent escapes."""
    rewrite = Rewrite(text)
    for match in _PERCENT.finditer(text):
        put_bytes(rewrite, bytes.fromhex(match[0].replace("%", "")), match.start(), 3)
    done = rewrite.finish()
    if done is None:
        return None
    return _PLUS.sub(" ", done[0]), done[1]


def read_quoted_printable(text: str) -> Decoded:
    """`=62=6F=6D=62`."""
    rewrite = Rewrite(text)
    for match in _QUOTED.finditer(text):
        put_bytes(rewrite, bytes.fromhex(match[0].replace("=", "")), match.start(), 3)
    return rewrite.finish()


def read_entities(text: str) -> Decoded:
    """`&#98;`, `&#x62;`, `&amp;`."""
    rewrite = Rewrite(text)
    for match in _ENTITY.finditer(text):
        plain = html.unescape(match[0])
        if plain != match[0]:
            rewrite.put(*match.span(), plain)
    return rewrite.finish()


def read_backslashes(text: str) -> Decoded:
    """`\\x62`, `\\142`, `\\u0062`, `\\u{62}`, `\\U00000062`, `%u0062`, `U+0062`."""
    rewrite = Rewrite(text)
    for match in _BACKSLASH.finditer(text):
        start, end = match.span()
        code = match[match.lastgroup] if match.lastgroup else None
        if code is not None:
            if int(code, 16) <= 0x10FFFF:
                rewrite.put(start, end, chr(int(code, 16)))  # a surrogate pair stays two: it hides no letter
        elif match[0][1] == "x":
            put_bytes(rewrite, bytes.fromhex(match[0].replace("\\x", "")), start, 4)
        else:
            put_bytes(rewrite, bytes(int(octal, 8) for octal in match[0].split("\\")[1:]), start, 4)
    return rewrite.finish()


_JSON = re.compile(
    r"(?P<pair>\\u[dD][89abAB][0-9A-Fa-f]{2}\\u[dD][c-fC-F][0-9A-Fa-f]{2})"
    r'|\\u(?P<four>[0-9A-Fa-f]{4})|\\(?P<sign>["\\/bfnrt])'
)
_SIGNS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def read_json(text: str) -> Decoded:
    """The strings of JSON as they will be read: `\\u0062`, `\\"`, `\\n`."""
    rewrite = Rewrite(text)
    for match in _JSON.finditer(text):
        if match["pair"]:
            units = match["pair"][2:6] + match["pair"][8:12]
            char = bytes.fromhex(units).decode("utf-16-be")
        elif match["four"]:
            char = chr(int(match["four"], 16))
        else:
            char = _SIGNS.get(match["sign"], match["sign"])
        rewrite.put(*match.span(), char)
    return rewrite.finish()


def put_bytes(rewrite: Rewrite, data: bytes, start: int, width: int) -> None:
    """Put bytes of `width` source characters each as the UTF-8 that they are; what is not UTF-8 becomes Latin-1."""
    end = start + len(data) * width
    if data.isascii():
        rewrite.put(start, end, data.decode("ascii"), (width, 1))
        return
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        rewrite.put(start, end, data.decode("latin-1"), (width, 1))
        return
    at = start
    for char in text:
        size = len(char.encode()) * width
        rewrite.put(at, at + size, char)
        at += size
