"""The look over joined turns: an attack said in pieces, one harmless piece a turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from guard.exchange import Exchange, Message
from guard.verdict import Finding, Verdict

TURNS = 4
"""User turns that are looked at together, the last one among them."""

ROOM = 4_000
"""Characters that the earlier ones may bring: a short look, whatever the length of the conversation."""

_BETWEEN = "\n"


@dataclass(frozen=True, slots=True)
class Joined:
    """The last turn with those before it, as one text."""

    exchange: Exchange
    start: int
    """Where the last turn begins in it."""


def earlier_turns(exchange: Exchange) -> tuple[Exchange, ...]:
    """The user turns before the last message, newest first, an exchange each; none unless a user speaks last."""
    if exchange.messages[-1].role != "user":
        return ()
    found: list[Exchange] = []
    room = ROOM
    for place in range(len(exchange.messages) - 2, -1, -1):
        message = exchange.messages[place]
        if message.role != "user" or not message.content.strip():
            continue
        room -= len(message.content)
        if room < 0 or len(found) == TURNS - 1:
            break
        found.append(Exchange((message,)))
    return tuple(found)


def join(exchange: Exchange, earlier: Sequence[tuple[Exchange, Verdict]]) -> Joined | None:
    """The last turn joined to those earlier ones (newest first) that broke no rule; None where there is none.

    A turn that was found broken was acted on when it came. Were it joined again, one bad turn would block the whole
    rest of the conversation.
    """
    texts = [turn.text for turn, verdict in reversed(earlier) if not verdict.findings]
    if not texts:
        return None
    before = _BETWEEN.join(texts) + _BETWEEN
    return Joined(Exchange((Message("user", before + exchange.text),)), len(before))


def crossing(joined: Joined, findings: Sequence[Finding], known: Sequence[Finding]) -> tuple[Finding, ...]:
    """The findings that only the joined text shows and that reach into the last turn, as findings in the last turn."""
    seen = {finding.rule for finding in known}
    crossed = []
    for finding in findings:
        start, end = finding.span
        if end > joined.start and finding.rule not in seen:
            span = (max(start, joined.start) - joined.start, end - joined.start)
            crossed.append(
                replace(finding, span=span, view=f"joined>{finding.view}" if finding.view != "raw" else "joined")
            )
    return tuple(crossed)
