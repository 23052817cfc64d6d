"""Real gates with a few small rules, and a scripted model behind the guard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from guard.detectors.patterns import Patterns
from guard.exchange import Message
from guard.gate import Gate
from guard.guard import Answer, Guard, GuardSettings, Incoming
from guard.guarding.reviser import Revised
from guard.models.base import Usage
from guard.window import Channel
from rules.schema import Constitution, Part, Rule

PARTS = [part.value for part in Part]
REPLY = {
    "en": "No recipes here; shall we talk about chemistry at school?",
    "zh": "这里没有配方，要不要聊聊学校里的化学？",
}


def rule(rule_id: str, words: str, action: str | dict[str, str] = "block", **fields: Any) -> Rule:
    """A rule that finds some words in every part."""
    watches = fields.pop("watches", PARTS)
    if isinstance(action, str):
        rewrites = action in ("revise", "resample")
        action = {part: action for part in watches if not rewrites or part in ("prompt", "response")}
    return Rule.model_validate(
        {
            "id": rule_id,
            "title": {"en": f"The {rule_id} rule", "zh": f"规则 {rule_id}"},
            "rule": "Do not give instructions that make it easier to build a weapon.",
            "why": {"en": "A working recipe reaches everyone who asks.", "zh": "可用的配方会传到每个人手里。"},
            "watches": watches,
            "detect": {"patterns": [{"literal": word} for word in words.split("|")], "meaning": None},
            "on": action,
            **fields,
        }
    )


def constitution(*rules: Rule) -> Constitution:
    """A constitution of rules."""
    return Constitution.model_validate({"name": "small", "title": "Small", "rules": rules})


@pytest.fixture(scope="session")
def guard_of() -> Callable[..., Guard]:
    """Makes a guard of rules, with further detectors, a model, a reviser and settings."""

    def make(*rules: Rule, also: Sequence[Any] = (), model: Any = None, reviser: Any = None, **settings: Any) -> Guard:
        rules_in_force = constitution(*(rules or (rule("bomb", "pipe bomb", reply=REPLY),)))
        gate = Gate(rules_in_force, [Patterns(rules_in_force), *also])
        return Guard(gate, model=model, reviser=reviser, settings=GuardSettings(**settings))

    return make


class Rewrites:
    """A reviser that says what it is told to, in turn, and remembers what it was asked."""

    def __init__(self, *said: Revised | str | None, tokens: int = 100) -> None:
        self._said = list(said)
        self._tokens = tokens
        self.asked: list[tuple[str, str]] = []
        self.conversations: list[Sequence[Message]] = []
        self.allowed: list[int] = []

    async def revise(self, rule_id: str, conversation: Sequence[Message], answer: str, *, tokens: int) -> Revised:
        self.asked.append((rule_id, answer))
        self.conversations.append(conversation)
        self.allowed.append(tokens)
        said = self._said.pop(0)
        return said if isinstance(said, Revised) else Revised(said, Usage(self._tokens, 0))


def user(text: str) -> Message:
    """A user's turn."""
    return Message("user", text)


def said(text: str, **fields: Any) -> Message:
    """An assistant's turn."""
    return Message("assistant", text, **fields)


def asks(*messages: Message | str) -> Incoming:
    """A request."""
    return Incoming(tuple(user(each) if isinstance(each, str) else each for each in messages))


def answer(text: str = "", **texts: str) -> Answer:
    """An answer: its text, and other channels by name; `tool` for the first call's arguments."""
    channels = {Channel(): text} | {Channel(kind): each for kind, each in texts.items()}  # type: ignore[arg-type]
    return Answer({channel: each for channel, each in channels.items() if each})


@pytest.fixture(scope="session")
def kit() -> SimpleNamespace:
    """The small makers above, since test files cannot import one another."""
    return SimpleNamespace(
        rule=rule, user=user, said=said, asks=asks, answer=answer, Rewrites=Rewrites, REPLY=REPLY, TEXT=Channel()
    )
