"""The metrics, as Prometheus reads them.

With several workers each writes files into the folder that `PROMETHEUS_MULTIPROC_DIR` names, and whichever worker is
asked adds them up.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from guard.guarding.decision import kinds_of
from rules.schema import Action

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

    from server.record import Record

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
FOLDER = "PROMETHEUS_MULTIPROC_DIR"

_STAGES = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_HELD = (0, 16, 64, 128, 256, 512, 1024, 2048, 4096, 16384)
_RULES = 2000
"""Rules that have series of their own; those beyond are counted together, so that reloads cannot fill the memory."""

_MENDED = (Action.REVISE, Action.RESAMPLE)

_Cell: TypeAlias = "Callable[[float], None]"


class Metrics:
    """Counters and histograms of one worker. Children are looked up once and kept: a decision costs microseconds."""

    def __init__(self) -> None:
        """Register everything."""
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self.registry: CollectorRegistry = CollectorRegistry(auto_describe=True)
        own: dict[str, Any] = {"registry": self.registry}
        self._decisions: Counter = Counter(
            "wardlaw_decisions", "Requests decided, by what was done.", ("api", "action", "mode"), **own
        )
        self._findings: Counter = Counter(
            "wardlaw_findings", "Rules found broken, by what they led to.", ("rule", "action", "part"), **own
        )
        self._responses: Counter = Counter(
            "wardlaw_responses", "Answers by HTTP status.", ("api", "status", "streamed"), **own
        )
        self._faults: Counter = Counter("wardlaw_faults", "Requests that ended in an error.", ("kind",), **own)
        self._stages: Histogram = Histogram(
            "wardlaw_stage_seconds", "Time in a stage, where it ran.", ("stage",), buckets=_STAGES, **own
        )
        self._seconds: Histogram = Histogram(
            "wardlaw_request_seconds", "Time of whole requests.", ("api", "streamed"), buckets=_STAGES, **own
        )
        self._first: Histogram = Histogram(
            "wardlaw_first_text_seconds", "Time to the first text of a stream.", buckets=_STAGES, **own
        )
        self._first_added: Histogram = Histogram(
            "wardlaw_first_text_added_seconds", "Time that the first text was held back.", buckets=_STAGES, **own
        )
        self._held: Histogram = Histogram(
            "wardlaw_held_characters", "Most characters of a stream that were held at once.", buckets=_HELD, **own
        )
        self._degraded: Counter = Counter(
            "wardlaw_degraded", "Decisions in which a detector could not answer.", ("detector",), **own
        )
        self._amends: Counter = Counter(
            "wardlaw_amends", "Answers that a rule wanted mended, by what came of it.", ("outcome",), **own
        )
        self._reloads: Counter = Counter("wardlaw_reloads", "Reloads by what came of them.", ("outcome",), **own)
        self._shadow_judged: Counter = Counter(
            "wardlaw_shadow_judged", "Requests that a candidate judged too.", ("constitution",), **own
        )
        self._shadow_flips: Counter = Counter(
            "wardlaw_shadow_flips", "Those that it judges otherwise.", ("constitution", "direction"), **own
        )
        self._shadow_dropped: Counter = Counter(
            "wardlaw_shadow_dropped", "Requests that it was to judge and did not.", ("constitution", "why"), **own
        )
        self._shed: Counter = Counter("wardlaw_shed", "Requests turned away for lack of room.", **own)
        gauges: dict[str, Any] = {"multiprocess_mode": "livesum", **own}
        self.in_flight: Gauge = Gauge("wardlaw_in_flight", "Requests in hand.", **gauges)
        self.backlog: Gauge = Gauge(
            "wardlaw_audit_backlog_bytes", "Bytes of decisions that are not in the database yet.", **gauges
        )
        self.shadow_waiting: Gauge = Gauge(
            "wardlaw_shadow_waiting", "Requests that wait to be judged by a candidate.", **gauges
        )
        worst: dict[str, Any] = {"multiprocess_mode": "livemax", **own}
        self.lag: Gauge = Gauge("wardlaw_loop_lag_seconds", "How late the event loop runs.", **worst)
        self.reload_failed: Gauge = Gauge("wardlaw_reload_failed", "1 while the last reload failed.", **worst)
        self.in_force: Gauge = Gauge(
            "wardlaw_constitution_in_force", "1 for the digest in force.", ("constitution", "digest"), **worst
        )
        self.candidates: Gauge = Gauge(
            "wardlaw_candidate", "1 for the digest of the candidate.", ("constitution", "digest"), **worst
        )
        self.candidate_failed: Gauge = Gauge(
            "wardlaw_candidate_failed", "1 while the candidate's last load failed.", ("constitution",), **worst
        )
        self._cells: dict[Any, _Cell] = {}
        self._known_rules: set[str] = set()

    def decided(self, record: Record) -> None:
        """Count a handled request."""
        decision, cells, api = record.decision, self._cells, record.api
        action = decision.action
        key: Any = (api, action, decision.mode)
        cell = cells.get(key)
        if cell is None:
            cell = cells[key] = self._decisions.labels(api, str(action), decision.mode).inc
        cell(1)
        key = (api, record.status, record.streamed)
        both = cells.get(key)
        if both is None:
            streamed = "true" if record.streamed else "false"
            counted = self._responses.labels(api, str(record.status), streamed).inc
            timed = self._seconds.labels(api, streamed).observe

            def both(seconds: float) -> None:
                counted(1)
                timed(seconds)

            cells[key] = both
        both(record.seconds)
        for stage, ms in decision.ms.items():
            cell = cells.get(stage)
            if cell is None:
                cell = cells[stage] = self._stages.labels(stage).observe
            cell(ms / 1000)
        if record.first_s is not None:
            self._first.observe(record.first_s)
        if record.fault:
            self.failed(record.fault)
        for detector in decision.coverage.degraded:
            self._count(self._degraded, detector)
        if decision.amend:
            for why in kinds_of(decision.amend):
                self._count(self._amends, why)
        elif decision.rounds or decision.drawn:
            self._count(self._amends, "mended" if action in _MENDED else "left as it was")
        # One a rule and part: a rule that is seen at ten places of a text is broken once.
        for rule, part, enforced in {
            (each.finding.rule, each.finding.part, each.enforced) for each in decision.findings
        }:
            done = str(action) if enforced and decision.mode == "enforce" else "shadow"
            self._count(self._findings, self._rule(rule), done, str(part))

    def failed(self, kind: str) -> None:
        """Count a request that ended in an error."""
        self._count(self._faults, kind)

    def first(self, added_s: float) -> None:
        """Count how long a first text was held back."""
        self._first_added.observe(added_s)

    def held(self, characters: int) -> None:
        """Count how much of a stream was held."""
        self._held.observe(characters)

    def shed(self, requests: int) -> None:
        """Count requests that were turned away because the worker had too much in hand."""
        if requests:
            self._shed.inc(requests)

    def reloaded(self, outcome: str, *, failing: bool) -> None:
        """Count a reload: `swapped`, `unchanged` or `failed`; and whether some constitution's last one failed."""
        self._count(self._reloads, outcome)
        self.reload_failed.set(1 if failing else 0)

    def shadow_judged(self, constitution: str, flip: str) -> None:
        """Count a request that a candidate judged too; and how it judges otherwise, if it does."""
        self._count(self._shadow_judged, constitution)
        if flip:
            self._count(self._shadow_flips, constitution, flip)

    def shadow_dropped(self, constitution: str, why: str) -> None:
        """Count a request that a candidate was to judge and did not."""
        self._count(self._shadow_dropped, constitution, why)

    def constitutions(self, digests: Mapping[str, str], before: Mapping[str, str], *, candidates: bool = False) -> None:
        """Say which digests are in force, or which are those of candidates."""
        gauge = self.candidates if candidates else self.in_force
        for name, digest in before.items():
            if digests.get(name) != digest:
                gauge.labels(name, digest).set(0)
        for name, digest in digests.items():
            gauge.labels(name, digest).set(1)

    def candidates_failing(self, failed: Mapping[str, bool]) -> None:
        """Say of each constitution whether the last load of its candidate failed."""
        for name, has_failed in failed.items():
            self.candidate_failed.labels(name).set(1 if has_failed else 0)

    def page(self) -> bytes:
        """All of them, in Prometheus' text format; of all workers, where there are several."""
        from prometheus_client import CollectorRegistry, generate_latest

        if not os.environ.get(FOLDER):
            return generate_latest(self.registry)
        from prometheus_client.multiprocess import MultiProcessCollector

        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)

    def _count(self, counter: Counter, *labels: str) -> None:
        key = (counter, labels)
        cell = self._cells.get(key)
        if cell is None:
            cell = self._cells[key] = counter.labels(*labels).inc
        cell(1)

    def _rule(self, rule: str) -> str:
        if rule in self._known_rules:
            return rule
        if len(self._known_rules) >= _RULES:
            return "other"
        self._known_rules.add(rule)
        return rule
