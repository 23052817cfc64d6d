"""What the proxy needs to know of an API: where its texts stand, and how it says that something was withheld.

A dialect never loses what it does not know: requests and answers are read in place, and copies are made only of what
is rewritten.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

from guard.guarding.incoming import Answer, Incoming, Unscannable
from guard.guarding.rulings import Place, Ruling
from guard.window.outcomes import Channel
from rules.errors import WardlawError
from server.upstreams.base import Event

Json: TypeAlias = dict[str, Any]

Delta: TypeAlias = tuple[int, Channel, str]
"""Choice, channel, text."""

Ending: TypeAlias = Literal["filter", "refusal"]
"""How a reply of the guard is shaped: as an ordinary text whose ending says that it was filtered, or in the field or
part that the API has for refusals, where it has one."""


class BadRequest(WardlawError):
    """A request that the API would not take: told in one line, with where and what to do."""

    def __init__(self, where: str, what: str, hint: str = "") -> None:
        """Args: where: the place, as `messages[2].content`."""
        super().__init__(f"{where}: {what}" if where else what, hint)
        self.where = where


@dataclass(frozen=True, slots=True)
class Fault:
    """An error that a client is told."""

    status: int
    kind: str
    """The general kind, in lower case words joined by underlines: `invalid_request`, `authentication`, `permission`,
    `not_found`, `too_large`, `rate_limit`, `upstream`, `timeout`, `overloaded`, `internal`, `content_filter`. Each
    dialect has its own word for it."""
    message: str
    retry_after: float | None = None
    """Seconds."""
    where: str = ""


class Dialect(Protocol):
    """One API. Stateless; safe to use from many requests at once."""

    name: str
    """`chat_completions`, `messages`, `responses`: stands in audit rows, metrics and coverage."""

    def read(self, body: Json) -> Incoming:
        """The conversation in a request.

        Raises:
            BadRequest: something in it cannot be read, so that it could pass unscanned.
        """

    def prepared(self, body: Json) -> Json:
        """A request that `read` has taken, as the upstream can take it up: itself, but where it speaks of something
        that the guard has made and the upstream does not know."""

    def streams(self, body: Json) -> bool:
        """Whether the request asks for a stream."""

    def edited(self, body: Json, edits: Mapping[Place, str]) -> Json:
        """A copy of a request with some texts replaced; places are those of `read`."""

    def answers(self, response: Json) -> list[Answer]:
        """The choices of an answer that came whole: every text a client could read, in its channel.

        Raises:
            ValueError: it has not the shape of an answer of this API.
        """

    def ruled(self, response: Json, rulings: Sequence[Ruling], ending: Ending) -> Json:
        """A copy of an answer with the rulings carried out; log-probabilities go with the text they tell of."""

    def redrawn(self, body: Json, count: int) -> list[Json]:
        """The requests that draw so many further answers, none of them a stream."""

    def reply(self, body: Json, text: str, ending: Ending) -> Json:
        """A whole answer that is the guard's own."""

    def fault(self, fault: Fault) -> Json:
        """The body of an error."""

    def stream(self, body: Json, ending: Ending) -> Streamed:
        """The state for one stream that answers this request."""


class Streamed(Protocol):
    """One stream of an API: where its events carry text, and how it goes on where some is withheld.

    The proxy calls `texts` for each event as it comes, holds it until all its texts may leave, then lets it go as it
    came, or as `cut` or `settled` have made it anew.
    """

    def texts(self, event: Event) -> list[Delta]:
        """The new texts in an event, in order: what this event adds to its channels, never what it repeats.

        Raises:
            ValueError: the event has not the shape of an event of this API.
        """

    def unscannable(self, event: Event) -> Unscannable | None:
        """What in an event cannot be scanned, an event of unknown kind itself among it."""

    def cut(self, event: Event, texts: Mapping[tuple[int, Channel], str], *, first: bool, last: bool) -> Event | None:
        """A copy of an event with other texts in place of its own.

        Args:
            event: as it came.
            texts: what stands there instead; a text that is left out is taken out.
            first: whether this is the event's first piece; only that one has what must come once (a role, a name).
            last: whether it is its last piece; only that one has an ending. Log-probabilities stay only in a piece
                that is both and whose texts are unchanged; they would tell what was withheld.

        Returns:
            None where nothing is left to send.
        """

    def settled(self, event: Event, sent: Mapping[tuple[int, Channel], str]) -> Event:
        """The event as it may leave: whatever it repeats of earlier texts is replaced by what has been sent of them.

        Args:
            event: about to leave.
            sent: all that has left, this event's own texts included, a channel of a choice. Kept only where
                `repeats` is true, else empty.
        """

    @property
    def repeats(self) -> bool:
        """Whether events of this API repeat whole texts, so that what was sent has to be kept."""

    def without(self, event: Event, choices: Set[int]) -> Event | None:
        """A copy of an event without what belongs to choices that were stopped, their ending too.

        Returns:
            the event itself where none of them is in it, None where nothing is left.
        """

    def stopped(self, choice: int, ruling: Ruling) -> list[Event]:
        """The events that end one choice with `ruling.text`; what comes for the choice after that goes by `without`."""

    def ended(self) -> list[Event]:
        """The events that end the whole stream properly, after all its choices were stopped or where the upstream
        broke no rule but its end was swallowed."""

    def choices(self) -> int:
        """How many choices the stream has, as far as is known: when all are stopped, the stream is over."""

    def fault(self, fault: Fault) -> list[Event]:
        """The events that tell an error in the middle of a stream, its end included."""

    def whole(self, response: Json) -> list[Event]:
        """A stream that says what a whole answer says: for a reply or an answer that was held back until it was
        checked."""

    def noted(self, event: Event, wardlaw: Json) -> Event:
        """A copy of an event with the object `wardlaw` added, or the event itself where clients would lose it there:
        then the one before it is tried."""
