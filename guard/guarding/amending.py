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

from guard.guarding.choices import Asked, Judged, judge, passes
from guard.guarding.incoming import Answer
from guard.guarding.post import Post
from guard.guarding.rulings import Redraw
from guard.guarding.tally import Tally
from guard.judging.breaker import BreakerOpen
from guard.models.base import ContentRefused, ContextTooLong
from guard.window.outcomes import Channel
from rules.schema import Action

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


class _Unmended(Exception):
    """Nothing that could stand came of mending. Its words quote nothing of the conversation."""


async def revise(post: Post, asked: Asked, judged: Judged, tally: Tally) -> Amended | None:
    """Rounds of critique and revision until the gate finds nothing; None where none comes of them, and then the tally
    knows why.

    Where a rule on the prompt asks for it, there is one round under that rule whatever the gate says of the answer.
    """
    if why := post.cannot(Action.REVISE):
        tally.unmended(why)
        return None
    try:
        probe = post.breaker.enter()
    except BreakerOpen:
        tally.unmended("the reviser is left alone after failing")
        return None
    outcome: str | None = None
    try:
        amended, outcome = await _bounded(post, tally, "the reviser", lambda: _revise(post, asked, judged, tally))
    finally:
        if outcome is None:  # cancelled, or refused for what was in it: that says nothing of the reviser
            post.breaker.passed_by(probe=probe)
        elif outcome:
            post.breaker.failed(outcome, probe=probe)
        else:
            post.breaker.succeeded()
    return amended


async def _revise(post: Post, asked: Asked, judged: Judged, tally: Tally) -> Amended:
    reviser, settings = post.reviser, post.settings
    if reviser is None:
        raise _Unmended("no reviser")
    text = spoken(judged.answer)
    due = [finding.rule for finding in asked.mends if post.acts(finding) is Action.REVISE][:1]
    broken = list(post.ranked(judged.findings, Action.REVISE))
    changed = False
    left = settings.amend_tokens
    for _ in range(settings.rounds):
        rule = next(iter(broken or due), None)
        if rule is None:
            break
        if left <= 0:
            raise _Unmended("out of tokens")
        tally.rounds += 1
        revised = await reviser.revise(rule, asked.conversation, text, tokens=left)
        left -= revised.usage.prompt + revised.usage.completion
        due = [other for other in due if other != rule]
        if revised.text is None:
            raise _Unmended(revised.why or "no usable revision came")
        if revised.kept:
            if broken:
                raise _Unmended("the critic sees nothing to mend, and the gate still finds the rule broken")
            continue
        text, changed = revised.text, True
        [seen] = await judge(post, asked, [Answer({_TEXT: text})], tally)
        broken = list(post.ranked(seen.findings, Action.REDACT))
        if seen.action is Action.BLOCK and not post.ranked(seen.findings, Action.BLOCK):
            raise _Unmended("the revision could not be checked")
    if broken:
        raise _Unmended("the gate still finds the rule broken")
    if due:
        raise _Unmended("out of rounds")
    return Amended(text if changed else None)


async def resample(post: Post, asked: Asked, judged: Judged, redraw: Redraw | None, tally: Tally) -> Amended | None:
    """The best of further draws that break no rule; None where there is none, and then the tally knows why.

    Where only a rule on the prompt asks for it and the answer itself breaks none, it is among the draws.
    """
    if redraw is None:
        tally.unmended(post.cannot(Action.RESAMPLE, redraws=False))
        return None
    amended, _ = await _bounded(post, tally, "the model", lambda: _resample(post, asked, judged, redraw, tally))
    return amended


async def _resample(post: Post, asked: Asked, judged: Judged, redraw: Redraw, tally: Tally) -> Amended:
    drawn = await redraw(post.settings.draws)
    tally.drawn += len(drawn)
    candidates = await judge(post, asked, drawn, tally)
    sound = [one for one in (judged, *candidates) if spoken(one.answer) and passes(post, one)]
    if not sound:
        raise _Unmended("all draws break a rule" if drawn else "no other answer was drawn")
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


async def _bounded(
    post: Post, tally: Tally, who: str, work: Callable[[], Awaitable[Amended]]
) -> tuple[Amended | None, str | None]:
    """The work's result, None where it fails or takes too long; and what is wrong with whom it asks: empty where
    nothing is, None where that cannot be said."""
    began = time.perf_counter()
    fault: str | None = ""
    try:
        async with asyncio.timeout(post.settings.amend_s):
            return await work(), fault
    except _Unmended as unmended:
        why = str(unmended)
    except TimeoutError:
        why = fault = "out of time"
    except (ContextTooLong, ContentRefused) as error:
        # The text's doing. Counted as a failure, whoever sends such texts could shut the reviser for everybody.
        why, fault = f"{who} did not answer: {type(error).__name__}", None
    except Exception as error:  # whatever a model or an upstream raises; its words may quote the conversation
        why = fault = f"{who} did not answer: {type(error).__name__}"
    finally:
        tally.spent("amend", time.perf_counter() - began)
    tally.unmended(why)
    _LOG.warning("an answer is not mended, and the reply stands (decision %s): %s", tally.id, why)
    return None, fault
