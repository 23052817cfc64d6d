"""The way in: which messages of a request are new, what was found in them, and what becomes of the older ones.

What is new acts: it is blocked, redacted, or lets the answer be mended. What is older was acted on when it was new, and
comes again with every turn; so it never blocks. It is withheld from the model, which reads a note in its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from guard.exchange import Exchange, Message
from guard.guarding.history import Change, Past, keys_of
from guard.guarding.post import MENDS, Post, worse
from guard.guarding.redacting import redact, with_text
from guard.guarding.rulings import Place
from guard.guarding.tally import Tally, name_of
from guard.turns import TURNS
from guard.verdict import Finding, Verdict
from guard.window.outcomes import Channel
from rules.schema import Action

TEXT, REASONING = Channel(), Channel("reasoning")


@dataclass(frozen=True, slots=True)
class Look:
    """One text of a message, and the exchange it is judged in."""

    index: int
    channel: Channel
    exchange: Exchange
    text: str

    @property
    def where(self) -> str:
        """Its place, as decisions name it."""
        return where(self.index, self.channel)


def where(index: int, channel: Channel) -> str:
    """The name of a place in a request: `messages[3]`, `messages[3].tool[0]`."""
    place = f"messages[{index}]"
    return place if channel == TEXT else f"{place}.{name_of(channel)}"


class Heard:
    """What a prompt came to."""

    __slots__ = ("action", "changes", "edits", "findings", "least", "mends")

    def __init__(self) -> None:
        """Nothing has been found."""
        self.action = Action.ALLOW
        """The worst that its new messages lead to, before anything is done."""
        self.least = Action.BLOCK
        """The mildest action of the findings that block: milder ones do where they cannot be carried out."""
        self.findings: list[Finding] = []
        """In new messages."""
        self.edits: dict[Place, str] = {}
        """Redacted texts."""
        self.changes: tuple[Change, ...] = ()
        """Of older messages."""
        self.mends: list[Finding] = []
        """Those for which the answer has to be mended, worst first."""


class _Thread:
    """The conversation as the model is to see it, as far as it matters for judging what comes next."""

    def __init__(self) -> None:
        self.turns: tuple[Message, ...] = ()
        """The last user turns, not more than are looked at together with a new one."""
        self.asked: tuple[Message, ...] = ()
        """The user's turn that an answer answers."""

    def add(self, message: Message, *, withheld: bool = False) -> None:
        if message.role == "user":
            self.asked = () if withheld else (message,)
            if not withheld and message.content.strip():
                self.turns = (*self.turns, message)[-(TURNS - 1) :]

    def looks(self, index: int, message: Message) -> Iterator[Look]:
        if message.role == "assistant":
            asked = Exchange(self.asked)
            for channel, text in texts_of(message):
                yield Look(index, channel, channel.exchange(asked, text), text)
        elif message.content:
            before = self.turns if message.role == "user" else ()
            yield Look(index, TEXT, Exchange((*before, message)), message.content)


def texts_of(message: Message) -> Iterator[tuple[Channel, str]]:
    """The texts of a message, each in its channel; empty ones left out."""
    if message.content:
        yield TEXT, message.content
    if message.reasoning:
        yield REASONING, message.reasoning
    for place, call in enumerate(message.tool_calls):
        if call:
            yield Channel("tool", place), call


def border_of(messages: Sequence[Message]) -> int:
    """Index from which on messages are new: after the last answer. An answer that stands last is one to go on with, and
    new."""
    end = len(messages)
    if end and messages[-1].role == "assistant":
        end -= 1
    for place in range(end - 1, -1, -1):
        if messages[place].role == "assistant":
            return place + 1
    return 0


def new_looks(messages: Sequence[Message]) -> list[Look]:
    """What is judged of a prompt beside its older turns: its new messages, and all system texts. Nothing is taken to be
    withheld."""
    border = border_of(messages)
    thread = _Thread()
    looks: list[Look] = []
    for index, message in enumerate(messages):
        if index >= border:
            looks += thread.looks(index, message)
        elif message.role == "system" and message.content:
            looks.append(Look(index, TEXT, Exchange((message,)), message.content))
        thread.add(message)
    return looks


async def hear(post: Post, messages: Sequence[Message], tally: Tally) -> Heard:
    """Judge a prompt. Nothing is done yet; what was found stands in the tally."""
    heard = Heard()
    if len(messages) == 1 and messages[0].role == "user":  # most requests: what follows comes to this
        [verdict] = await post.judge([Exchange(tuple(messages))], len(messages[0].content))
        tally.take(verdict)
        if verdict.findings or verdict.action is not Action.ALLOW:
            await _hear_one(post, Look(0, TEXT, Exchange(tuple(messages)), messages[0].content), verdict, heard, tally)
        return heard
    border = border_of(messages)
    thread = _Thread()
    if border:
        past = await _look_back(post, messages[:border], thread)
        heard.changes = past.changes
        for coverage in past.coverages:
            tally.cover(coverage)
        for place, finding in past.findings:
            tally.found(place, (finding,))
            tally.spare(_mildest(post.spared(finding)))
    looks: list[Look] = []
    for index, message in enumerate(messages):
        if index >= border:
            looks += thread.looks(index, message)
            thread.add(message)
        elif message.role == "system" and message.content:
            looks.append(Look(index, TEXT, Exchange((message,)), message.content))
    verdicts = await post.judge([look.exchange for look in looks], sum([len(look.text) for look in looks]))
    for look, verdict in zip(looks, verdicts, strict=True):
        tally.take(verdict)
        if verdict.findings or verdict.action is not Action.ALLOW:
            await _hear_one(post, look, verdict, heard, tally)
    return heard


async def _hear_one(post: Post, look: Look, verdict: Verdict, heard: Heard, tally: Tally) -> None:
    """Take in what a new message leads to."""
    tally.found(look.where, verdict.findings)
    tally.spare(post.spared_by(verdict))
    prefill = look.exchange.messages[-1].role == "assistant"
    action = verdict.action
    heard.findings += verdict.findings
    if post.shadow:
        return
    if prefill and action in MENDS:
        action = Action.BLOCK  # the answer goes on from it: there is nothing of the model's that could be mended
        heard.least = Action.REVISE
        tally.unmended("the client has begun the answer itself")
    if action is Action.REDACT or (action in MENDS and _redacts(post, verdict)):
        text = await redact(post, look.exchange, look.channel, look.text, verdict)
        if text is None:
            action, heard.least = Action.BLOCK, Action.REDACT
        else:
            heard.edits[look.index, look.channel] = text
    heard.mends += [finding for finding in verdict.findings if post.acts(finding) in MENDS]
    heard.mends.sort(key=lambda finding: (post.acts(finding) is not Action.RESAMPLE, -finding.score))
    heard.action = worse(heard.action, action)


def _redacts(post: Post, verdict: Verdict) -> bool:
    return any(post.acts(finding) is Action.REDACT for finding in verdict.findings)


def _mildest(action: Action) -> Action:
    """What an action comes to in an older message: it is flagged, or replaced."""
    return action if action in (Action.ALLOW, Action.FLAG) else Action.REDACT


async def _look_back(post: Post, messages: Sequence[Message], thread: _Thread) -> Past:
    """What older messages come to; `thread` is taken through them."""
    keys = keys_of(messages)
    begin, past = 0, Past()
    for end in sorted(keys, reverse=True):
        known = post.history.get(keys[end])
        if known is not None:
            begin, past = end, known
            break
    _pass_by(messages[:begin], past, thread)
    if begin < len(messages):
        past = await _look_at(post, messages, begin, past, thread)
        post.history.put(keys[len(messages)], past)
    return past


def _pass_by(messages: Sequence[Message], past: Past, thread: _Thread) -> None:
    """Take the thread through messages that need not be looked at."""
    changed = {change.index: change for change in past.changes if change.channel == TEXT}
    for index, message in enumerate(messages):
        if message.role == "user":
            change = changed.get(index)
            seen = message if change is None else replace(message, content=change.text or "")
            thread.add(seen, withheld=change is not None and change.text is None)


async def _look_at(post: Post, messages: Sequence[Message], begin: int, past: Past, thread: _Thread) -> Past:
    """Judge older messages from `begin` on.

    All are judged at once as if none of them were withheld. Where one is, those after it that were judged together with
    it are judged again without it.
    """
    ahead = _Thread()
    ahead.turns, ahead.asked = thread.turns, thread.asked
    guessed: list[Look] = []
    for index in range(begin, len(messages)):
        message = messages[index]
        if message.role != "system":
            guessed += ahead.looks(index, message)
            ahead.add(message)
    verdicts = await post.judge([look.exchange for look in guessed], sum(len(look.text) for look in guessed))
    known = {(look.index, look.channel): (look, verdict) for look, verdict in zip(guessed, verdicts, strict=True)}
    changes, findings = list(past.changes), list(past.findings)
    coverages = {id(coverage): coverage for coverage in past.coverages}
    for index in range(begin, len(messages)):
        message, withheld = messages[index], False
        if message.role == "system":
            continue
        for look in thread.looks(index, message):
            guess, verdict = known[index, look.channel]
            if guess.exchange != look.exchange:
                [verdict] = await post.judge([look.exchange], len(look.text))
            coverages[id(verdict.coverage)] = verdict.coverage
            verdict = await _own_reply_aside(post, look, verdict)
            if not verdict.findings and verdict.action is Action.ALLOW:
                continue
            findings += [(look.where, finding) for finding in verdict.findings]
            change = await _change(post, look, verdict)
            if change is not None:
                changes.append(change)
                if look.channel == TEXT:
                    message, withheld = replace(message, content=change.text or ""), change.text is None
        thread.add(message, withheld=withheld)
    return Past(tuple(changes), tuple(findings), tuple(coverages.values()))


async def _own_reply_aside(post: Post, look: Look, verdict: Verdict) -> Verdict:
    """The verdict on an older answer without what the guard itself said in it: a reply that names what it declines may
    look like what it declines."""
    if not verdict.findings or look.channel != TEXT or look.exchange.messages[-1].role != "assistant":
        return verdict
    rest = post.replies.without(look.text)
    if rest is None:
        return verdict
    if not rest:
        return replace(verdict, action=Action.ALLOW, findings=())
    [alone] = await post.judge([with_text(look.exchange, look.channel, rest)], len(rest))
    return alone


async def _change(post: Post, look: Look, verdict: Verdict) -> Change | None:
    """What becomes of an older text; None where it stays, as in shadow."""
    if post.shadow or verdict.action in (Action.ALLOW, Action.FLAG):
        return None
    if verdict.action is Action.REDACT:
        masked = await redact(post, look.exchange, look.channel, look.text, verdict)
        if masked is not None:
            return Change(look.index, look.channel, masked, _first(post, verdict, Action.REDACT))
    return Change(look.index, look.channel, None, _first(post, verdict, Action.REDACT))


def _first(post: Post, verdict: Verdict, least: Action) -> str | None:
    ranked = post.ranked(verdict.findings, least)
    return ranked[0] if ranked else None
