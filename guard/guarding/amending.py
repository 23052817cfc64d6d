"""Mending: an answer revised by critique and revision, or another one drawn. Bounded in rounds, tokens and seconds.

Whatever fails on the way, nothing unchecked comes of it: then the reply stands.

Source of drawing several and ranking those that keep all rules: LaMDA (Thoppilan et al. 2022, arXiv:2201.08239) and
Sparrow (Glaese et al. 2022, arXiv:2209.14375).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

from guard.guarding.choices import Asked, Judged, judge, passes
from guard.guarding.incoming import Answer
from guard.guarding.post import Post
from guard.guarding.rulings import Redraw
from guard.guarding.tally import Tally
from guard.window.outcomes import Channel
from rules.schema import Action

T = TypeVar("T")

_LOG = logging.getLogger(__name__)
_TEXT = Channel()
_SPOKEN = ("text", "refusal", "tool")
_SCORES = 0.05
"""Gate scores that differ by less than about this are taken for equal when draws are ranked."""


@dataclass(frozen=True, slots=True)
class Amended:
    """What mending came to; neither field is set where the answer may stand as it came."""

    text: str | None = None
    answer: Answer | None = None


async def revise(post: Post, asked: Asked, judged: Judged, tally: Tally) -> Amended | None:
    """Rounds of critique and revision until the gate finds nothing; None where none comes of them.

    Where a rule on the prompt asks for it, there is one round under that rule whatever the gate says of the answer.
    """
    return await _bounded(post, tally, lambda: _revise(post, asked, judged, tally))


async def _revise(post: Post, asked: Asked, judged: Judged, tally: Tally) -> Amended | None:
    reviser, settings = post.reviser, post.settings
    if reviser is None:
        return None
    text = spoken(judged.answer)
    due = [finding.rule for finding in asked.mends if post.acts(finding) is Action.REVISE][:1]
    broken = list(post.ranked(judged.findings, Action.REVISE))
    changed = False
    left = settings.amend_tokens
    for _ in range(settings.rounds):
        rule = next(iter(broken or due), None)
        if rule is None or left <= 0:
            break
        tally.rounds += 1
        revised = await reviser.revise(rule, asked.conversation, text, tokens=left)
        left -= revised.usage.prompt + revised.usage.completion
        due = [other for other in due if other != rule]
        if revised.text is None:
            return None
        if revised.kept:
            if broken:
                return None  # the gate finds it broken, and the critic does not see how
            continue
        text, changed = revised.text, True
        [seen] = await judge(post, asked, [Answer({_TEXT: text})], tally)
        broken = list(post.ranked(seen.findings, Action.REDACT))
        if seen.action is Action.BLOCK and not post.ranked(seen.findings, Action.BLOCK):
            return None  # a check of it could not be made
    if broken or due:
        return None
    return Amended(text if changed else None)


async def resample(post: Post, asked: Asked, judged: Judged, redraw: Redraw | None, tally: Tally) -> Amended | None:
    """The best of further draws that break no rule; None where there is none.

    Where only a rule on the prompt asks for it and the answer itself breaks none, it is among the draws.
    """
    if redraw is None:
        return None
    return await _bounded(post, tally, lambda: _resample(post, asked, judged, redraw, tally))


async def _resample(post: Post, asked: Asked, judged: Judged, redraw: Redraw, tally: Tally) -> Amended | None:
    drawn = await redraw(post.settings.draws)
    tally.drawn += len(drawn)
    candidates = await judge(post, asked, drawn, tally)
    sound = [one for one in (judged, *candidates) if spoken(one.answer) and passes(post, one)]
    if not sound:
        return None
    best = choose(sound)
    return Amended() if best is judged else Amended(answer=best.answer)


def choose(sound: Sequence[Judged]) -> Judged:
    """The best of answers that break no rule: the lowest gate score, in steps of 0.05; among equals the one whose
    length is nearest to the median of all, since stunted and rambling answers are the outliers; then the first.
    """
    lengths = [len(spoken(one.answer)) for one in sound]
    middle = median(lengths)
    order = sorted(
        range(len(sound)), key=lambda place: (round(sound[place].score / _SCORES), abs(lengths[place] - middle), place)
    )
    return sound[order[0]]


def spoken(answer: Answer) -> str:
    """All that an answer says to a reader or a tool, as one text: without what was thought, or stands aside."""
    return "\n".join(text for channel, text in answer.texts.items() if channel.kind in _SPOKEN and text)


async def _bounded(post: Post, tally: Tally, work: Callable[[], Awaitable[T | None]]) -> T | None:
    """The work's result; None where it fails or takes too long."""
    began = time.perf_counter()
    try:
        async with asyncio.timeout(post.settings.amend_s):
            return await work()
    except TimeoutError:
        _LOG.warning("mending an answer took longer than %s s; the reply stands", post.settings.amend_s)
    except Exception as error:  # whatever a model or an upstream raises; its words may quote the conversation
        _LOG.warning("mending an answer failed with %s; the reply stands", type(error).__name__)
    finally:
        tally.spent("amend", time.perf_counter() - began)
    return None
