"""What a window says to each piece it is fed: released, held, or stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from guard.exchange import Exchange, Message
from guard.verdict import Finding
from rules.schema import Action, Part


@dataclass(frozen=True, slots=True)
class Channel:
    """One of the texts that a choice is made of."""

    kind: Literal["text", "refusal", "reasoning", "tool", "aside"] = "text"
    """`tool`: the arguments of a tool call, which are JSON. `aside`: what a client can read beside the answer, as a
    citation or an unknown member; it is scanned as text is, and is no part of what the answer says."""
    index: int = 0
    """Which one, where a choice may have several: the index of the tool call."""

    @property
    def part(self) -> Part:
        """The part of an exchange that it is."""
        return _PARTS[self.kind]

    def exchange(self, prompt: Exchange, text: str) -> Exchange:
        """The exchange in which a stretch of this channel is judged."""
        if self.kind == "tool":
            said = Message("assistant", "", tool_calls=(text,))
        elif self.kind == "reasoning":
            said = Message("assistant", "", reasoning=text)
        else:
            said = Message("assistant", text)
        return Exchange((*prompt.messages, said))


_PARTS = {
    "text": Part.RESPONSE,
    "refusal": Part.RESPONSE,
    "reasoning": Part.REASONING,
    "tool": Part.TOOL_CALL,
    "aside": Part.RESPONSE,
}


@dataclass(frozen=True, slots=True)
class Released:
    """Text that may leave now."""

    text: str
    """As it is to be sent, redacted text replaced by the mask."""
    span: tuple[int, int]
    """Which characters of the channel's text these are; each release begins where the one before it ended."""
    redacted: tuple[tuple[int, int], ...] = ()
    """Spans within `span` that were replaced."""
    findings: tuple[Finding, ...] = ()
    """What was newly found and does not stop the stream; spans count from the start of the channel's text."""


@dataclass(frozen=True, slots=True)
class Held:
    """Nothing may leave now."""

    findings: tuple[Finding, ...] = ()
    """As in `Released`."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The choice is over: what was held is dropped, and nothing more of it will be released."""

    action: Action
    """The worst that the findings lead to: revise, resample or block."""
    findings: tuple[Finding, ...]
    """What was found; none where the choice is stopped because a scan failed."""
    channel: Channel
    """Where it was found."""
    released: Mapping[Channel, int] = field(default_factory=dict)
    """Characters of each channel that had left before."""
    dropped: Mapping[Channel, str] = field(default_factory=dict)
    """What was held and will never leave, or, for what is fed after the stop, that."""
    degraded: Mapping[str, str] = field(default_factory=dict)
    """Detector -> what went wrong with it, where that is why."""

    @property
    def released_upto(self) -> int:
        """Characters that had left of the channel in which it was found."""
        return self.released.get(self.channel, 0)


Outcome: TypeAlias = Released | Held | Stopped
