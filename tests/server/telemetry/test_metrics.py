"""What Prometheus reads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from server.record import Record
from server.telemetry.metrics import Metrics
from server.telemetry.telemetry import ServerTelemetry

ROOT = Path(__file__).parents[3]


def samples(page: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return samples(metrics.page()).get((name, tuple(sorted(labels.items()))))


def test_decisions_findings_statuses_and_times_are_counted(record: Callable[..., Record]) -> None:
    metrics = Metrics()
    for _ in range(3):
        metrics.decided(record())
    metrics.decided(record(rules=("a", "b", "a"), action="block", streamed=True, first_s=0.01))
    chat = {"api": "chat_completions"}
    assert value(metrics, "wardlaw_decisions_total", action="allow", mode="enforce", **chat) == 3
    assert value(metrics, "wardlaw_decisions_total", action="block", mode="enforce", **chat) == 1
    assert value(metrics, "wardlaw_findings_total", rule="a", action="block", part="prompt") == 1
    assert value(metrics, "wardlaw_responses_total", status="200", streamed="false", **chat) == 3
    assert value(metrics, "wardlaw_stage_seconds_count", stage="upstream") == 4
    assert value(metrics, "wardlaw_stage_seconds_sum", stage="gate.prompt") == 4 * 2.0 / 1000
    assert value(metrics, "wardlaw_request_seconds_count", streamed="true", **chat) == 1
    assert value(metrics, "wardlaw_first_text_seconds_count") == 1


def test_what_is_only_recorded_counts_as_shadow(record: Callable[..., Record]) -> None:
    metrics = Metrics()
    metrics.decided(record(rules=("a",), mode="shadow"))
    assert value(metrics, "wardlaw_findings_total", rule="a", action="shadow", part="prompt") == 1


def test_faults_degraded_detectors_and_streams_are_counted(record: Callable[..., Record]) -> None:
    metrics = Metrics()
    metrics.decided(record(fault="upstream", status=502, degraded={"judge": "it is down"}))
    metrics.failed("rate_limit")
    metrics.first(0.002)
    metrics.held(300)
    metrics.shed(2)
    assert value(metrics, "wardlaw_faults_total", kind="upstream") == 1
    assert value(metrics, "wardlaw_faults_total", kind="rate_limit") == 1
    assert value(metrics, "wardlaw_degraded_total", detector="judge") == 1
    assert value(metrics, "wardlaw_first_text_added_seconds_count") == 1
    assert value(metrics, "wardlaw_held_characters_bucket", le="512.0") == 1
    assert value(metrics, "wardlaw_shed_total") == 2


@pytest.mark.parametrize(
    ("fields", "outcomes"),
    [
        ({}, []),
        ({"rounds": 1, "action": "revise"}, ["mended"]),
        ({"rounds": 1}, ["left as it was"]),
        (
            {"amend": "no reviser; the reviser did not answer: ModelUnavailable", "action": "block"},
            ["no reviser", "the reviser did not answer"],
        ),
    ],
)
def test_what_came_of_mending_is_counted(
    record: Callable[..., Record], fields: dict[str, Any], outcomes: list[str]
) -> None:
    metrics = Metrics()
    made = record(action=fields.pop("action", "allow"))
    metrics.decided(replace(made, decision=replace(made.decision, **fields)))
    told = [dict(labels)["outcome"] for name, labels in samples(metrics.page()) if name == "wardlaw_amends_total"]
    assert sorted(told) == sorted(outcomes)


def test_the_digest_in_force_is_the_only_one_that_counts() -> None:
    metrics = Metrics()
    metrics.constitutions({"default": "old"}, {})
    metrics.constitutions({"default": "new"}, {"default": "old"})
    assert value(metrics, "wardlaw_constitution_in_force", constitution="default", digest="old") == 0
    assert value(metrics, "wardlaw_constitution_in_force", constitution="default", digest="new") == 1


def test_rules_that_come_and_go_without_end_do_not_fill_the_memory(record: Callable[..., Record]) -> None:
    metrics = Metrics()
    for number in range(2100):
        metrics.decided(record(rules=(f"rule-{number}",), action="block"))
    assert value(metrics, "wardlaw_findings_total", rule="other", action="block", part="prompt") == 100


def test_the_first_record_of_a_stream_does_not_count_twice(record: Callable[..., Record]) -> None:
    telemetry = ServerTelemetry()
    telemetry.decided(record(complete=False), None)
    telemetry.decided(record(), None)
    found = value(telemetry.metrics, "wardlaw_decisions_total", api="chat_completions", action="allow", mode="enforce")
    telemetry.close()
    assert found == 1


def test_telemetry_that_breaks_fails_no_request(record: Callable[..., Record], monkeypatch: Any) -> None:
    telemetry = ServerTelemetry()

    def broken(_: object) -> None:
        raise RuntimeError("full")

    for name in ("decided", "first", "held", "failed"):
        monkeypatch.setattr(telemetry.metrics, name, broken)
    telemetry.decided(record(), None)
    telemetry.first(0.1)
    telemetry.held(3)
    telemetry.failed("timeout")
    telemetry.close()


def test_workers_metrics_are_added_up(tmp_path: Path) -> None:
    env = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    worker = "from server.telemetry.metrics import Metrics; m = Metrics(); m.failed('timeout'); m.in_flight.set(3)"
    for _ in range(2):
        subprocess.run([sys.executable, "-c", worker], env=env, check=True)
    reader = "import json; from server.telemetry.metrics import Metrics; print(json.dumps(Metrics().page().decode()))"
    done = subprocess.run([sys.executable, "-c", reader], env=env, check=True, capture_output=True, text=True)
    found = samples(json.loads(done.stdout).encode())
    assert found["wardlaw_faults_total", (("kind", "timeout"),)] == 2
