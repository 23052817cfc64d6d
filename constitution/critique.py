"""The critique: what a critic is asked of an answer under one rule, and how its reply is read."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from constitution.cases import case
from constitution.templates import Templates, critique_json
from guard.exchange import Message
from rules.schema import Critique, Rule

_SENTENCE = re.compile(r"[^.!?。！？\n]+(?:[.!?。！？]+[\"'”’」』）)]*|(?=\n)|$)")
_MOST_SENTENCES = 40
_MOST_QUOTES = 4


def critique_messages(
    templates: Templates, rule: Rule, conversation: Sequence[Message], answer: str
) -> tuple[Message, ...]:
    """The messages that ask for a critique: system, few shots, then the case."""
    return case(templates, "critique", rule, conversation, answer, lambda shot: critique_json(shot.critique))


def critique_schema(answer: str) -> Mapping[str, Any]:
    """The JSON Schema of a critique of `answer`: it can quote nothing but the answer's own sentences.

    Only backends that constrain their output obey it; what the others say is checked when it is read.
    """
    sentences = list(dict.fromkeys(found.group().strip() for found in _SENTENCE.finditer(answer)))
    sentences = [sentence for sentence in sentences if 2 < len(sentence) <= 400][:_MOST_SENTENCES]
    quote: dict[str, Any] = {"type": "string", "enum": sentences} if sentences else {"type": "string"}
    some = {"type": "array", "items": quote, "minItems": 1, "maxItems": _MOST_QUOTES}
    return {"anyOf": [_critique_object("breaks", some), _critique_object("keeps", {"type": "array", "maxItems": 0})]}


def _critique_object(verdict: str, quotes: dict[str, Any]) -> dict[str, Any]:
    # The problem comes first: a model that has to give its reasons before its verdict gives a better one.
    return {
        "type": "object",
        "properties": {
            "problem": {"type": "string", "minLength": 10, "maxLength": 500},
            "verdict": {"const": verdict},
            "quotes": quotes,
        },
        "required": ["problem", "verdict", "quotes"],
        "additionalProperties": False,
    }


def read_critique(text: str, answer: str) -> Critique | None:
    """The critique in a critic's reply, its quotes put in the answer's own spelling where they are there.

    Args:
        text: the reply; a JSON object, perhaps in a code fence or with words round it.
        answer: the answer under critique.

    Returns:
        None where the reply has no known shape. Where the verdict is `keeps`, quotes are left out.
    """
    found = first_object(text)
    if found is None:
        return None
    quotes = found.get("quotes", [])
    if isinstance(quotes, str):
        quotes = [quotes]
    if not isinstance(quotes, list) or not all(isinstance(quote, str) for quote in quotes):
        return None
    verdict = found.get("verdict")
    kept = [quote.strip() for quote in quotes if quote.strip()] if verdict == "breaks" else []
    try:
        return Critique(
            quotes=tuple(dict.fromkeys(located(quote, answer) or quote for quote in kept)),
            problem=found.get("problem", ""),
            verdict=verdict,
        )
    except ValidationError:
        return None


def first_object(text: str) -> dict[str, Any] | None:
    """The first whole JSON object in a text, or None."""
    decoder = json.JSONDecoder(strict=False)  # models write bare newlines in strings
    start = text.find("{")
    for _ in range(20):  # bounded: a text of nothing but braces must not cost the square of its length
        if start < 0:
            return None
        try:
            found, _ = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            start = text.find("{", start + 1)
            continue
        return found if isinstance(found, dict) else None
    return None


def located(quote: str, answer: str) -> str | None:
    """The words of `answer` that `quote` stands for, letter for letter, or None.

    Differences in white space, letter case, kinds of quotation marks and dashes, an ellipsis or quotation marks at
    either end, and a full stop added at the end are forgiven: critics change them without meaning to.
    """
    if quote in answer:
        return quote
    bare = quote.strip().strip("\"'“”‘’「」『』").removeprefix("...").removeprefix("…")
    bare = bare.removesuffix("...").removesuffix("…").strip()
    for tried in (bare, bare.rstrip(".。,，;；")):
        words = tried.split()
        if not words:
            continue
        found = re.search(r"\s+".join(map(_loose, words)), answer, re.IGNORECASE)
        if found:
            return found.group()
    return None


def _loose(word: str) -> str:
    escaped = re.escape(word)
    escaped = re.sub(r"['‘’]", "['‘’]", escaped)
    escaped = re.sub(r'["“”]', '["“”]', escaped)
    return re.sub(r"(\\-|–|—)", "[-–—]", escaped)
