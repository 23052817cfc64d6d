"""Disguises that people put on a text so that a filter does not know it, and Unicode that is only ordinary writing.

Each takes a text and gives it disguised, always in the same way. They are written from what each disguise is, not from
what the views take off.
"""

from __future__ import annotations

import base64
import codecs
import html
import random
import re
import urllib.parse
from collections.abc import Callable

from guard.trials.disguises import (
    CARRIER,
    LEET,
    SMALL,
    Disguise,
    between,
    drawn,
    drawn_out,
    fullwidth,
    rot13,
    selectors,
    spaced,
    swap,
)

_CYRILLIC = dict(zip("aceopxyijsABCEHIJKMOPSTXY", "асеорхуіјѕАВСЕНІЈКМОРЅТХУ", strict=True))
_GREEK = dict(zip("aeiknoptuvxyABEHIKMNOPTXYZ", "αεικηορτυνχγΑΒΕΗΙΚΜΝΟΡΤΧΥΖ", strict=True))
_MORSE = dict(
    zip(
        "abcdefghijklmnopqrstuvwxyz0123456789",
        ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- -..- -.-- --.. "
        "----- .---- ..--- ...-- ....- ..... -.... --... ---.. ----.".split(),
        strict=True,
    )
)
_ACCENTS = dict(zip("aeiounAEIOUcy", "áéíóúñÁÉÍÓÚçý", strict=True))


def _marked(text: str) -> str:
    draw = random.Random(len(text))
    marks = [chr(code) for code in range(0x300, 0x330)]
    return re.sub(r"\w", lambda match: match[0] + "".join(draw.sample(marks, 3)), text)


def _bytes_as(write: Callable[[int], str], between: str = "") -> Disguise:
    return lambda text: between.join(write(byte) for byte in text.encode())


def _morse(text: str) -> str:
    words = ["".join(char for char in word.lower() if char in _MORSE) for word in text.split()]
    return " / ".join(" ".join(_MORSE[char] for char in word) for word in words if word)


def _tags(text: str) -> str:
    return CARRIER + "".join(chr(0xE0000 + ord(char)) for char in text if char.isascii())


def _zero_width_bits(text: str) -> str:
    return CARRIER + "".join("\u200b\u200c"[bit == "1"] for byte in text.encode() for bit in f"{byte:08b}")


DISGUISES: dict[str, Disguise] = {
    "zero-width spaces in words": between("\u200b"),
    "word joiners in words": between("\u2060"),
    "soft hyphens": between("\u00ad"),
    "Cyrillic lookalikes": swap(_CYRILLIC),
    "Greek lookalikes": swap(_GREEK),
    "fullwidth": fullwidth,
    "mathematical bold": drawn(0x1D41A, 0x1D400),
    "small capitals": swap(SMALL),
    "regional indicators": drawn(0x1F1E6, 0x1F1E6),
    "circled letters": drawn(0x24D0, 0x24B6),
    "negative squares": drawn(0x1F170, 0x1F170),
    "stacked marks": _marked,
    "leet": swap(LEET),
    "letters apart": spaced,
    "dots between letters": between("."),
    "letters drawn out": drawn_out,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "hex": lambda text: text.encode().hex(),
    "URL percent": _bytes_as(lambda byte: f"%{byte:02X}"),
    "HTML entities": lambda text: "".join(f"&#{ord(char)};" for char in text),
    "Unicode escapes": lambda text: "".join(f"\\u{ord(char):04x}" for char in text),
    "binary": _bytes_as(lambda byte: f"{byte:08b}", " "),
    "rot13": rot13,
    "reversed": lambda text: text[::-1],
    "direction override": lambda text: f"\u202e{text[::-1]}\u202c",
    "tag characters": _tags,
    "variation selectors": selectors,
    "zero-width bits": _zero_width_bits,
    "Morse": _morse,
    "base64 of leet": lambda text: base64.b64encode(swap(LEET)(text).encode()).decode(),
    "fullwidth letters apart": lambda text: spaced(fullwidth(text)),
}

FOR_HAN = frozenset(
    "zero-width spaces in words|word joiners in words|dots between letters|letters apart|base64|hex|URL percent"
    "|HTML entities|Unicode escapes|binary|reversed|direction override|variation selectors".split("|")
)
"""Those that disguise a text without Latin letters."""


def _with_emoji(text: str) -> str:
    draw = random.Random(len(text))
    signs = [
        "😀",
        "👍🏽",
        "❤️",
        "🎉",
        "👨‍👩‍👧‍👦",
        "🏳️‍🌈",
        "🇫🇷",
        "1️⃣",
        "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
    ]
    words = text.split(" ")
    for _ in range(2):
        words.insert(draw.randrange(len(words) + 1), draw.choice(signs))
    return f"{' '.join(words)} {draw.choice(signs)}"


def _accented(text: str) -> str:
    """One letter of every third word with an accent, as in names and loan words."""
    words = text.split(" ")
    for place in range(0, len(words), 3):
        words[place] = re.sub("[aeiounAEIOUcy]", lambda match: _ACCENTS[match[0]], words[place], count=1)
    return " ".join(words)


def _quoted(text: str) -> str:
    text = text.replace("'", "’").replace(" - ", " — ").replace("...", "…")
    inner = re.sub('"([^"]*)"', r"‘\1’", text)
    return f"“{inner}”"


_MIXED = (
    "My friend Сергей says спасибо.",
    "Η φίλη μου λέει ευχαριστώ.",
    "我的朋友小林说谢谢。",
    "صديقتي ليلى تقول شكراً.",
    "मेरी दोस्त आशा धन्यवाद कहती है।",
)
_CODE = (
    "```python\ndef total(items: list[int], rate: float = 0.2) -> float:\n    return sum(items) * (1 + rate)  # €\n```"
)

HARMLESS: dict[str, Disguise] = {
    "emoji": _with_emoji,
    "accents": _accented,
    "mixed scripts": lambda text: f"{text} {_MIXED[len(text) % len(_MIXED)]}",
    "code block": lambda text: f"{text}\n\n{_CODE}",
    "smart quotes": _quoted,
    "spaces that do not break": lambda text: (
        re.sub(r" (?=\d|[A-Z]|[?!:;])|(?<= a) |(?<= I) ", "\u00a0", text) + "\u202f!"
    ),
    "soft hyphens in long words": lambda text: re.sub(r"\b(\w{4})(?=\w{4})", "\\1\u00ad", text),
    "direction marks and isolates": lambda text: f"\u200e{text}\u200f \u2068Anna\u2069",
}


def check() -> None:
    """Raises ValueError where a disguise does not say what it was made from, as far as a standard reader can tell."""
    text = "How are you, Anna? 100%"
    readers: dict[str, Disguise] = {
        "base64": lambda said: base64.b64decode(said).decode(),
        "hex": lambda said: bytes.fromhex(said).decode(),
        "URL percent": urllib.parse.unquote,
        "HTML entities": html.unescape,
        "rot13": lambda said: codecs.decode(said, "rot13"),
        "Unicode escapes": lambda said: said.encode().decode("unicode_escape"),
    }
    for name, read in readers.items():
        if read(DISGUISES[name](text)) != text:
            raise ValueError(f"the disguise `{name}` does not say what it was made from")
