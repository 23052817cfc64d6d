"""The rules' own texts through a gate: what is found and by which stage, and why the rest is not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from guard.detectors.base import NOTHING, Cover, Scan
from guard.detectors.judge import JudgeDetector
from guard.exchange import Exchange
from guard.gate import Gate
from guard.models import open_model
from guard.trials.disguises import DISGUISES
from guard.trials.trial import try_rules
from guard.verdict import Finding
from rules.load import load
from rules.schema import Part, Rule

MakeGate = Callable[..., Gate]
KRAKEN = {"id": "kraken-summoning"}


class Numbers:
    """Scores a text by the number that it ends with; fails on a text with a word that it is told."""

    name = identity = "meaning"
    instant = False
    skips_clear = True

    def __init__(self, *, fails: str = "") -> None:
        self._fails = fails

    def covers(self, rule: Rule, part: Part) -> Cover:
        return Cover(by=self.name) if part in rule.watches else Cover(why_not="not watched")

    def threshold(self, rule: Rule, part: Part) -> float:
        return 0.5

    def scan(self, exchanges: Sequence[Exchange]) -> list[Scan]:
        return [self._scan(exchange.messages[-1].content) for exchange in exchanges]

    def _scan(self, text: str) -> Scan:
        if self._fails and self._fails in text:
            raise OSError("model file is gone")
        score = float(text.rsplit(maxsplit=1)[-1]) if text[-1].isdigit() else 0.0
        found = [Finding("kraken-summoning", Part.PROMPT, (0, len(text)), self.name, score, 0.5)]
        unsure = frozenset({"kraken-summoning"}) if 0.3 <= score < 0.5 else frozenset()
        return Scan(tuple(found) if score >= 0.5 else (), {"kraken-summoning": score}, unsure=unsure)

    def close(self) -> None:
        """Nothing to let go of."""


class Static:
    """Clears the texts that say `calm`."""

    name = identity = "static"
    instant = True
    skips_clear = True

    def covers(self, rule: Rule, part: Part) -> Cover:
        return Cover(by=self.name)

    def scan(self, exchanges: Sequence[Exchange]) -> list[Scan]:
        return [Scan(clear=True) if "calm" in exchange.messages[-1].content else NOTHING for exchange in exchanges]

    def close(self) -> None:
        """Nothing to let go of."""


def texts(breaks: Sequence[Any] = (), keeps: Sequence[Any] = ()) -> dict[str, Any]:
    return {"tests": {"breaks": list(breaks), "keeps": list(keeps)}}


def test_a_text_is_told_with_its_stage_its_view_and_whether_it_passes(make_gate: MakeGate) -> None:
    gate = make_gate(KRAKEN | texts(["Wake the kraken!", "k.r.a.k.e.n", "Call the beast."], ["What is a kraken?"]))
    plain, dotted, missed, flagged = try_rules(gate).seen
    assert (plain.found, plain.stage, plain.view, plain.score, plain.threshold) == (True, "patterns", "raw", 1.0, 1.0)
    assert dotted.stage == "patterns"
    assert dotted.view != "raw"
    assert (missed.found, missed.passed, missed.why) == (
        False,
        False,
        "patterns found nothing; the rule turns meaning off",
    )
    assert (flagged.found, flagged.passed) == (True, False)


def test_hidden_characters_are_a_stage_of_their_own(make_gate: MakeGate) -> None:
    rule = KRAKEN | {"detect": {"hidden": ["tags"], "meaning": None}}
    (seen,) = try_rules(make_gate(rule | texts(["hello" + "".join(chr(0xE0000 + ord(char)) for char in "beast")]))).seen
    assert (seen.found, seen.stage) == (True, "hidden")


def test_a_part_that_nothing_looks_at_is_said(make_gate: MakeGate) -> None:
    answer = {"prompt": "And?", "response": "The kraken comes."}
    pattern = {"detect": {"patterns": [{"literal": "kraken", "watches": ["prompt"]}], "meaning": None}}
    unwatched, elsewhere = (
        try_rules(make_gate(KRAKEN | more | texts([answer]))).seen[0] for more in ({"watches": ["prompt"]}, pattern)
    )
    assert unwatched.why == "nothing looked: the rule does not watch the response"
    assert "none of its patterns watches the response" in elsewhere.why
    assert unwatched.stage == elsewhere.stage == ""


def test_a_miss_below_the_threshold_is_told_with_score_and_threshold(make_gate: MakeGate) -> None:
    gate = make_gate(KRAKEN | texts(["beast 0.2", "beast 0.7"]), also=[Numbers()])
    missed, found = try_rules(gate).seen
    assert (missed.stage, missed.score, missed.threshold) == ("meaning", 0.2, 0.5)
    assert missed.why == "meaning gives 0.200, and finds it from 0.500"
    assert (found.stage, found.score) == ("meaning", 0.7)


def test_what_the_static_tier_cleared_is_told_so_with_what_the_next_would_have_said(make_gate: MakeGate) -> None:
    gate = make_gate(KRAKEN | texts(["calm 0.8"]), also=[Static(), Numbers()])
    (seen,) = try_rules(gate).seen
    assert (seen.found, seen.stage, seen.score) == (False, "static", 0.8)
    assert seen.why == (
        "the static tier cleared it, so meaning did not look; meaning would have found it: 0.800 of 0.500"
    )


def test_a_text_that_another_rule_has_blocked_is_still_asked_of_its_own(make_gate: MakeGate) -> None:
    chest = {"id": "chest-codes", "detect": {"patterns": [{"literal": "chest"}], "meaning": None}}
    gate = make_gate(KRAKEN | texts(["chest 0.8", "chest 0.1"], ["chest 0.9"]), chest, also=[Numbers()])
    for explain in (True, False):
        found, missed, flagged = try_rules(gate, explain=explain).seen
        assert (found.found, found.stage, found.others) == (True, "meaning", ("chest-codes",))
        assert (missed.found, missed.others) == (False, ("chest-codes",))
        assert not flagged.passed


def test_a_detector_that_fails_lets_neither_side_pass(make_gate: MakeGate) -> None:
    gate = make_gate(KRAKEN | texts(["bad 0.9"], ["bad 0.1", "good 0.1"]), also=[Numbers(fails="bad")])
    for explain in (True, False):
        trial = try_rules(gate, explain=explain)
        assert [seen.failed for seen in trial.seen] == [True, True, False]
        assert [seen.passed for seen in trial.seen] == [False, False, True]
    assert try_rules(gate).seen[0].why == "meaning failed: model file is gone"


def test_a_judge_that_was_asked_is_the_stage_that_found_it_or_did_not(make_gate: MakeGate, tmp_path: Path) -> None:
    script = tmp_path / "judge.yaml"
    script.write_text(
        "replies:\n"
        "  - {match: yes please, where: any, text: '', logprobs: [{token: 'yes', logprob: -0.1, top: {'yes': -0.1}}]}\n"
        "default: {text: '', logprobs: [{token: 'no', logprob: -0.1, top: {'no': -0.1}}]}\n"
    )
    plain = make_gate(KRAKEN | texts(["yes please 0.4", "beast 0.4", "beast 0.1"]))
    from guard.judging.settings import JudgeSettings

    judge = JudgeDetector(plain.constitution, open_model(f"scripted:{script}"), JudgeSettings(mode="logprobs"))
    with Gate(plain.constitution, [*plain.detectors, Numbers(), judge]) as gate:
        found, refused, unasked = try_rules(gate).seen
    assert (found.found, found.stage) == (True, "judge")
    assert (refused.stage, refused.why) == (
        "judge",
        "judge was asked and did not find it; meaning gives 0.400, and finds it from 0.500",
    )
    assert (unasked.stage, unasked.why) == ("meaning", "meaning gives 0.100, and finds it from 0.500")


def test_figures_are_apart_for_examples_and_tests_with_their_intervals(make_gate: MakeGate) -> None:
    examples = {"examples": {"breaks": ["kraken", "kraken two"], "keeps": ["calm sea"]}}
    gate = make_gate(KRAKEN | examples | texts(["kraken", "beast"], ["squid", "A kraken?", "octopus", "whale"]))
    trial = try_rules(gate)
    recall, alarms, taught = trial.recall("tests"), trial.false_alarms("tests"), trial.recall("examples")
    assert recall is not None
    assert alarms is not None
    assert taught is not None
    assert (recall.value, alarms.value, taught.value) == (0.5, 0.25, 1.0)
    assert recall.low == pytest.approx(0.0126, abs=1e-4)
    assert recall.high == pytest.approx(0.9874, abs=1e-4)
    assert trial.by_rule["kraken-summoning"].stages == {"patterns": 3}
    assert [seen.case.text for seen in trial.failing("tests")] == ["beast", "A kraken?"]


def test_only_the_rules_and_lists_asked_for_are_tried_and_none_that_the_gate_does_not_look_for(
    make_gate: MakeGate,
) -> None:
    silent = {"id": "silent-rule", "detect": None} | texts(["kraken"])
    gate = make_gate(KRAKEN | texts(["kraken"]), {"id": "other-kraken"} | texts(["kraken"]), silent)
    assert [seen.case.rule for seen in try_rules(gate).seen] == ["kraken-summoning", "other-kraken"]
    assert list(try_rules(gate, only=["other-kraken"]).by_rule) == ["other-kraken"]
    assert try_rules(gate, origins=("examples",)).seen == ()


def test_disguises_are_tried_on_what_is_found_plain_alone(make_gate: MakeGate) -> None:
    trial = try_rules(make_gate(KRAKEN | texts(["wake the kraken", "beast"], ["kraken?"])), disguises=DISGUISES)
    assert set(trial.by_disguise) == set(DISGUISES)
    assert {len(tally.seen) for tally in trial.by_disguise.values()} == {1}
    unlike = {"boxes": lambda text: "☐" * len(text)}
    lost = try_rules(make_gate(KRAKEN | texts(["wake the kraken"])), disguises=unlike)
    assert lost.by_disguise["boxes"].count("breaks") == (0, 1)


def test_the_gate_takes_off_every_disguise_that_ships(make_gate: MakeGate) -> None:
    trial = try_rules(make_gate(KRAKEN | texts(["please wake the kraken in the harbour tonight"])), disguises=DISGUISES)
    assert [seen.case.disguise for seen in trial.disguised if not seen.found] == []


def test_every_text_of_the_pack_base_that_hides_something_is_found_by_the_stage_that_looks_for_it() -> None:
    with Gate.build(load("base").constitution, encoder=None) as gate:
        trial = try_rules(gate, only=["hidden-text"])
    assert trial.stages == {"hidden": len(trial.of("breaks"))}
    assert trial.failing() == ()
