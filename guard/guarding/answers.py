"""The way out: every channel of every choice of a whole answer judged, and what becomes of each choice."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from guard.exchange import Exchange
from guard.guarding.amending import Amended, resample, revise
from guard.guarding.choices import Asked, Judged, judge, unscannable
from guard.guarding.incoming import Answer
from guard.guarding.post import Post, worse
from guard.guarding.redacting import redact
from guard.guarding.replying import Reason
from guard.guarding.rulings import Redraw, Ruling
from guard.guarding.tally import Tally, name_of
from guard.verdict import Finding
from guard.window.outcomes import Channel
from rules.schema import Action

LEAVE = Ruling(Action.ALLOW)
"""A choice leaves as it came."""


async def decide(
    post: Post, asked: Asked, answers: Sequence[Answer], redraw: Redraw | None, tally: Tally
) -> list[Ruling]:
    """A ruling for each choice, in order."""
    judged = await judge(post, asked, answers, tally)
    clean = not asked.mends
    for choice, one in enumerate(judged):
        for channel, verdict in one.verdicts.items():
            if verdict.findings or verdict.action is not Action.ALLOW:
                clean = False
                tally.found(f"choices[{choice}].{name_of(channel)}", verdict.findings)
                tally.spare(post.spared_by(verdict))
        if one.answer.unscannable:
            clean = False
            tally.unscannable += one.answer.unscannable
    if clean:
        return [LEAVE] * len(judged)
    if len(judged) == 1:
        rulings = [await settle(post, asked, judged[0], redraw, tally)]
    else:
        rulings = list(await asyncio.gather(*(settle(post, asked, one, redraw, tally) for one in judged)))
    for ruling in rulings:
        tally.did(ruling.action)
    return rulings


async def settle(post: Post, asked: Asked, judged: Judged, redraw: Redraw | None, tally: Tally) -> Ruling:
    """What becomes of one choice."""
    unread = unscannable(post, judged.answer)
    action = worse(judged.action, unread)
    for finding in asked.mends:
        action = worse(action, post.acts(finding))
    if post.shadow:
        tally.spare(action)
        return LEAVE
    rules = post.ranked((*judged.findings, *asked.mends))
    if action is Action.BLOCK:
        reason: Reason = "answer" if unread is Action.BLOCK and judged.action is not Action.BLOCK else "degraded"
        return blocked(post, asked, (*judged.findings, *asked.mends), reason)
    if action in (Action.REVISE, Action.RESAMPLE):
        amended = await _amend(post, asked, judged, action, redraw, tally)
        if amended is None:
            return blocked(post, asked, (*judged.findings, *asked.mends), "degraded", least=Action.REVISE)
        if amended.answer is not None:
            return Ruling(Action.RESAMPLE, answer=amended.answer, rules=rules)
        if amended.text is not None:
            return Ruling(Action.REVISE, text=amended.text, rules=rules)
        action = worse(judged.action, unread)  # it stands as it came, but for what is milder
    if action is Action.REDACT:
        edits = await _redacted(post, asked.exchange, judged)
        if edits is None:
            return blocked(post, asked, judged.findings, "degraded", least=Action.REDACT)
        return Ruling(Action.REDACT, edits, rules=rules)
    return Ruling(action, rules=rules) if action is Action.FLAG else LEAVE


async def _amend(
    post: Post, asked: Asked, judged: Judged, action: Action, redraw: Redraw | None, tally: Tally
) -> Amended | None:
    if action is Action.RESAMPLE:
        return await resample(post, asked, judged, redraw, tally)
    return await revise(post, asked, judged, tally)


async def _redacted(post: Post, exchange: Exchange, judged: Judged) -> Mapping[Channel, str] | None:
    edits: dict[Channel, str] = {}
    for channel, verdict in judged.verdicts.items():
        if verdict.action is not Action.REDACT:
            continue
        text = judged.answer.texts[channel]
        masked = await redact(post, channel.exchange(exchange, text), channel, text, verdict)
        if masked is None:
            return None
        edits[channel] = masked
    return edits


def blocked(
    post: Post, asked: Asked, findings: Sequence[Finding], otherwise: Reason, least: Action = Action.BLOCK
) -> Ruling:
    """The reply in a choice's place: of the gravest rule that wants it, or else the one for the reason given."""
    ranked = post.ranked(findings, least)
    said = post.replies.to_rule(ranked[0], asked.language) if ranked else None
    return Ruling(
        Action.BLOCK,
        text=said or post.replies.to_reason(otherwise, asked.language),
        rules=post.ranked(findings),
    )
