"""Guard models as a detector: which rules, how often asked, and what follows from an answer."""

from __future__ import annotations

import pytest

from guard.detectors.base import AskedDetector
from guard.detectors.classifier import ClassifierDetector, ClassifierSettings
from guard.exchange import Exchange
from guard.models.base import ModelConfigError, Reply
from rules.schema import Part


class Guard:
    """A guard model that always answers the same."""

    local = True

    def __init__(self, answer, name="meta-llama/Llama-Guard-3-8B"):
        self.identity = f"openai:http://127.0.0.1:1/v1#{name}"
        self._answer = answer
        self.asks = []
        self.closed = 0

    async def chat(self, ask):
        self.asks.append(ask)
        return Reply(self._answer)

    async def close(self):
        self.closed += 1


@pytest.fixture
def rules(make_rule):
    return [
        make_rule("weapons", detect={}, hazards=["llama-guard-3:S9"]),
        make_rule("crime", detect={}, hazards=["llama-guard-3:S2"]),
        make_rule("spying", detect={}, hazards=["mlcommons-1.0:privacy"], watches=["response"]),
        make_rule("own-house", detect={}),
    ]


@pytest.fixture
def guard_of(constitute, rules):
    opened = []

    def make(model, *own, **settings):
        detector = ClassifierDetector(constitute(*(own or rules)), model, "auto", ClassifierSettings(**settings))
        opened.append(detector)
        return detector

    yield make
    for detector in opened:
        detector.close()


def test_it_covers_the_rules_whose_hazards_the_model_knows(guard_of, rules, make_rule):
    detector = guard_of(Guard("safe"))
    assert isinstance(detector, AskedDetector)
    weapons, _, spying, own = rules
    assert detector.covers(weapons, Part.PROMPT).by == "classifier"
    assert "does not watch" in detector.covers(spying, Part.PROMPT).why_not
    assert "no hazard" in detector.covers(own, Part.PROMPT).why_not
    never = make_rule(detect={"judge": {"when": "never"}}, hazards=["llama-guard-3:S9"])
    assert "turns it off" in detector.covers(never, Part.PROMPT).why_not


async def test_one_ask_serves_all_rules_and_the_next_look_at_the_text(guard_of):
    model = Guard("unsafe\nS9")
    detector = guard_of(model)
    (first,) = await detector.ask([Exchange.of("hello")], [frozenset({"weapons", "own-house"})])
    (second,) = await detector.ask([Exchange.of("hello")], [frozenset({"crime"})])
    assert first.scores == {"weapons": 1.0}
    assert [finding.rule for finding in first.findings] == ["weapons"]
    assert second.scores == {"crime": 0.0}
    assert len(model.asks) == 1


async def test_a_model_that_follows_policies_is_asked_once_a_rule(guard_of):
    model = Guard("0", "openai/gpt-oss-safeguard-20b")
    (scan,) = await guard_of(model).ask([Exchange.of("hello")], [frozenset({"weapons", "own-house"})])
    assert scan.scores == {"weapons": 0.0, "own-house": 0.0}
    assert len(model.asks) == 2


def test_asked_by_itself_it_looks_for_all_that_it_covers(guard_of):
    (scan,) = guard_of(Guard("unsafe\nS7")).scan([Exchange.of("Where does she live?", "In the third house.")])
    assert scan.scores == {"weapons": 0.0, "crime": 0.0, "spying": 1.0}
    assert [(finding.rule, finding.part) for finding in scan.findings] == [("spying", Part.RESPONSE)]
    assert scan.findings[0].excerpt == "In the third house."


@pytest.mark.parametrize("answer", ["", "unsafe", "perhaps"])
def test_what_cannot_be_read_fails_every_rule_and_is_asked_again(guard_of, answer):
    model = Guard(answer)
    detector = guard_of(model)
    for _ in range(2):
        (scan,) = detector.scan([Exchange.of("hello")])
        assert set(scan.failed) == {"weapons", "crime"}
        assert scan.scores == {}
    assert len(model.asks) == 2


def test_an_answer_that_names_an_unknown_category_keeps_what_it_does_say(guard_of):
    (scan,) = guard_of(Guard("unsafe\nS9,S77")).scan([Exchange.of("hello")])
    assert [finding.rule for finding in scan.findings] == ["weapons"]
    assert set(scan.failed) == {"crime"}


def test_the_threshold_decides_between_strict_and_loose(guard_of, make_rule):
    rule = make_rule(detect={}, hazards=["mlcommons-1.0:hate"])
    answer = "Safety: Controversial\nCategories: Unethical Acts"
    for threshold, found in ((0.5, 1), (0.6, 0)):
        detector = guard_of(Guard(answer, "Qwen/Qwen3Guard-Gen-4B"), rule, threshold=threshold)
        (scan,) = detector.scan([Exchange.of("hello")])
        assert len(scan.findings) == found
        assert scan.scores == {rule.id: 0.5}


def test_an_unknown_model_is_refused_and_a_named_adapter_is_not(constitute, rules):
    with pytest.raises(ModelConfigError, match="no adapter knows"):
        ClassifierDetector(constitute(*rules), Guard("safe", "default"))
    detector = ClassifierDetector(constitute(*rules), Guard("safe", "default"), "llama-guard-3")
    assert detector.adapter.name == "llama-guard-3"
    assert "llama-guard-3" in detector.identity
    detector.close()


def test_it_closes_its_model_once(constitute, rules):
    model = Guard("safe")
    detector = ClassifierDetector(constitute(*rules), model)
    detector.close()
    detector.close()
    assert model.closed == 1
