"""The choices of an answer, each with the verdicts on all of its texts, and what they answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from guard.exchange import Exchange, Message
from guard.guarding.incoming import Answer
from guard.guarding.post import Post, worse
from guard.guarding.tally import Tally
from guard.language import language_of
from guard.verdict import Finding, Verdict
from guard.window.choice import rank
from guard.window.outcomes import Channel
from rules.schema import Action


@dataclass(frozen=True)
class Asked:
    """What was asked."""

    conversation: Sequence[Message]
    """As the model sees it."""
    said: Sequence[Message]
    """As the client sent it."""
    mends: Sequence[Finding] = ()
    """What was found in the prompt that asks for the answer to be mended, the gravest first."""

    @cached_property
    def exchange(self) -> Exchange:
        """What an answer is judged with: the user's last turn."""
        return Exchange(_last_turn(self.conversation))

    @cached_property
    def language(self) -> str:
        """Of the user, by the last turn."""
        return language_of("".join(turn.content for turn in _last_turn(self.said)))


@dataclass(slots=True)
class Judged:
    """A choice, and the verdict on each of its texts."""

    answer: Answer
    verdicts: dict[Channel, Verdict] = field(default_factory=dict)

    @property
    def action(self) -> Action:
        """The worst of the verdicts."""
        action = Action.ALLOW
        for verdict in self.verdicts.values():
            action = worse(action, verdict.action)
        return action

    @property
    def findings(self) -> list[Finding]:
        """In all texts."""
        return [finding for verdict in self.verdicts.values() for finding in verdict.findings]

    @property
    def score(self) -> float:
        """The gate's highest score of any rule in any text."""
        return max((verdict.score for verdict in self.verdicts.values()), default=0.0)


def _last_turn(conversation: Sequence[Message]) -> tuple[Message, ...]:
    """The last user turn of a conversation: all of it that a verdict on an answer may depend on."""
    return next(((message,) for message in reversed(conversation) if message.role == "user"), ())


async def judge(post: Post, exchange: Exchange, answers: Sequence[Answer], tally: Tally) -> list[Judged]:
    """Judge every text of every answer, all at once."""
    judged = [Judged(answer) for answer in answers]
    places = [(one, channel, text) for one in judged for channel, text in one.answer.texts.items() if text]
    exchanges = [channel.exchange(exchange, text) for _, channel, text in places]
    verdicts = await post.judge(exchanges, sum([len(text) for _, _, text in places]))
    for (one, channel, _), verdict in zip(places, verdicts, strict=True):
        one.verdicts[channel] = verdict
        tally.take(verdict)
    return judged


def unscannable(post: Post, answer: Answer) -> Action:
    """What an answer leads to by what cannot be scanned in it."""
    return Action(post.settings.unscannable) if answer.unscannable else Action.ALLOW


def passes(post: Post, judged: Judged) -> bool:
    """Whether an answer may leave untouched."""
    return rank(worse(judged.action, unscannable(post, judged.answer))) <= rank(Action.FLAG)
