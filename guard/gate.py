"""The gate: an exchange and a constitution in, a verdict out. It changes nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from types import TracebackType
from typing import Literal, Self
from weakref import WeakKeyDictionary

from guard.batching import Batcher
from guard.detectors.base import Detector, Scan, parts
from guard.exchange import Exchange
from guard.verdict import Coverage, Finding, Verdict
from rules.schema import Action, Constitution, Part, Rule

INLINE_LIMIT = 16_384
"""Characters up to which instant detectors run on the event loop itself: tens of microseconds."""

BATCH_LIMIT = 64
"""Exchanges that share one run of the models."""

_WORSE = {action: rank for rank, action in enumerate(Action)}


@dataclass(frozen=True, slots=True)
class _Plan:
    """What follows from the parts under judgement alone, worked out once."""

    coverage: Coverage
    scores: Mapping[str, float]
    """Rule id -> 0, for every rule that is looked for."""
    on_error: Mapping[str, Action]
    """Detector -> the action if it fails."""


class Gate:
    """Judges exchanges by a constitution. Safe to use from several threads and event loops."""

    def __init__(self, constitution: Constitution, detectors: Sequence[Detector]) -> None:
        """A gate of ready detectors, cheapest first, which it closes with itself."""
        from rules.digest import constitution_digest

        self.constitution = constitution
        self.detectors = tuple(detectors)
        self.digest = constitution_digest(constitution)
        self._rules = {rule.id: rule for rule in constitution}
        self._instant = all(detector.instant for detector in self.detectors)
        self._plan = lru_cache(maxsize=32)(self._make_plan)
        self._executor: ThreadPoolExecutor | None = None
        self._batchers: WeakKeyDictionary[asyncio.AbstractEventLoop, Batcher[Exchange, Verdict]] = WeakKeyDictionary()

    @classmethod
    def build(cls, constitution: Constitution, *, encoder: str | None = "default") -> Gate:
        """A gate of all detectors, loaded and ready.

        Args:
            constitution: the rules in force.
            encoder: a sentence-transformers model by id or path for the meaning detector; `default` is
                all-MiniLM-L6-v2; None leaves meaning out, and then no model is loaded.

        Raises:
            PatternError: a pattern cannot be scanned safely.
            EncoderError: the encoder cannot be loaded.
        """
        from guard.detectors.patterns import Patterns

        detectors: list[Detector] = [Patterns(constitution)]
        if encoder is not None:
            from guard.detectors.meaning import MeaningDetector

            detectors.append(MeaningDetector(constitution, encoder))
        return cls(constitution, detectors)

    @property
    def identity(self) -> str:
        """What determines its verdicts: the constitution's digest, and each detector with its models."""
        return " ".join([f"constitution={self.digest}", *(detector.identity for detector in self.detectors)])

    def judge(self, exchange: Exchange) -> Verdict:
        """Judge the last message of an exchange. Blocks while models run; on an event loop use `ajudge`."""
        return self.judge_many((exchange,))[0]

    def judge_many(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        """Judge the last message of each exchange, in one batch through each detector.

        Returns:
            one verdict an exchange, in order. `ms` is the exchange's share of the batch's time.
        """
        if not exchanges:
            return []
        scans: list[dict[str, Scan | Exception]] = [{} for _ in exchanges]
        ms: dict[str, float] = {}
        for detector in self.detectors:
            start = time.perf_counter()
            for seen, scan in zip(scans, _scan(detector, exchanges), strict=True):
                seen[detector.name] = scan
            ms[detector.name] = (time.perf_counter() - start) * 1000 / len(exchanges)
        return [self._decide(exchange, seen, ms) for exchange, seen in zip(exchanges, scans, strict=True)]

    async def ajudge(self, exchange: Exchange) -> Verdict:
        """Judge without holding up the event loop; concurrent callers share batches through the models."""
        if self._instant and sum(len(text) for _, text in parts(exchange)) <= INLINE_LIMIT:
            return self.judge_many((exchange,))[0]
        loop = asyncio.get_running_loop()
        batcher = self._batchers.get(loop)
        if batcher is None:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(1, thread_name_prefix="wardlaw-gate")
            batcher = self._batchers[loop] = Batcher(self.judge_many, self._executor, BATCH_LIMIT)
        return await batcher.ask(exchange)

    def close(self) -> None:
        """Close the detectors and the worker thread. May be called twice."""
        executor, self._executor = self._executor, None
        self._batchers.clear()
        if executor is not None:
            executor.shutdown(wait=True, cancel_futures=True)
        for detector in self.detectors:
            detector.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        self.close()
        return False

    def _decide(self, exchange: Exchange, scans: Mapping[str, Scan | Exception], ms: Mapping[str, float]) -> Verdict:
        plan = self._plan(tuple(part for part, _ in parts(exchange)))
        action = Action.ALLOW
        findings: list[Finding] = []
        scores = plan.scores
        topics: Mapping[str, float] = {}
        degraded: dict[str, str] = {}
        for name, scan in scans.items():
            if isinstance(scan, Exception):
                degraded[name] = str(scan) or type(scan).__name__
                action = _worse(action, plan.on_error[name])
                continue
            if scan.scores:
                scores = {**scores, **{rule: max(score, scores.get(rule, 0.0)) for rule, score in scan.scores.items()}}
            topics = scan.topics or topics
            for finding in scan.findings:
                findings.append(finding)
                rule = self._rules[finding.rule]
                if rule.mode == "enforce":
                    action = _worse(action, rule.action(finding.part))
        coverage = plan.coverage
        if degraded:
            coverage = _without(coverage, degraded)
        return Verdict(action, tuple(findings), coverage, self.digest, ms, scores, topics)

    def _make_plan(self, under: tuple[Part, ...]) -> _Plan:
        scanned: dict[str, list[str]] = {detector.name: [] for detector in self.detectors}
        on_error = dict.fromkeys(scanned, Action.ALLOW)
        not_scanned = {}
        for rule in self.constitution:
            why_not = []
            for detector in self.detectors:
                covers = [detector.covers(rule, part) for part in under if part in rule.watches]
                if rule.detect is None or not any(covers):
                    why_not += [f"{detector.name}: {cover.why_not}" for cover in covers[:1]]
                    continue
                for by in {cover.by: None for cover in covers if cover}:
                    scanned.setdefault(by, []).append(rule.id)
                if rule.mode == "enforce" and rule.on_error == "block":
                    on_error[detector.name] = Action.BLOCK
            if not any(rule.id in ids for ids in scanned.values()):
                not_scanned[rule.id] = _why_not(rule, under, why_not)
        coverage = Coverage({by: tuple(ids) for by, ids in scanned.items()}, not_scanned)
        found = [rule.id for rule in self.constitution if rule.id not in not_scanned]
        return _Plan(coverage, dict.fromkeys(found, 0.0), on_error)


def _scan(detector: Detector, exchanges: Sequence[Exchange]) -> Sequence[Scan | Exception]:
    try:
        scans = detector.scan(exchanges)
        if len(scans) == len(exchanges):
            return scans
        return [RuntimeError(f"{len(scans)} scans for {len(exchanges)} exchanges")] * len(exchanges)
    except Exception as error:
        if len(exchanges) == 1:
            return [error]
    # One text that a detector cannot take must not degrade the verdicts on its neighbours in the batch.
    return [_scan(detector, (exchange,))[0] for exchange in exchanges]


def _worse(one: Action, other: Action) -> Action:
    return one if _WORSE[one] >= _WORSE[other] else other


def _without(coverage: Coverage, degraded: Mapping[str, str]) -> Coverage:
    """The coverage with the broken detectors' rules taken out of `scanned`, and named where nothing else looked."""
    scanned = {by: ids for by, ids in coverage.scanned.items() if by.partition(":")[0] not in degraded}
    lost = {rule for by, ids in coverage.scanned.items() if by not in scanned for rule in ids}
    seen = {rule for ids in scanned.values() for rule in ids}
    why = "its detector failed: " + ", ".join(degraded)
    return Coverage(scanned, {**coverage.not_scanned, **dict.fromkeys(sorted(lost - seen), why)}, degraded)


def _why_not(rule: Rule, under: Sequence[Part], why_not: Sequence[str]) -> str:
    if rule.detect is None:
        return "it has no `detect`: only the loop uses it"
    if not set(under) & set(rule.watches):
        return "it does not watch the " + " or the ".join(under)
    return "; ".join(why_not) or "the gate has no detector for it"
