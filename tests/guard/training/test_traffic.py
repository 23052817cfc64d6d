from __future__ import annotations

import pytest

from guard.exchange import Exchange, Message
from guard.training.calibrate import CalibrationError
from guard.training.traffic import promise, score_traffic


def prompts(*texts):
    return [(f"traffic.jsonl:{place}", Exchange.of(text)) for place, text in enumerate(texts, 1)]


def ramp(count):
    return prompts(*(f"number {place}, score {place / 10_000:.4f}" for place in range(count)))


def test_the_threshold_holds_for_the_whole_gate_patterns_included(written_gate):
    rows = score_traffic(written_gate(thorough=True), [*ramp(998), *prompts("a pipe bomb", "one pipe bomb more")])
    found = promise(rows, 0.01, "a ramp")
    assert (found.rows, found.allowed, found.observed) == (1_000, 4, 4)
    flagged = written_gate(found.threshold).judge_many([exchange for _, exchange in ramp(998)])
    assert sum(bool(verdict.findings) for verdict in flagged) == 2


def test_patterns_that_spend_the_budget_alone_are_named_with_a_place(written_gate):
    bad = prompts(*(f"pipe bomb {number}" for number in range(9)))
    rows = score_traffic(written_gate(thorough=True), [*ramp(991), *bad])
    with pytest.raises(CalibrationError) as refused:
        promise(rows, 0.01, "x")
    assert refused.value.what == "9 of 1,000 benign rows are flagged whatever the threshold; 1% allows 4"
    assert "`pipe-bombs` 9" in refused.value.hint
    assert "`traffic.jsonl:1`" in refused.value.hint


def test_a_rule_without_a_head_does_not_move_the_threshold(written_gate, make_rule, constitute):
    from guard.gate import Gate

    gate = written_gate(thorough=True)
    other = constitute(make_rule("unheaded", detect={}))
    (row,) = score_traffic(Gate(other, gate.detectors[1:], thorough=True), prompts("score 0.4"))
    assert row.score == 0.0


def test_scores_that_only_joined_turns_show_count(written_gate):
    turns = (Message("user", "score 0."), Message("assistant", "?"), Message("user", "score 0.3"))
    split = (Message("user", "score"), Message("assistant", "?"), Message("user", "0.45, score 0.1"))
    gate = written_gate(thorough=True)
    rows = score_traffic(gate, [("a:1", Exchange(turns)), ("a:2", Exchange(split))])
    assert rows[0].score == 0.3
    joined = gate.judge_many([Exchange((Message("user", "score\n0.45, score 0.1"),))])[0]
    assert rows[1].score == joined.score


def test_repeated_rows_make_no_larger_pool(written_gate):
    gate = written_gate(thorough=True)
    rows = score_traffic(gate, ramp(100) * 10)
    with pytest.raises(CalibrationError, match="100 benign rows cannot promise 1%"):
        promise(rows, 0.01, "x")


def test_rows_that_repeat_are_not_counted_once_where_they_are_flagged(written_gate):
    gate = written_gate(thorough=True)
    often = prompts(*["hello, score 0.8"] * 300)
    found = promise(score_traffic(gate, [*ramp(1_000), *often]), 0.01, "x")
    assert found.threshold > 0.8
    assert found.rows == 1_300


def test_a_detector_that_fails_stops_the_calibration_at_its_row(written_gate):
    with pytest.raises(CalibrationError, match=r"traffic.jsonl:2: a detector failed \(meaning: the model is gone\)"):
        score_traffic(written_gate(thorough=True), prompts("fine", "broken"))
