"""Reading what a judge or a guard model answered: strictly, since a guess in the text's favour opens the door."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, ValidationError

from guard.judging.asker import Unreadable
from guard.models.base import Reply, TokenLogprob
from rules.schema import Closed

LEAST_MASS = 0.2
"""What yes and no together must weigh among the likeliest tokens: below that the model is saying something else."""

TOP = 20
"""Likeliest tokens asked for in each place: as many as any server gives."""

_CODE_BLOCK = re.compile(r"\A```(?:json)?\s*\n(.*?)\n?```\s*\Z", re.DOTALL)


class Judgement(Closed):
    """What the judge says, as it says it."""

    case: str
    """The number of the case, which stands in the orders and which the judged text cannot know."""
    reason: str = Field(default="", max_length=4000)
    quote: str | None = None
    verdict: Literal["breaks", "keeps"]


JUDGEMENT_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "case": {"type": "string", "maxLength": 16},
        "reason": {"type": "string", "maxLength": 400},
        "quote": {"type": "string", "maxLength": 400},
        "verdict": {"type": "string", "enum": ["breaks", "keeps"]},
    },
    "required": ["case", "reason", "quote", "verdict"],
    "additionalProperties": False,
}
"""Reason and quote come before the verdict, so that it can follow from them."""


def read_object(text: str) -> dict[str, Any]:
    """The one JSON object that an answer consists of, in a code block or bare.

    Raises:
        Unreadable: it is not one object and nothing else. An object somewhere in prose may be one that the judged text
            put there.
    """
    block = _CODE_BLOCK.match(text.strip())
    try:
        found = json.loads(block[1] if block else text, strict=False)  # models write bare newlines in strings
    except (ValueError, RecursionError):
        raise Unreadable("the answer is no JSON object") from None
    if not isinstance(found, dict):
        raise Unreadable("the answer is no JSON object")
    return found


def read_judgement(reply: Reply, case: str) -> Judgement:
    """The judgement in a judge's answer.

    Raises:
        Unreadable: cut off, withheld, of another shape, or of another case.
    """
    whole(reply)
    found = read_object(reply.text)
    try:
        judgement = Judgement.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "answer"
        raise Unreadable(f"the judge's `{place}` is not what it should be") from None
    if judgement.case.strip() != case:
        # words that the judged text put into the judge's mouth lack the number, or bring a wrong one
        raise Unreadable("the judge does not name the case it was given")
    return judgement


def whole(reply: Reply) -> str:
    """The text of an answer that came to its end.

    Raises:
        Unreadable: cut off, withheld, or empty.
    """
    if reply.finish != "stop":
        raise Unreadable("the answer was cut off" if reply.finish == "length" else "the answer was withheld")
    text = reply.text.strip()
    if not text:
        raise Unreadable("the answer is empty")
    return text


def first_word(logprobs: Sequence[TokenLogprob] | None) -> TokenLogprob | None:
    """The first token that is not white space."""
    return next((token for token in logprobs or () if token.token.strip()), None)


def share(token: TokenLogprob | None, yes: Callable[[str], bool], no: Callable[[str], bool]) -> float | None:
    """How likely the answer was yes, had it to be yes or no, at one token: from 0 to 1.

    Spellings of the same answer (`Yes`, ` yes`, `YES`) are added up. Yes and no are told the token without white
    space, in lower case.

    Returns:
        None where there is no token, neither is among the likeliest, or both weigh too little to be the answer.
    """
    if token is None:
        return None
    top = dict(token.top)
    top.setdefault(token.token, token.logprob)
    weights = [(spelling.strip().lower(), math.exp(min(0.0, logprob))) for spelling, logprob in top.items()]
    for_yes = sum(weight for word, weight in weights if word and yes(word))
    for_no = sum(weight for word, weight in weights if word and no(word))
    if for_yes + for_no < LEAST_MASS:
        return None
    return for_yes / (for_yes + for_no)


def yes_share(reply: Reply, yes: Sequence[str], no: Sequence[str]) -> float:
    """How likely the answer was yes, from the log-probabilities of its first word.

    Raises:
        Unreadable: there are none, or the model was about to say something else.
    """
    token = first_word(reply.logprobs)
    if token is None:
        raise Unreadable("the answer came without log-probabilities")
    found = share(token, lambda word: word in yes, lambda word: word in no)
    if found is None:
        raise Unreadable("the answer is neither yes nor no")
    return found
