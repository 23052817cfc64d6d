from __future__ import annotations

import asyncio
import threading

import pytest

from guard.batching import Batcher
from guard.detectors.base import Cover, Scan
from guard.detectors.patterns import Patterns
from guard.encoders import EncoderError
from guard.exchange import Exchange, Message
from guard.gate import INLINE_LIMIT, Gate
from guard.verdict import Finding
from guard.window import Window
from rules.schema import Action, Part

BOMB = {"patterns": [{"literal": "pipe bomb"}]}


@pytest.fixture
def gate_of(constitute):
    """A gate of the pattern detector, and any other, over some rules."""

    def make(*rules, also=()):
        constitution = constitute(*rules)
        return Gate(constitution, [Patterns(constitution), *also])

    return make


def test_where_no_rule_asks_for_meaning_no_encoder_is_loaded_and_streams_wait_for_none(constitute, make_rule):
    silent = make_rule("loop-only")
    literal = make_rule("bombs", detect={**BOMB, "meaning": None})
    with Gate.build(constitute(literal, silent), encoder="/no/such/encoder") as gate:
        assert [detector.name for detector in gate.detectors] == ["patterns"]
        assert Window(gate, Exchange.of("hello")).patterns_only
        assert gate.judge(Exchange.of("a pipe bomb")).broken == ("bombs",)
    asking = make_rule("asks", detect={})
    with pytest.raises(EncoderError):
        Gate.build(constitute(literal, asking), encoder="/no/such/encoder")


class Recorder:
    """A slow detector that scores texts by their length, and notes its batches and threads."""

    name = "meaning"
    identity = "recorder/1"
    instant = False
    skips_clear = True

    def __init__(self, *, poison: str = "") -> None:
        self.batches: list[int] = []
        self.threads: set[int] = set()
        self.closed = 0
        self._poison = poison
        self.go = threading.Event()
        self.go.set()

    def covers(self, rule, part):
        return Cover(by=self.name if rule.examples.breaks else f"{self.name}:words")

    def scan(self, exchanges):
        self.go.wait(10)
        self.batches.append(len(exchanges))
        self.threads.add(threading.get_ident())
        if self._poison and any(self._poison in exchange.text for exchange in exchanges):
            raise ValueError("cannot read this")
        return [Scan((), {"weapon-help": len(exchange.text) / 1000}) for exchange in exchanges]

    def close(self):
        self.closed += 1


def test_a_finding_leads_to_the_action_of_its_part(gate_of, make_rule):
    gate = gate_of(make_rule(detect=BOMB, on={"prompt": "flag", "response": "revise"}))
    assert gate.judge(Exchange.of("a pipe bomb")).action is Action.FLAG
    assert gate.judge(Exchange.of("a pipe bomb", "a pipe bomb")).action is Action.REVISE
    assert gate.judge(Exchange.of("a pipe bomb", "a cake")).action is Action.ALLOW


def test_the_worst_action_of_all_findings_is_taken(gate_of, make_rule):
    rules = [make_rule(f"rule-{action}", detect=BOMB, on={"prompt": action}) for action in ("flag", "block", "revise")]
    verdict = gate_of(*rules).judge(Exchange.of("pipe bomb"))
    assert verdict.action is Action.BLOCK
    assert set(verdict.broken) == {"rule-flag", "rule-block", "rule-revise"}


def test_a_shadow_rule_records_and_does_not_act(gate_of, make_rule):
    verdict = gate_of(make_rule(detect=BOMB, mode="shadow")).judge(Exchange.of("pipe bomb"))
    assert verdict.action is Action.ALLOW
    assert verdict.broken == ("weapon-help",)
    assert verdict.scores == {"weapon-help": 1.0}


def test_a_broken_detector_blocks_and_says_so(gate_of, make_rule, raises):
    gate = gate_of(make_rule(detect=BOMB), also=[raises(OSError("model file is gone"))])
    verdict = gate.judge(Exchange.of("hello"))
    assert verdict.action is Action.BLOCK
    assert verdict.coverage.degraded == {"meaning": "model file is gone"}
    assert verdict.coverage.scanned == {"patterns": ("weapon-help",)}


def test_a_broken_detector_lets_pass_where_every_rule_says_so(gate_of, make_rule, raises):
    rules = [make_rule(detect=BOMB, on_error="allow"), make_rule("other", detect={}, mode="shadow")]
    verdict = gate_of(*rules, also=[raises(OSError())]).judge(Exchange.of("hello"))
    assert verdict.action is Action.ALLOW
    assert verdict.coverage.degraded == {"meaning": "OSError"}
    assert verdict.coverage.not_scanned == {"other": "its detector failed: meaning"}


def test_a_broken_detector_of_no_rule_of_the_part_does_not_block(gate_of, make_rule, raises):
    gate = gate_of(make_rule(detect=BOMB, watches=["response"]), also=[raises(OSError("gone"))])
    verdict = gate.judge(Exchange.of("hello"))
    assert verdict.action is Action.ALLOW
    assert verdict.coverage.degraded == {"meaning": "gone"}


def test_a_text_that_breaks_the_detector_does_not_degrade_its_neighbours(gate_of, make_rule):
    gate = gate_of(make_rule(detect=BOMB), also=[Recorder(poison="xyzzy")])
    verdicts = gate.judge_many([Exchange.of("one"), Exchange.of("xyzzy"), Exchange.of("three")])
    assert [bool(verdict.coverage.degraded) for verdict in verdicts] == [False, True, False]


def test_coverage_names_the_rules_each_detector_looked_for_and_why_others_were_not(gate_of, make_rule):
    rules = [
        make_rule("literal", detect=BOMB),
        make_rule("principle"),
        make_rule("answers", detect=BOMB, watches=["response"]),
        make_rule("empty", detect={}),
    ]
    coverage = gate_of(*rules).judge(Exchange.of("hello")).coverage
    assert coverage.scanned == {"patterns": ("literal",)}
    assert coverage.not_scanned == {
        "principle": "it has no `detect`: only the loop uses it",
        "answers": "it does not watch the prompt",
        "empty": "patterns: it has no patterns",
    }
    assert coverage.degraded == {}


def test_coverage_lists_apart_what_a_detector_looked_for_in_a_weaker_way(gate_of, make_rule):
    rule = make_rule(detect=BOMB)
    coverage = gate_of(rule, also=[Recorder()]).judge(Exchange.of("hello")).coverage
    assert coverage.scanned["meaning:words"] == ("weapon-help",)


def test_every_rule_is_covered_or_explained_in_every_part(gate_of, make_rule):
    rules = [make_rule("one", detect=BOMB), make_rule("two", watches=["tool_result"], detect=BOMB), make_rule("three")]
    gate = gate_of(*rules)
    for role in ("system", "user", "assistant", "tool"):
        coverage = gate.judge(Exchange((Message(role, "x", reasoning="y"),))).coverage
        seen = {rule for ids in coverage.scanned.values() for rule in ids}
        assert seen | set(coverage.not_scanned) == {"one", "two", "three"}


def test_a_score_is_the_highest_of_all_detectors(gate_of, make_rule):
    gate = gate_of(make_rule(detect=BOMB), also=[Recorder()])
    assert gate.judge(Exchange.of("a pipe bomb")).scores == {"weapon-help": 1.0}
    assert gate.judge(Exchange.of("x" * 100)).scores == {"weapon-help": 0.1}
    assert set(gate.judge(Exchange.of("hi")).ms) == {"patterns", "meaning"}


def test_a_rule_looked_for_and_not_seen_scores_nothing(gate_of, make_rule):
    verdict = gate_of(make_rule(detect=BOMB), make_rule("principle")).judge(Exchange.of("hello"))
    assert verdict.scores == {"weapon-help": 0.0}
    assert verdict.score == 0.0


@pytest.mark.parametrize("text", ["", " \n", "\ud800", "\x00\x01", "🙂" * 1000, "a" * 1_000_000])
def test_no_text_raises(gate_of, make_rule, text):
    assert gate_of(make_rule(detect=BOMB)).judge(Exchange.of(text)).action is Action.ALLOW


def test_many_are_judged_as_one_by_one(gate_of, make_rule):
    gate = gate_of(make_rule(detect=BOMB), also=[Recorder()])
    exchanges = [Exchange.of("x" * size) for size in (0, 3, 900)] + [Exchange.of("q", "a pipe bomb")]
    together, alone = gate.judge_many(exchanges), [gate.judge(exchange) for exchange in exchanges]
    for one, other in zip(together, alone, strict=True):
        assert (one.action, one.findings, one.scores, one.coverage) == (
            other.action,
            other.findings,
            other.scores,
            other.coverage,
        )
    assert gate.judge_many([]) == []


def test_a_detector_that_returns_too_few_scans_is_degraded(gate_of, make_rule):
    class Short(Recorder):
        def scan(self, exchanges):
            return []

    verdict = gate_of(make_rule(detect=BOMB), also=[Short()]).judge(Exchange.of("hello"))
    assert verdict.action is Action.BLOCK
    assert verdict.coverage.degraded == {"meaning": "0 scans for 1 exchanges"}


def test_identity_names_constitution_and_detectors(gate_of, make_rule):
    gate = gate_of(make_rule(detect=BOMB), also=[Recorder()])
    assert gate.identity == f"constitution={gate.digest} {gate.detectors[0].identity} recorder/1"
    other = gate_of(make_rule(detect={"patterns": [{"literal": "other"}]}))
    assert other.digest != gate.digest


async def test_concurrent_callers_share_batches_in_a_worker_thread(gate_of, make_rule):
    recorder = Recorder()
    recorder.go.clear()
    with gate_of(make_rule(detect=BOMB), also=[recorder]) as gate:
        waiting = [asyncio.create_task(gate.ajudge(Exchange.of("x" * size))) for size in range(40)]
        await asyncio.sleep(0)  # the loop runs on while the detector stands still
        recorder.go.set()
        verdicts = await asyncio.gather(*waiting)
    assert [verdict.score for verdict in verdicts] == [size / 1000 for size in range(40)]
    assert sum(recorder.batches) == 40
    assert len(recorder.batches) <= 3
    assert threading.get_ident() not in recorder.threads
    assert recorder.closed == 1


async def test_patterns_alone_run_inline_on_short_texts_and_in_a_thread_on_long_ones(gate_of, make_rule, monkeypatch):
    gate = gate_of(make_rule(detect=BOMB))
    seen = []
    patterns = gate.detectors[0]
    scan = patterns.scan
    monkeypatch.setattr(patterns, "scan", lambda many: seen.append(threading.get_ident()) or scan(many))
    assert (await gate.ajudge(Exchange.of("a pipe bomb"))).action is Action.BLOCK
    assert (await gate.ajudge(Exchange.of("x" * INLINE_LIMIT + " pipe bomb"))).action is Action.BLOCK
    gate.close()
    assert seen[0] == threading.get_ident()
    assert seen[1] != threading.get_ident()


async def test_a_cancelled_caller_leaves_the_others_their_verdicts(gate_of, make_rule):
    recorder = Recorder()
    recorder.go.clear()
    with gate_of(make_rule(detect=BOMB), also=[recorder]) as gate:
        waiting = [asyncio.create_task(gate.ajudge(Exchange.of("x" * size))) for size in range(10)]
        await asyncio.sleep(0.01)
        waiting[0].cancel()
        waiting[5].cancel()
        recorder.go.set()
        outs = await asyncio.gather(*waiting, return_exceptions=True)
    assert [isinstance(out, asyncio.CancelledError) for out in outs] == [place in (0, 5) for place in range(10)]


def test_one_gate_serves_several_event_loops(gate_of, make_rule):
    with gate_of(make_rule(detect=BOMB), also=[Recorder()]) as gate:
        for _ in range(2):
            assert asyncio.run(gate.ajudge(Exchange.of("pipe bomb"))).action is Action.BLOCK


async def test_closing_twice_does_no_harm(gate_of, make_rule):
    gate = gate_of(make_rule(detect=BOMB), also=[Recorder()])
    await gate.ajudge(Exchange.of("hello"))
    gate.close()
    gate.close()


async def test_a_batch_that_fails_raises_for_its_callers_and_the_next_goes_on():
    from concurrent.futures import ThreadPoolExecutor

    def run(items):
        return [10 // item for item in items]

    with ThreadPoolExecutor(1) as executor:
        batcher = Batcher(run, executor, 8)
        with pytest.raises(ZeroDivisionError):
            await batcher.ask(0)
        assert await batcher.ask(5) == 2


def test_a_finding_of_a_part_is_acted_on_by_that_part(gate_of, make_rule):
    class Reasons(Recorder):
        def scan(self, exchanges):
            return [Scan((Finding("weapon-help", Part.REASONING, (0, 1), self.name, 0.9, 0.5),)) for _ in exchanges]

    rule = make_rule(detect=BOMB, watches=["response", "reasoning"], on={"reasoning": "redact"})
    verdict = gate_of(rule, also=[Reasons()]).judge(Exchange((Message("assistant", "x", reasoning="y"),)))
    assert verdict.action is Action.REDACT
