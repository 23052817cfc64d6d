from __future__ import annotations

import pytest

from guard.detectors.base import Cover, Scan
from guard.exchange import Exchange, Message
from guard.gate import Gate
from guard.memory import Memory, key_of
from guard.verdict import Coverage, Verdict
from rules.schema import Action


class Counts:
    """Counts the texts it is shown."""

    name = "counts"
    identity = "counts/1"
    instant = True
    skips_clear = False

    def __init__(self) -> None:
        self.seen: list[str] = []

    def covers(self, rule, part):
        return Cover(by=self.name)

    def scan(self, exchanges):
        self.seen += [exchange.text for exchange in exchanges]
        return [Scan() for _ in exchanges]

    def close(self):
        """Nothing to let go of."""


@pytest.fixture
def counts():
    return Counts()


@pytest.fixture
def gate_of(make_rule, constitute, counts):
    def make(**options):
        return Gate(constitute(make_rule(detect={})), [counts], **options)

    return make


def verdict(**degraded: str) -> Verdict:
    return Verdict(Action.ALLOW, (), Coverage(degraded=degraded), "digest", {})


def test_a_text_judged_once_is_not_looked_at_again(gate_of, counts):
    gate = gate_of()
    first, second = gate.judge(Exchange.of("hello")), gate.judge(Exchange.of("hello"))
    assert counts.seen == ["hello"]
    assert second.ms == {"memory": 0.0}
    assert (second.action, second.coverage) == (first.action, first.coverage)


def test_the_same_text_twice_in_a_batch_is_looked_at_once(gate_of, counts):
    gate_of().judge_many([Exchange.of("hello"), Exchange.of("hello")])
    assert counts.seen == ["hello"]


def test_nothing_is_remembered_where_that_is_asked_for(gate_of, counts):
    gate = gate_of(remember=0)
    gate.judge(Exchange.of("hello"))
    gate.judge(Exchange.of("hello"))
    assert counts.seen == ["hello", "hello"]


def test_an_answer_to_another_prompt_is_judged_anew():
    assert key_of(Exchange.of("a", "yes")) != key_of(Exchange.of("b", "yes"))
    assert key_of(Exchange.of("a", "yes")) != key_of(Exchange.of("a"))


def test_what_came_before_a_prompt_does_not_change_its_key():
    assert key_of(Exchange((Message("user", "x"), Message("assistant", "y"), Message("user", "z")))) == key_of(
        Exchange.of("z")
    )


def test_reasoning_is_part_of_the_key():
    plain = Exchange((Message("user", "a"), Message("assistant", "b")))
    thought = Exchange((Message("user", "a"), Message("assistant", "b", reasoning="")))
    assert key_of(plain) != key_of(thought)


def test_texts_cannot_be_shifted_between_messages_to_meet_another_key():
    assert key_of(Exchange.of("ab", "c")) != key_of(Exchange.of("a", "bc"))


def test_a_degraded_verdict_is_not_remembered():
    memory = Memory()
    memory.put(b"k", verdict(judge="is down"))
    assert memory.get(b"k") is None


def test_the_least_recently_used_makes_way():
    memory = Memory(2)
    for key in (b"a", b"b"):
        memory.put(key, verdict())
    memory.get(b"a")
    memory.put(b"c", verdict())
    assert memory.get(b"b") is None
    assert memory.get(b"a") is not None
    assert len(memory) == 2


def test_a_lone_surrogate_has_a_key():
    assert key_of(Exchange.of("\ud800")) != key_of(Exchange.of("?"))
