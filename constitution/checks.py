"""What keeps a row out of the training set. Each check is a short function: what is wrong, or None."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from difflib import SequenceMatcher
from functools import lru_cache

from constitution.row import Rejection
from constitution.templates import Templates
from guard.language import same_language

_SENTENCE_END = re.compile(r"(?<=[.!?。！？])\s*|\n+")
_HAN = re.compile(r"[\u3400-\u9fff]")
_WORD = re.compile(r"[^\W_]+")
_WORD_OR_HAN = re.compile(r"[\u3400-\u9fff]|[^\W_\u3400-\u9fff]+")
_ALMOST = 0.97
"""Likeness of two texts from which a revision counts as no change."""


@lru_cache(maxsize=256)
def _any(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.IGNORECASE)


def _plain(text: str) -> str:
    """The text with straight apostrophes: models write curly ones, and `I can’t` must not pass for help."""
    return text.replace("\u2019", "'").replace("\u2018", "'")


def words_in(text: str) -> int:
    """How many words a text has; two Chinese characters count as one word."""
    if text.isascii():
        return len(_WORD.findall(text))
    return len(_WORD.findall(_HAN.sub(" ", text))) + (len(_HAN.findall(text)) + 1) // 2


def is_empty(text: str) -> str | None:
    """An answer without a word in it."""
    return None if words_in(text) else "the answer is empty"


def is_evasive(text: str, templates: Templates) -> str | None:
    """An answer that declines and says hardly a word beside it."""
    refusals = _any(templates.evasive.refusals)
    sentences = [sentence for sentence in _SENTENCE_END.split(text) if sentence.strip()]
    rest = [sentence for sentence in sentences if not refusals.search(_plain(sentence))]
    if len(rest) == len(sentences):
        return None
    left = sum(words_in(sentence) for sentence in rest)
    # A refusal may carry its help in the same long sentence ("I won't ..., but here is ...").
    left += sum(max(0, words_in(sentence) - 20) for sentence in sentences if sentence not in rest)
    least = templates.evasive.least_words
    return None if left >= least else f"it declines and says only {left} words beside that; {least} are asked for"


def is_boilerplate(text: str, templates: Templates) -> str | None:
    """An answer with a stock phrase in it."""
    found = _any(templates.evasive.boilerplate).search(_plain(text))
    return f"stock phrase `{found.group()}`" if found else None


def tells_of_process(text: str, templates: Templates) -> str | None:
    """A text that speaks of drafts, critics and revisions, which its reader never sees."""
    found = _any(templates.process_words).search(_plain(text))
    return f"it speaks of how it was made: `{found.group()}`" if found else None


def is_unchanged(before: str, after: str) -> str | None:
    """A revision that revises nothing."""
    if before.split() == after.split():
        return "the revision is the same text"
    if abs(len(before) - len(after)) > 0.06 * max(len(before), len(after)) or len(before) > 4000:
        return None
    # No matching can keep more characters than the two have in common; this bound is quick, the matching is not.
    if 2 * (Counter(before) & Counter(after)).total() < _ALMOST * (len(before) + len(after)):
        return None
    if SequenceMatcher(None, before, after, autojunk=False).ratio() < _ALMOST:
        return None
    return "the revision is almost the same text"


def still_quoted(quotes: tuple[str, ...], after: str) -> str | None:
    """A revision in which words that had to go still stand."""
    for quote in quotes:
        if words_in(quote) > 3 and quote in after:
            return f"`{quote[:80]}` still stands in it"
    return None


def is_repetitive(text: str) -> str | None:
    """A text in a loop, as small models fall into."""
    sentences = [s.strip() for s in _SENTENCE_END.split(text) if words_in(s) > 2]
    if len(sentences) >= 6 and len(set(sentences)) <= len(sentences) / 2:
        return "it repeats itself"
    return None


def is_parroted(text: str, shown: Iterable[str]) -> str | None:
    """A text taken over from a few shot: small models repeat what they were shown and forget what they were asked."""
    words = _WORD_OR_HAN.findall(_plain(text).casefold())
    triples = set(zip(words, words[1:], words[2:], strict=False))
    if len(triples) < 8:
        return None
    for other in shown:
        known = _WORD_OR_HAN.findall(_plain(other).casefold())
        if len(triples & set(zip(known, known[1:], known[2:], strict=False))) >= len(triples) / 2:
            return f"it repeats what the model was shown as an example: `{other[:80]}`"
    return None


def other_language(prompt: str, answer: str) -> str | None:
    """An answer in another language than its prompt."""
    return None if same_language(prompt, answer) else "it is not in the language of the prompt"


def not_first_person(rationale: str, templates: Templates) -> str | None:
    """A rationale that does not speak for itself."""
    found = re.search(templates.first_person, _plain(rationale), re.IGNORECASE)
    return None if found else "it does not speak in the first person"


def answer_faults(text: str, prompt: str, templates: Templates, *, finish: str = "stop") -> Rejection | None:
    """The first thing wrong with a final answer, the gate's word aside.

    Args:
        text: the answer.
        prompt: the user's last message.
        templates: in the language of the prompt.
        finish: how the model ended; `length` means cut off.
    """
    return _first(
        ("empty", is_empty(text)),
        ("cut_off", "the model ran out of tokens" if finish == "length" else None),
        ("filtered", "the provider withheld the rest" if finish == "filter" else None),
        ("evasive", is_evasive(text, templates)),
        ("boilerplate", is_boilerplate(text, templates)),
        ("process_talk", tells_of_process(text, templates)),
        ("repetitive", is_repetitive(text)),
        ("other_language", other_language(prompt, text)),
    )


def rationale_faults(text: str, prompt: str, templates: Templates, *, finish: str = "stop") -> Rejection | None:
    """The first thing wrong with a rationale; arguments as for `answer_faults`."""
    found = _first(
        ("rationale_empty", is_empty(text)),
        ("rationale_cut_off", "the model ran out of tokens" if finish == "length" else None),
        ("rationale_too_short", "it has fewer than ten words" if words_in(text) < 10 else None),
        ("rationale_not_first_person", not_first_person(text, templates)),
        ("rationale_process_talk", tells_of_process(text, templates)),
        ("rationale_boilerplate", is_boilerplate(text, templates)),
        ("rationale_repetitive", is_repetitive(text)),
        ("rationale_parroted", is_parroted(text, (shot.rationale for shot in templates.rationales))),
        ("rationale_other_language", other_language(prompt, text)),
    )
    return found and found.model_copy(update={"stage": "rationale"})


def _first(*faults: tuple[str, str | None]) -> Rejection | None:
    for reason, detail in faults:
        if detail is not None:
            return Rejection(stage="checks", reason=reason, detail=detail)
    return None
