"""The choices of an answer, each with the verdicts on all of its texts, and what they answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from guard.exchange import Exchange, Message
from guard.guarding.incoming import Answer
from guard.guarding.post import Post, worse
from guard.guarding.replying import Replies
from guard.guarding.tally import Tally
from guard.patterns.search import REACH
from guard.verdict import Finding, Verdict
from guard.window.choice import rank
from guard.window.outcomes import Channel
from rules.schema import Action


class Asked:
    """What was asked."""

    __slots__ = ("_language", "_replies", "_said", "begun", "conversation", "exchange", "mends")

    def __init__(
        self,
        replies: Replies,
        conversation: Sequence[Message],
        said: Sequence[Message],
        mends: Sequence[Finding] = (),
    ) -> None:
        """A question.

        Args:
            replies: what can be said to the user.
            conversation: as the model sees it.
            said: as the client sent it.
            mends: what was found in the prompt that asks for the answer to be mended, the gravest first.
        """
        self.conversation = conversation
        self.mends = mends
        self.exchange = Exchange(_last_turn(conversation))
        """What an answer is judged with: the user's last turn."""
        last = conversation[-1] if conversation else None
        self.begun = last.content[-REACH:] if last is not None and last.role == "assistant" else ""
        """The end of what answers go on from, where the client has begun the answer itself."""
        self._replies = replies
        self._said = said
        self._language = ""

    @property
    def language(self) -> str:
        """Of the user, by the last turn; found out only where the guard has to speak."""
        if not self._language:
            self._language = self._replies.language("".join(turn.content for turn in _last_turn(self._said)))
        return self._language


class Judged:
    """A choice, and the verdict on each of its texts."""

    __slots__ = ("answer", "verdicts")

    def __init__(self, answer: Answer, verdicts: Mapping[Channel, Verdict] | None = None) -> None:
        """A choice with the verdicts on it that are known."""
        self.answer = answer
        self.verdicts: dict[Channel, Verdict] = dict(verdicts) if verdicts else {}

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


def _behind(post: Post, verdict: Verdict, border: int) -> Verdict:
    """The verdict on what stands behind a border; what stands before it was acted on with the prompt."""
    kept = tuple(
        replace(finding, span=(max(0, finding.span[0] - border), finding.span[1] - border))
        for finding in verdict.findings
        if finding.span[1] > border
    )
    if len(kept) == len(verdict.findings) or verdict.coverage.degraded:
        return replace(verdict, findings=kept)
    action = Action.ALLOW
    for finding in kept:
        action = worse(action, post.acts(finding))
    return replace(verdict, action=action, findings=kept)


def _last_turn(conversation: Sequence[Message]) -> tuple[Message, ...]:
    """The last user turn of a conversation: all of it that a verdict on an answer may depend on."""
    for message in reversed(conversation):
        if message.role == "user":
            return (message,)
    return ()


async def judge(post: Post, asked: Asked, answers: Sequence[Answer], tally: Tally) -> list[Judged]:
    """Judge every text of every answer, all at once."""
    exchange, begun = asked.exchange, asked.begun
    judged: list[Judged] = []
    places: list[tuple[Judged, Channel]] = []
    exchanges: list[Exchange] = []
    size = 0
    for answer in answers:
        one = Judged(answer)
        judged.append(one)
        for channel, text in answer.texts.items():
            if text:
                places.append((one, channel))
                whole = begun + text if begun and channel.kind == "text" else text
                exchanges.append(channel.exchange(exchange, whole))
                size += len(whole)
    verdicts = await post.judge(exchanges, size)
    for (one, channel), verdict in zip(places, verdicts, strict=True):
        if begun and verdict.findings and channel.kind == "text":
            verdict = _behind(post, verdict, len(begun))
        one.verdicts[channel] = verdict
        tally.take(verdict)
    return judged


def unscannable(post: Post, answer: Answer) -> Action:
    """What an answer leads to by what cannot be scanned in it."""
    return Action(post.settings.unscannable) if answer.unscannable else Action.ALLOW


def passes(post: Post, judged: Judged) -> bool:
    """Whether an answer may leave untouched."""
    return rank(worse(judged.action, unscannable(post, judged.answer))) <= rank(Action.FLAG)
