"""Lints of what the guard says in place of an answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rules.lints import Found, lint
from rules.schema import Rule
from rules.words import quoted

if TYPE_CHECKING:
    from rules.check import Company

_REFUSAL = re.compile(
    r"(i(’|')?m |i am )?(very |so |really )?(sorry|afraid)?[\s,.!]*(but )?(as an ai[^,.]*,\s*)?"
    r"(i|we) (cannot|can ?not|can(’|')t|won(’|')t|will not|am unable to|(’|')m unable to|am not able to)\b"
    r"((?!\bbut\b)[^.!?;])*[.!?]?"
    r"|(很?抱歉|对不起|不好意思)?[，,。!！\s]*(但是?)?(作为[^，,。]*[，,])?我(们)?(不能|无法|没办法|不可以)"
    r"((?!但|不过|可以)[^。！!；])*[。！!]?",
    re.IGNORECASE,
)


@lint("warning")
def no_reply(rule: Rule, _: Company) -> Iterator[Found]:
    """A gate can stop an answer, and there is nothing to say in its place."""
    if rule.detect and rule.reply is None:
        what = "has no `reply` for when the guard answers for itself"
        yield (), what, "say in a sentence or two what you will not do, and what help there is"


@lint("warning")
def bare_refusal(rule: Rule, _: Company) -> Iterator[Found]:
    """The reply is a refusal and nothing more."""
    for language, reply in rule.reply.root.items() if rule.reply else ():
        if _REFUSAL.fullmatch(reply.strip()):
            what = f"has a `reply` that only refuses: {quoted(reply)}"
            yield ("reply", language), what, "add why in half a sentence, and what you can help with instead"
