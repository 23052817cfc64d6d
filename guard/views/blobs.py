"""Stretches that are text in another alphabet: base64, base32, hexadecimal, number lists, binary, Morse.

A stretch counts as encoded only where what comes out reads as text; a checksum, a number or a long word does not.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable

from guard.views.escapes import Decoded
from guard.views.maps import Rewrite

_BASE64 = re.compile(r"[A-Za-z0-9+/_\-]{6,}+(?:[ \t]*+\r?\n[ \t]*+[A-Za-z0-9+/_\-]{4,}+)*+={0,2}")
_BASE64_PIECE = re.compile(r"[A-Za-z0-9+/_\-]{6,}+={0,2}")
_BASE64_INNER = re.compile(r"[A-Za-z0-9+]{6,}+={0,2}")
_COMPOUND = re.compile(r"[\n/_-]")
_BASE32 = re.compile(r"(?<![A-Za-z0-9])[A-Z2-7]{16,}+={0,6}(?![A-Za-z0-9])")
_HEX = re.compile(
    r"(?<![0-9A-Za-z])(?:0[xX])?(?:[0-9A-Fa-f]{2}){4,}+(?![0-9A-Za-z])"
    r"|(?<![0-9A-Za-z])(?:0[xX])?[0-9A-Fa-f]{2}(?:[ ,:;\-]{1,2}(?:0[xX])?[0-9A-Fa-f]{2}(?![0-9A-Za-z])){2,}+"
)
_HEX_PAIR = re.compile(r"(?:0[xX])?([0-9A-Fa-f]{2})")
_NUMBERS = re.compile(r"(?<![\w.])[0-9]{2,3}(?:[ ,;]{1,2}[0-9]{2,3}(?!\w)){2,}+")
_NUMBER = re.compile(r"[0-9]++")
_BINARY = re.compile(r"(?<![0-9])[01]{8}(?:[ ,]?[01]{8}){1,}+")
_OCTET = re.compile(r"[01]{8}")
_MORSE = re.compile(r"(?<![^\s(\"'`:])[.\-·−]{1,5}(?:(?: ?[/|] ?| {1,3})[.\-·−]{1,5}(?=[\s/|)\"'`]|$)){2,}+")
_MORSE_SIGN = re.compile(r"[.\-·−]++|[/|]| {2,}")

_MORSE_LETTERS = dict(
    zip(
        ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- -..- -.-- --.. "
        "----- .---- ..--- ...-- ....- ..... -.... --... ---.. ----.".split(),
        "abcdefghijklmnopqrstuvwxyz0123456789",
        strict=True,
    )
)

_READABLE = re.compile(r"[\w\s.,;:!?'\"()\-%&#/<>=@\u2010-\u2027\u3001-\u301f\uff01-\uff0f\uff1a-\uff20]")


def reads(text: str, strict: bool) -> bool:
    """Whether decoded text looks like text: nearly all letters and ordinary signs (`strict`: letters and spaces)."""
    if len(text) < 3:
        return False
    sample = text if len(text) <= 512 else text[:256] + text[-256:]
    if strict:
        return sample.isprintable() and sum(char.isalpha() or char == " " for char in sample) >= 0.85 * len(sample)
    if not all(char.isprintable() or char in "\n\r\t" for char in sample):
        return False
    return len(_READABLE.findall(sample)) >= 0.9 * len(sample) and any(char.isalnum() for char in sample)


def read_base64(text: str) -> Decoded:
    """Standard and URL-safe, with or without padding, whole or broken over lines."""
    rewrite = Rewrite(text)
    for match in _BASE64.finditer(text):
        _put_base64(rewrite, match[0], match.start(), (_BASE64_PIECE, _BASE64_INNER))
    return rewrite.finish()


def _put_base64(rewrite: Rewrite, token: str, start: int, finer: tuple[re.Pattern[str], ...]) -> None:
    """Put what a token says; where it says nothing as a whole, try its lines, then its pieces between slashes."""
    at = [place for place, char in enumerate(token) if char not in " \t\r\n="] if _broken(token) else None
    letters = token.rstrip("=") if at is None else "".join(token[place] for place in at)
    plain = _decode64(letters, padded=token.endswith("="))
    if plain is None:
        for match in finer[0].finditer(token) if finer and _COMPOUND.search(token) else ():
            _put_base64(rewrite, match[0], start + match.start(), finer[1:])
        return
    ascii_only = len(plain) == len(letters) * 6 // 8
    if at is None and ascii_only:
        rewrite.put(start, start + len(token), plain, (4, 3))
        return
    byte = 0
    for char in plain:
        first = byte * 8 // 6
        byte += len(char.encode())
        last = min(-(-byte * 8 // 6), len(letters)) - 1
        low, high = (first, last) if at is None else (at[first], at[last])
        rewrite.skip(start + low)
        rewrite.put(start + low, start + high + 1, char)
    rewrite.skip(start + len(token))


def _broken(token: str) -> bool:
    return "\n" in token


def _decode64(letters: str, padded: bool) -> str | None:
    if letters[1:].islower() or letters.isdigit() or not letters.strip("0123456789ABCDEF"):
        return None
    letters = letters[: len(letters) - (len(letters) % 4 == 1)].translate({45: 43, 95: 47})
    try:
        head = base64.b64decode(letters[:24] + "=" * (-len(letters[:24]) % 4))
        if any(byte < 9 for byte in head):
            return None
        plain = base64.b64decode(letters + "=" * (-len(letters) % 4)).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return plain if reads(plain, strict=len(letters) < 10 and not padded) else None


def read_base32(text: str) -> Decoded:
    """RFC 4648 base32 of at least ten characters of text."""
    rewrite = Rewrite(text)
    for match in _BASE32.finditer(text):
        letters = match[0].rstrip("=")
        letters = letters[: len(letters) - {1: 1, 3: 1, 6: 1}.get(len(letters) % 8, 0)]
        try:
            plain = base64.b32decode(letters + "=" * (-len(letters) % 8)).decode("ascii")
        except (binascii.Error, UnicodeDecodeError):
            continue
        if reads(plain, strict=False):
            rewrite.put(*match.span(), plain, (8, 5))
    return rewrite.finish()


def read_hex(text: str) -> Decoded:
    """`626f6d62`, `0x626f6d62`, `62 6f 6d 62`, `0x62, 0x6f`."""
    return _read_units(
        text, _HEX, _HEX_PAIR, lambda unit: int(unit[-2:], 16), skip=re.compile("^0[xX](?=[0-9A-Fa-f]{4})")
    )


def read_numbers(text: str) -> Decoded:
    """Lists of decimal character codes: `98 111 109 98`."""
    return _read_units(text, _NUMBERS, _NUMBER, int)


def read_binary(text: str) -> Decoded:
    """Octets of noughts and ones, run together or apart."""
    return _read_units(text, _BINARY, _OCTET, lambda unit: int(unit, 2))


def _read_units(
    text: str,
    run: re.Pattern[str],
    unit: re.Pattern[str],
    value: Callable[[str], int],
    skip: re.Pattern[str] | None = None,
) -> Decoded:
    rewrite = Rewrite(text)
    for match in run.finditer(text):
        start, end = match.span()
        prefix = skip.match(match[0]) if skip else None
        begin = start + (prefix.end() if prefix else 0)
        units = [(found.start(), found.end()) for found in unit.finditer(text, begin, end)]
        values = [value(text[low:high]) for low, high in units]
        if max(values) > 255:
            continue
        try:
            plain = bytes(values).decode("utf-8")
        except UnicodeDecodeError:
            continue
        if not reads(plain, strict=len(plain) < 8):
            continue
        place = 0
        for char in plain:
            size = len(char.encode())
            low = units[place][0] if place else start
            if place:
                rewrite.skip(low)
            rewrite.put(low, units[place + size - 1][1], char)
            place += size
        rewrite.skip(end)
    return rewrite.finish()


def read_morse(text: str) -> Decoded:
    """International Morse, letters apart by spaces, words by slashes or wider gaps."""
    rewrite = Rewrite(text)
    for match in _MORSE.finditer(text):
        signs = [
            (sign.start(), sign.end(), sign[0].replace("·", ".").replace("−", "-"))
            for sign in _MORSE_SIGN.finditer(text, *match.span())
        ]
        plain = [" " if sign[0] in "/| " else _MORSE_LETTERS.get(sign, "") for _, _, sign in signs]
        if all(plain) and "-" in match[0] and len(set(plain)) > 1:
            rewrite.copy(match.start())
            for (start, end, _), char in zip(signs, plain, strict=True):
                rewrite.skip(start)
                rewrite.put(start, end, char)
    return rewrite.finish()
