"""The watch: one request under guard, from the prompt to the last byte."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from guard.exchange import Message
from guard.gate import INLINE_LIMIT
from guard.guarding.amending import spoken
from guard.guarding.answers import blocked, decide, settle
from guard.guarding.choices import Asked, Judged
from guard.guarding.decision import Decision, decision_id
from guard.guarding.editing import edited
from guard.guarding.history import Change
from guard.guarding.incoming import Answer, Incoming, Unscannable
from guard.guarding.post import MENDS, Post, worse
from guard.guarding.prompts import TEXT, Heard, hear, where
from guard.guarding.replying import Reason
from guard.guarding.rulings import Admission, Redraw, Ruling
from guard.guarding.tally import Tally
from guard.verdict import Coverage, Verdict
from guard.window import Stopped, Window
from rules.schema import Action

PASS = Admission(Action.ALLOW)
"""A prompt goes on as it came."""

_ENOUGH = 40
"""Characters that a stopped stream must have held back for a revision to make anything of them."""


class Watch:
    """One request under guard, from the prompt to the last byte. What happens is collected for its decision."""

    def __init__(
        self,
        post: Post,
        incoming: Incoming,
        id: str | None = None,  # noqa: A002
        *,
        redraws: bool = True,
    ) -> None:
        """A watch over a request that has not been looked at.

        Args:
            post: whose.
            incoming: the request.
            id: of its decision; made where left out.
            redraws: whether the model can be asked again.
        """
        self.id = id or decision_id()
        self.early = post.early
        """Whether the model may be asked while the prompt is still being judged: false where a rule redacts prompts,
        since what is redacted must not have been sent."""
        self.instant = post.instant and _size(incoming.messages) <= INLINE_LIMIT
        """Whether judging the prompt takes microseconds and never waits: then it is done first. Never where a detector
        runs a model, nor for very long prompts."""
        self._post = post
        self._incoming = incoming
        self._redraws = redraws
        self._tally = Tally(post, self.id)
        self._asked = Asked(post.replies, incoming.messages, incoming.messages)
        self._window: Window | None = None

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation as it came."""
        return self._incoming.messages

    @property
    def language(self) -> str:
        """Tag of the language in which the user is answered."""
        return self._asked.language

    async def admit(self) -> Admission:
        """Judge the prompt."""
        began = time.perf_counter()
        post, tally, incoming = self._post, self._tally, self._incoming
        heard = await hear(post, incoming.messages, tally)
        admission = PASS
        if heard.findings or heard.changes or heard.action is not Action.ALLOW or incoming.unscannable:
            admission = self._admission(heard)
        tally.spent("gate.prompt", time.perf_counter() - began)
        return admission

    async def rule(self, answers: Sequence[Answer], redraw: Redraw | None = None) -> list[Ruling]:
        """Judge the choices of an answer that came whole, and mend or replace those that break a rule.

        Args:
            answers: the choices.
            redraw: asks the model again, for `resample`; without it the reply stands.

        Returns:
            a ruling a choice, in order.
        """
        tally = self._tally
        began, amended = time.perf_counter(), tally.ms.get("amend", 0.0)
        rulings = await decide(self._post, self._asked, answers, redraw, tally)
        mending = (tally.ms.get("amend", 0.0) - amended) / 1000
        tally.spent("gate.answer", max(0.0, time.perf_counter() - began - mending))
        return rulings

    def window(self) -> Window:
        """The release window for the answer's stream; made once a request.

        Not for a prompt whose admission asks for a whole answer: what leaves a window can no longer be mended.
        """
        if self._window is None:
            post = self._post
            asked = self._asked
            self._window = Window(post.gate, asked.exchange, post.window, before=asked.begun, shadow=post.shadow)
        return self._window

    async def stopped(self, choice: int, stopped: Stopped, redraw: Redraw | None = None) -> Ruling:
        """What takes the place of what a stopped choice still held.

        Where nothing of the choice has left, it is mended as a whole answer is: revised from what was held, if that is
        more than a few words, or drawn again. Else the reply follows what has left, set off by an empty line.

        Args:
            choice: which.
            stopped: what the window said; or, made by the caller, `degraded` under `unscannable` what may not leave.
            redraw: as for `rule`.
        """
        post, asked, tally = self._post, self._asked, self._tally
        held = Answer({channel: text for channel, text in stopped.dropped.items() if text})
        mends = stopped.action is Action.RESAMPLE or len(held.texts.get(TEXT, "")) >= _ENOUGH
        if stopped.action in MENDS and mends and not any(stopped.released.values()) and not stopped.degraded:
            verdict = Verdict(stopped.action, stopped.findings, Coverage(), post.gate.digest, {})
            ruling = await settle(post, asked, Judged(held, {stopped.channel: verdict}), redraw, tally)
            ruling = self._as_text(ruling, stopped)
        else:
            if stopped.action in MENDS:
                tally.unmended(_unmended(post, stopped, redraws=redraw is not None))
            reason: Reason = "answer" if "unscannable" in stopped.degraded else "degraded"
            ruling = blocked(post, asked, stopped.findings, reason, Action.REDACT)
            if stopped.released.get(TEXT):
                ruling = replace(ruling, text=f"\n\n{ruling.text}")
            if reason == "degraded" and stopped.degraded:
                tally.cover(Coverage(degraded=stopped.degraded))
        tally.did(ruling.action)
        return ruling

    def unknown(self, what: Unscannable) -> bool:
        """Note something in the answer that cannot be scanned.

        Returns:
            whether it may leave all the same.
        """
        self._tally.unscannable.append(what)
        action = Action(self._post.settings.unscannable)
        if self._post.shadow:
            self._tally.spare(action)
            return True
        self._tally.did(action)
        return action is not Action.BLOCK

    def reply(self, reason: Reason) -> str:
        """What the user reads, in their language, where the guard ends an answer and no rule was found broken."""
        return self._post.replies.to_reason(reason, self._asked.language)

    def spent(self, stage: str, seconds: float) -> None:
        """Note what a stage outside the guard took, as `upstream`."""
        self._tally.spent(stage, seconds)

    def decision(self, *, complete: bool = True) -> Decision:
        """All that has been found and done so far."""
        return self._tally.decide(self._window, complete=complete)

    def _admission(self, heard: Heard) -> Admission:
        post, tally, incoming = self._post, self._tally, self._incoming
        action = heard.action
        if incoming.unscannable:
            tally.unscannable += incoming.unscannable
            action = worse(action, Action(post.settings.unscannable))
        if post.shadow:
            tally.spare(action)
            return PASS
        least = heard.least
        if why := post.cannot(action, redraws=self._redraws):
            # Whatever the model said, the reply would take its place.
            tally.unmended(why)
            action, least = Action.BLOCK, Action.REVISE
        if action is Action.BLOCK:
            reason: Reason = "degraded" if heard.action is Action.BLOCK else "unscannable"
            ruling = blocked(post, self._asked, heard.findings, reason, least)
            tally.did(Action.BLOCK)
            return Admission(Action.BLOCK, reply=ruling.text or "", rules=ruling.rules)
        edits = dict(heard.edits)
        for change in heard.changes:
            edits[change.index, change.channel] = self._shown(change)
        if edits:
            action = worse(action, Action.REDACT)
        self._asked = Asked(post.replies, edited(incoming.messages, edits), incoming.messages, heard.mends)
        # What becomes of the answer is told by its ruling.
        tally.did(action if action not in MENDS else Action.REDACT if edits else Action.FLAG)
        return Admission(action, edits, rules=post.ranked(heard.findings), whole=bool(heard.mends))

    def _as_text(self, ruling: Ruling, stopped: Stopped) -> Ruling:
        """A ruling as a stream that has begun can carry it out: another draw is told as text, if it is all text."""
        if ruling.answer is None:
            return ruling
        if any(channel.kind == "tool" for channel in ruling.answer.texts):
            self._tally.unmended("another draw calls tools, which a stream that has begun cannot tell")
            return blocked(self._post, self._asked, stopped.findings, "degraded", Action.REVISE)
        return Ruling(ruling.action, text=spoken(ruling.answer), rules=ruling.rules)

    def _shown(self, change: Change) -> str:
        """What the model reads in place of an older text."""
        if change.text is not None:
            return change.text
        role = self._incoming.messages[change.index].role
        self._tally.withheld.append(where(change.index, change.channel))
        return self._post.replies.note(change.rule, role, change.channel, self._asked.language)


def _unmended(post: Post, stopped: Stopped, *, redraws: bool) -> str:
    """Why a stopped choice cannot be mended."""
    if stopped.degraded:
        return "a check could not be made"
    if any(stopped.released.values()):
        return "part of the answer had left"
    return post.cannot(stopped.action, redraws=redraws) or "too little of the answer was held"


def _size(messages: Sequence[Message]) -> int:
    """Characters of all texts."""
    size = 0
    for message in messages:
        size += len(message.content)
        if message.reasoning or message.tool_calls:
            size += len(message.reasoning or "") + sum(map(len, message.tool_calls))
    return size
