"""The guard: a gate in front of a model and behind it, and what is done about what it finds.

guard = Guard(Gate.build(load("base").constitution), model=open_model("embedded"))
guarded = await guard.chat([Message("user", "...")])
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from guard.exchange import Message
from guard.gate import Gate
from guard.guarding.chatting import Guarded, chat, stream
from guard.guarding.incoming import Answer, Incoming, Unscannable
from guard.guarding.post import Post
from guard.guarding.reviser import Reviser
from guard.guarding.rulings import Admission, Redraw, Ruling
from guard.guarding.settings import GuardSettings
from guard.guarding.watch import Watch
from guard.models.base import ChatModel, Sampling
from rules.errors import WardlawError

__all__ = [
    "Admission",
    "Answer",
    "Guard",
    "GuardSettings",
    "Guarded",
    "Incoming",
    "Redraw",
    "Reviser",
    "Ruling",
    "Unscannable",
    "Watch",
]


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
            model: what `chat` asks; not needed where a server asks the model itself. It is not closed with the guard.
            reviser: what mends answers; without one, the rule's reply takes the place of every revision.
            settings: how it acts.
        """
        self.gate = gate
        self.model = model
        self.reviser = reviser
        self.settings = settings or GuardSettings()
        self._post = Post(gate, self.settings, reviser)

    async def chat(self, messages: Sequence[Message] | str, sampling: Sampling | None = None) -> Guarded:
        """Ask the model, guarded.

        Raises:
            WardlawError: the guard has no model.
            ModelError: the model could not answer.
        """
        return await chat(self._asked(), self.watch(_incoming(messages)), sampling or Sampling())

    def stream(
        self, messages: Sequence[Message] | str, sampling: Sampling | None = None
    ) -> AsyncGenerator[str | Guarded, None]:
        """Ask the model, guarded, and read the answer as it is released.

        Yields:
            pieces of the text, each scanned; at the end, once, the whole of it with the decision.

        Raises:
            WardlawError: the guard has no model.
            ModelError: the model could not answer.
        """
        return stream(self._asked(), self.watch(_incoming(messages)), sampling or Sampling())

    def watch(self, incoming: Incoming, *, id: str | None = None, redraws: bool = True) -> Watch:  # noqa: A002
        """Begin to guard one request.

        Args:
            incoming: the request.
            id: of its decision; made where left out.
            redraws: whether the answer can be drawn again; if not, `resample` on the prompt blocks it.
        """
        return Watch(self._post, incoming, id, redraws=redraws)

    @property
    def fault(self) -> str:
        """What is wrong with the reviser, while it is left alone; empty while nothing is."""
        breaker = self._post.breaker
        return f"the reviser failed too often in a row and is left alone: {breaker.last}" if breaker.open else ""

    def close(self) -> None:
        """Close the gate. May be called twice."""
        self.gate.close()

    def _asked(self) -> ChatModel:
        if self.model is None:
            hint = "give it one: `Guard(gate, model=open_model(...))`; a server that asks its upstream uses `watch`"
            raise WardlawError("the guard has no model to ask", hint)
        return self.model


def _incoming(messages: Sequence[Message] | str) -> Incoming:
    return Incoming((Message("user", messages),) if isinstance(messages, str) else tuple(messages))
