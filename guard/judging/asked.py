"""What judge and guard models have in common as detectors: exchanges are cut to pieces, asked about, put together."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from guard.detectors.base import NOTHING, Cover, Scan, parts
from guard.exchange import Exchange
from guard.judging.asker import Asker, NotAnswered
from guard.judging.backstage import Backstage
from guard.judging.pieces import Piece, pieces_of
from guard.judging.settings import AskLimits
from guard.models.base import ChatModel, ModelUnavailable
from guard.verdict import Finding
from rules.digest import rule_digest
from rules.schema import Constitution, Part, Rule

Read = TypeVar("Read")

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Seen:
    """What came of asking about rules in one piece, or in several."""

    findings: list[Finding] = field(default_factory=list)
    scores: dict[str, float] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def add(self, other: Seen) -> None:
        """Take in what was seen elsewhere."""
        self.findings += other.findings
        for rule, score in other.scores.items():
            self.scores[rule] = max(score, self.scores.get(rule, 0.0))
        self.failed.update(other.failed)

    def scan(self) -> Scan:
        """The whole as a scan. What was found broken somewhere has not failed, whatever happened elsewhere."""
        broken = {finding.rule for finding in self.findings}
        failed = {rule: why for rule, why in self.failed.items() if rule not in broken}
        return Scan(tuple(self.findings), self.scores, failed=failed)


class ModelDetector(ABC, Generic[Read]):
    """A detector that asks a chat model, on an event loop of its own. It owns the model, and closes it with itself."""

    instant = False
    skips_clear = False

    def __init__(self, constitution: Constitution, model: ChatModel, limits: AskLimits) -> None:
        self._rules = {rule.id: rule for rule in constitution}
        self._digests = {rule.id: rule_digest(rule) for rule in constitution}
        self._model = model
        self._limits = limits
        self._backstage = Backstage(self.name)
        self._asker: Asker[Read] | None = None

    @property
    @abstractmethod
    def name(self) -> str:
        """One word; stands in findings, coverage and times."""

    @property
    @abstractmethod
    def identity(self) -> str:
        """What, beside the constitution, determines its findings."""

    @abstractmethod
    def covers(self, rule: Rule, part: Part) -> Cover:
        """Whether it looks for `rule` in `part`."""

    @abstractmethod
    async def _look(self, asker: Asker[Read], piece: Piece, rules: Sequence[Rule]) -> Seen:
        """Ask about the rules in one piece. What could not be asked stands in `Seen.failed`."""

    def always(self, rule: Rule) -> bool:
        """Whether the rule wants it asked whatever the detectors before it have seen."""
        return rule.detect is not None and rule.detect.judge.when == "always"

    def scan(self, exchanges: Sequence[Exchange]) -> list[Scan]:
        """Ask about every rule it covers. Blocks; must not be called on an event loop.

        Raises:
            ModelUnavailable: the detector is closed.
        """
        every = frozenset(self._rules)
        try:
            return self._submit(exchanges, [every] * len(exchanges)).result()
        except concurrent.futures.CancelledError:
            raise self._is_closed() from None

    async def ask(self, exchanges: Sequence[Exchange], rules: Sequence[frozenset[str]]) -> list[Scan]:
        """Ask about the rules named beside each exchange; those it does not cover are left out.

        Raises:
            ModelUnavailable: the detector is closed.
        """
        try:
            return await asyncio.wrap_future(self._submit(exchanges, rules))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise self._is_closed() from None

    def close(self) -> None:
        """Close the model and end the thread."""
        self._backstage.close(self._model.close())

    def _submit(
        self, exchanges: Sequence[Exchange], rules: Sequence[frozenset[str]]
    ) -> concurrent.futures.Future[list[Scan]]:
        try:
            return self._backstage.submit(self._scan_all(exchanges, rules))
        except RuntimeError:
            raise self._is_closed() from None

    def _is_closed(self) -> ModelUnavailable:
        return ModelUnavailable(f"the {self.name} is closed", "open it again")

    async def _scan_all(self, exchanges: Sequence[Exchange], rules: Sequence[frozenset[str]]) -> list[Scan]:
        if self._asker is None:
            self._asker = Asker(self._model, self._limits)  # here, since it belongs to this loop
        asker = self._asker
        return await asyncio.gather(
            *(self._scan(asker, exchange, wanted) for exchange, wanted in zip(exchanges, rules, strict=True))
        )

    async def _scan(self, asker: Asker[Read], exchange: Exchange, wanted: frozenset[str]) -> Scan:
        covered = self._covered(exchange, wanted)
        if not covered:
            return NOTHING
        seen, looks = Seen(), []
        cut = pieces_of(exchange, window=self._limits.window, context=self._limits.context)
        for part, pieces in cut.items():
            rules = covered.get(part, [])
            if len(pieces) > self._limits.most_windows:
                why = f"the {part.value} is too long to be asked about: {pieces[-1].span[1]:,} characters"
                seen.failed.update(dict.fromkeys((rule.id for rule in rules), why))
                continue
            looks += [self._look(asker, piece, rules) for piece in pieces if rules]
        try:
            for other in await asyncio.gather(*looks):
                seen.add(other)
        except Exception as error:  # one exchange that breaks something must not take its neighbours along
            _log.exception("%s broke on one exchange", self.name)
            named = {rule.id for rules in covered.values() for rule in rules}
            seen.failed.update(dict.fromkeys(named, str(error) or type(error).__name__))
        return seen.scan()

    def _covered(self, exchange: Exchange, wanted: frozenset[str]) -> Mapping[Part, list[Rule]]:
        """The wanted rules of each part, in the constitution's order."""
        found = {
            part: [rule for name, rule in self._rules.items() if name in wanted and self.covers(rule, part)]
            for part, _ in parts(exchange)
        }
        return {part: rules for part, rules in found.items() if rules}


def not_covered(rule: Rule, part: Part) -> str:
    """Why a rule is not to be asked about in a part; empty where it may be."""
    if rule.detect is None or rule.detect.judge.when == "never":
        return "the rule turns it off"
    if part not in rule.watches:
        return f"the rule does not watch the {part}"
    return ""


def why_failed(error: NotAnswered) -> str:
    """The reason as coverage shows it: one line."""
    return " ".join(error.what.split())
