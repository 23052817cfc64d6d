"""The guard: a gate in front of a model and behind it, and what is done about what it finds.

guard = Guard(Gate.build(load("base").constitution), model=open_model("embedded"))
guarded = await guard.chat([Message("user", "...")])
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from guard.exchange import Message
from guard.gate import Gate
from guard.guarding.decision import Decision
from guard.guarding.incoming import Answer, Incoming, Unscannable
from guard.guarding.reviser import Reviser
from guard.guarding.rulings import Admission, Redraw, Ruling
from guard.guarding.settings import GuardSettings
from guard.models.base import ChatModel, Sampling
from guard.window import Stopped, Window


@dataclass(frozen=True, slots=True)
class Guarded:
    """What a guarded model says."""

    text: str
    decision: Decision


class Guard:
    """Guards requests by one constitution; it is used by many requests at once."""

    def __init__(
        self,
        gate: Gate,
        *,
        model: ChatModel | None = None,
        reviser: Reviser | None = None,
        settings: GuardSettings | None = None,
    ) -> None:
        """A guard round a gate, which it closes with itself.

        Args:
            gate: what judges.
            model: what `chat` asks; not needed where a server asks the model itself.
            reviser: what mends answers; without one, the rule's reply takes the place of every revision.
            settings: how it acts.
        """
        raise NotImplementedError

    async def chat(self, messages: Sequence[Message] | str, sampling: Sampling | None = None) -> Guarded:
        """Ask the model, guarded."""
        raise NotImplementedError

    def watch(self, incoming: Incoming, *, id: str | None = None) -> Watch:  # noqa: A002
        """Begin to guard one request."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the gate. May be called twice."""


class Watch:
    """One request under guard, from the prompt to the last byte. What happens is collected for its decision."""

    id: str
    early: bool
    """Whether the model may be asked while the prompt is still being judged: false where a rule redacts prompts, since
    what is redacted must not have been sent."""
    instant: bool
    """Whether judging the prompt takes microseconds and never waits: then it is done first."""

    async def admit(self) -> Admission:
        """Judge the prompt."""
        raise NotImplementedError

    async def rule(self, answers: Sequence[Answer], redraw: Redraw | None = None) -> list[Ruling]:
        """Judge the choices of an answer that came whole, and mend or replace those that break a rule.

        Args:
            answers: the choices.
            redraw: asks the model again, for `resample`; without it the reply stands.

        Returns:
            a ruling a choice, in order.
        """
        raise NotImplementedError

    def window(self) -> Window:
        """The release window for the answer's stream; made once a request."""
        raise NotImplementedError

    async def stopped(self, choice: int, stopped: Stopped) -> Ruling:
        """What takes the place of what a stopped choice still held: a revision where nothing has left, or the reply."""
        raise NotImplementedError

    def unknown(self, what: Unscannable) -> bool:
        """Note something in the answer that cannot be scanned.

        Returns:
            whether it may leave all the same.
        """
        raise NotImplementedError

    def spent(self, stage: str, seconds: float) -> None:
        """Note what a stage outside the guard took, as `upstream`."""
        raise NotImplementedError

    def decision(self, *, complete: bool = True) -> Decision:
        """All that has been found and done so far."""
        raise NotImplementedError
