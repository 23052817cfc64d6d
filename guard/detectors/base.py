"""The one protocol of a detector: what goes in, what comes out, and what it owes to coverage.

The gate knows detectors by this protocol alone, so that each can be replaced without touching gate or callers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from guard.exchange import Exchange
from guard.verdict import Finding
from rules.schema import Part, Rule


@dataclass(frozen=True, slots=True)
class Scan:
    """What one detector saw in one exchange."""

    findings: tuple[Finding, ...] = ()
    """Rules at or above their threshold, with spans."""

    scores: Mapping[str, float] = field(default_factory=dict)
    """Rule id -> highest score from 0 to 1, below the threshold too. A rule left out scored 0."""

    topics: Mapping[str, float] = field(default_factory=dict)
    """Rule id -> how near the text is to what the rule is about, from -1 to 1, whether or not it breaks it."""

    clear: bool = False
    """Plainly harmless: the detectors that look only where this is in doubt (`Detector.skips_clear`) need not look."""

    unsure: frozenset[str] = frozenset()
    """Rules whose score lies in the band below the threshold where a dearer detector is to be asked."""

    failed: Mapping[str, str] = field(default_factory=dict)
    """Rule id -> why it could not be looked for in this exchange. The gate counts these as degraded."""

    partial: str = ""
    """What of the text was left out, because it goes beyond the detector's limits; empty where all was looked at."""


@dataclass(frozen=True, slots=True)
class Cover:
    """Whether a detector looks for a rule in a part. Exactly one of the two fields is filled."""

    by: str = ""
    """The name under which coverage lists the rule: the detector's, or `name:how` where it looks in a weaker way."""

    why_not: str = ""
    """Why it does not look."""

    def __bool__(self) -> bool:
        return bool(self.by)


NOTHING = Scan()
"""The scan of an exchange in which nothing was seen."""


@runtime_checkable
class Detector(Protocol):
    """Looks for the rules of one constitution, which it was made for. Must be safe to call from several threads."""

    @property
    def name(self) -> str:
        """One word; stands in findings, coverage and times."""

    @property
    def identity(self) -> str:
        """What, beside the constitution, determines its findings: version, model, weights."""

    @property
    def instant(self) -> bool:
        """Whether a short text costs microseconds, so that it may run on an event loop."""

    @property
    def skips_clear(self) -> bool:
        """Whether it need not look at what a detector before it has called clear."""

    def covers(self, rule: Rule, part: Part) -> Cover:
        """Whether it looks for `rule` in `part`; asked once a part, not once a text."""

    def scan(self, exchanges: Sequence[Exchange]) -> list[Scan]:
        """Look at the last message of each exchange.

        Returns:
            one scan an exchange, in order.

        Raises:
            Exception: any; the gate turns it into degraded coverage, and blocks where a rule's `on_error` says so.
        """

    def close(self) -> None:
        """Let go of models and threads. May be called twice."""


@runtime_checkable
class Bordered(Detector, Protocol):
    """A detector whose findings begin at a score that is known beforehand."""

    def threshold(self, rule: Rule, part: Part) -> float:
        """The score from which `rule` is found broken in `part`, a part that it watches."""


@runtime_checkable
class AskedDetector(Detector, Protocol):
    """A detector that asks a model elsewhere, and only about the rules that those before it left open."""

    async def ask(self, exchanges: Sequence[Exchange], rules: Sequence[frozenset[str]]) -> list[Scan]:
        """Look at the last message of each exchange for the rules named beside it; an empty set asks nothing.

        Rules that it could not ask about stand in `Scan.failed`; it raises only what makes every answer impossible.
        """

    def always(self, rule: Rule) -> bool:
        """Whether it is asked about the rule whatever the detectors before it have seen."""


def parts(exchange: Exchange) -> tuple[tuple[Part, str], ...]:
    """The parts under judgement and their texts: the last message, the reasoning kept apart from it, and its calls."""
    last = exchange.messages[-1]
    if last.reasoning is None and not last.tool_calls:
        return ((exchange.part, last.content),)
    thought = () if last.reasoning is None else ((Part.REASONING, last.reasoning),)
    return ((exchange.part, last.content), *thought, *((Part.TOOL_CALL, call) for call in last.tool_calls))


def excerpt(text: str, span: tuple[int, int], limit: int = 160) -> str:
    """The words of a finding for a person to read, cut to `limit` characters."""
    start, end = span
    return text[start:end] if end - start <= limit else text[start : start + limit - 1] + "…"
