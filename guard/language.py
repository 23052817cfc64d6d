"""Which language a text is written in: by its script first, which is sure, then by letter statistics, which are not."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from rules.errors import WardlawError

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

_SCRIPTS = {
    "ja": re.compile(r"[\u3040-\u30ff]"),
    "ko": re.compile(r"[\uac00-\ud7af\u1100-\u11ff]"),
    "zh": re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]"),
    "ar": re.compile(r"[\u0600-\u06ff]"),
    "he": re.compile(r"[\u0590-\u05ff]"),
    "hi": re.compile(r"[\u0900-\u097f]"),
    "th": re.compile(r"[\u0e00-\u0e7f]"),
    "el": re.compile(r"[\u0370-\u03ff]"),
    "ru": re.compile(r"[\u0400-\u04ff]"),
}
_LATIN = re.compile(r"[A-Za-z\u00c0-\u024f]")
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
_SURE_LETTERS = 60
_SURE = 0.95
_LOOKED_AT = 200
"""Characters the statistics look at: more make them no surer, and they were a sixth of the loop's own work."""


@cache
def _identifier() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    try:
        return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    except OSError as error:  # it unpacks them into a temporary file
        what = f"the language statistics cannot be unpacked: {error.strerror or error}"
        raise WardlawError(what, "make room for temporary files, or set TMPDIR to another folder") from error


def script_of(text: str) -> str | None:
    """The script most of the letters are of, named by a language that uses it; `latin`; None without letters.

    A Han character weighs three Latin letters, about the length of the word it stands for.
    """
    text = _CODE.sub(" ", text) if "`" in text else text
    if text.isascii():
        return "latin" if _LATIN.search(text) else None
    counts = {name: len(pattern.findall(text)) for name, pattern in _SCRIPTS.items()}
    for name in ("zh", "ja", "ko"):
        counts[name] *= 3
    if counts["ja"] and counts["ja"] * 5 > counts["zh"]:  # Japanese is written with Han characters as well
        counts["ja"] += counts["zh"]
        counts["zh"] = 0
    counts["latin"] = len(_LATIN.findall(text))
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] else None


def language_of(text: str) -> str:
    """Language tag of a text; `en` where it is in Latin script and too short to tell.

    Source of the statistics: py3langid, after Lui & Baldwin 2012, langid.py.
    """
    script = script_of(text)
    if script is None:
        return "en"
    return (_latin_language(text) or "en") if script == "latin" else script


def language_among(text: str, known: Collection[str]) -> str:
    """Language tag of a text, told as far as it has to be told from these.

    The letter statistics, which take half a second to load, are asked only where two of them are in Latin script.
    """
    script = script_of(text)
    if script == "latin":
        return language_of(text) if needs_statistics(known) else "en"
    return script or "en"


def needs_statistics(known: Collection[str]) -> bool:
    """Whether scripts alone cannot tell these languages from each other, and from English."""
    return not {tag.partition("-")[0] for tag in known} <= {*_SCRIPTS, "en", "und"}


def same_language(left: str, right: str) -> bool:
    """Whether two texts are in one language, as far as one can be sure; true where one cannot."""
    scripts = script_of(left), script_of(right)
    if None in scripts:
        return True
    if scripts[0] != scripts[1]:
        return False
    if scripts[0] != "latin":
        return True
    wanted = _latin_language(left)
    if wanted is None:
        return True
    return _latin_language(right) in (wanted, None)


def load_statistics() -> None:
    """Load the letter statistics (half a second) now, so that the first long text does not wait for them."""
    _identifier()


@lru_cache(maxsize=512)  # a row's prompt is looked at again with each text that is held against it
def _latin_language(text: str) -> str | None:
    text = _CODE.sub(" ", text) if "`" in text else text
    if len(_LATIN.findall(text)) < _SURE_LETTERS:
        return None  # a handful of words is no base for statistics
    language, confidence = _identifier().classify(text[:_LOOKED_AT])
    return str(language) if confidence >= _SURE else None
