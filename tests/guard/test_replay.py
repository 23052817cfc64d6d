"""Two gates over the same exchanges. The gates are real, with a small real encoder, its heads, and rules of `base`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from guard.detectors.base import Cover, Scan
from guard.exchange import Exchange, Message
from guard.flips import Flip, Outcome, flips
from guard.gate import BATCH_LIMIT, Gate
from guard.replay import Replay, Tally
from guard.training.metrics import share
from rules import load
from rules.digest import constitution_digest
from rules.schema import Action, Constitution, Rule

pytestmark = pytest.mark.usefixtures("quiet_torch", "cache_of_the_run")

PLAIN = "plain-words"
"""One that is looked for by a pattern alone."""


@pytest.fixture(scope="module")
def few() -> Constitution:
    """Some rules of base, and one of patterns alone."""
    base = load("base").constitution
    wanted = [rule for rule in base if rule.detect and rule.detect.meaning][:4]
    plain = Rule.model_validate(
        {
            "id": PLAIN,
            "title": "Plain words",
            "rule": "Do not say tangerine.",
            "why": "It is a word of the tests and hurts nobody.",
            "detect": {"patterns": [{"literal": "tangerine"}], "meaning": None},
            "on": {"prompt": "flag", "response": "flag"},
        }
    )
    return base.model_copy(update={"rules": (*wanted, plain)})


@pytest.fixture(scope="module")
def texts(few: Constitution) -> list[tuple[str, Exchange]]:
    """Examples and tests of the rules, and prompts of no rule."""
    found = [
        (f"{rule.id}/{name}/{side}/{place}", Exchange.of_example(example))
        for rule in few
        for name in ("examples", "tests")
        for side in ("breaks", "keeps")
        for place, example in enumerate(getattr(getattr(rule, name), side)[:5])
    ]
    plain = ["a tangerine please", "good morning", "how do i paint a kettle"]
    return [*found, *((f"plain/{text}", Exchange.of(text)) for text in plain)]


@pytest.fixture(scope="module")
def heads(few: Constitution, small_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Heads for these rules on the small encoder, fitted by least squares to their examples."""
    from guard.encoders import open_encoder
    from guard.encoders.source import find
    from guard.trained.heads import Heads
    from guard.trained.sides import ANSWERED, ASKED, Side
    from guard.trained.teaching import teaching_digest

    rules = [rule for rule in few if rule.id != PLAIN]
    encoder = open_encoder(str(small_encoder))
    rows = [
        (example.text, place if side == "breaks" else -1)
        for place, rule in enumerate(rules)
        for side in ("breaks", "keeps")
        for example in getattr(rule.examples, side)
    ]
    vectors = encoder.encode([text for text, _ in rows])
    encoder.close()
    wanted = np.array([[4.0 if place == column else -4.0 for column in range(len(rules))] for _, place in rows])
    kernel = vectors.T @ vectors + 0.01 * np.eye(vectors.shape[1])
    weight = np.linalg.solve(kernel, vectors.T @ wanted).T.astype(np.float32)
    side = Side(weight, np.zeros(len(rules), np.float32))
    taught = {rule.id: teaching_digest(rule) for rule in rules}
    made = Heads(tuple(taught), taught, find(str(small_encoder)).weights, {ASKED: side, ANSWERED: side}, {})
    folder = tmp_path_factory.mktemp("heads")
    made.save(folder)
    return folder


@pytest.fixture(scope="module")
def gate_of(small_encoder: Path, heads: Path) -> Iterator[Any]:
    opened: dict[tuple[str, bool], Gate] = {}

    def make(constitution: Constitution, *, trained: bool = True) -> Gate:
        key = constitution_digest(constitution), trained
        if key not in opened:  # a gate remembers what it has judged
            opened[key] = Gate.build(constitution, encoder=str(small_encoder), heads=heads if trained else None)
        return opened[key]

    yield make
    for gate in opened.values():
        gate.close()


def edited(constitution: Constitution, rule_id: str, **changes: Any) -> Constitution:
    """The constitution with fields of one rule in other words."""
    rules = [
        Rule.model_validate({**rule.model_dump(exclude_unset=True), **changes}) if rule.id == rule_id else rule
        for rule in constitution
    ]
    return constitution.model_copy(update={"rules": tuple(rules)})


def replayed(old: Gate, new: Gate, texts: list[tuple[str, Exchange]]) -> tuple[list[Flip], Tally]:
    replay = Replay(old, new)
    found = [flip for judged in replay.judge(texts) if (flip := replay.tally.add(judged))]
    return found, replay.tally


def one_word_more(rule: Rule, word: str) -> dict[str, Any]:
    """The rule's patterns, with one more that is a single word."""
    detect = rule.detect.model_dump(exclude_unset=True) if rule.detect else {}
    return {"detect": {**detect, "patterns": [*detect.get("patterns", ()), {"literal": word}]}}


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("word", ["someone", "you"])
def test_one_word_more_in_a_rules_patterns_flips_only_what_that_rule_finds(few, texts, gate_of, place, word):
    rule = few.rules[place]
    old, new = gate_of(few), gate_of(edited(few, rule.id, **one_word_more(rule, word)))
    found, tally = replayed(old, new, texts)
    for flip in found:
        assert rule.id in flip.new.rules  # the only way that a pattern more can change a verdict
    assert tally.rows == len(texts)
    assert {name for name, counts in tally.by_rule.items() if counts["gained"]} <= {rule.id}


def test_the_words_above_do_flip_something(few, texts, gate_of):
    rule = few.rules[0]
    found, _ = replayed(gate_of(few), gate_of(edited(few, rule.id, **one_word_more(rule, "you"))), texts)
    assert found


@pytest.mark.parametrize("place", range(4))
def test_one_word_of_a_rules_text_flips_nothing_where_heads_judge(few, texts, gate_of, place):
    rule = few.rules[place]
    said = {tag: f"{text} Kettle." for tag, text in rule.rule.root.items()}
    found, tally = replayed(gate_of(few), gate_of(edited(few, rule.id, rule=said)), texts)
    assert found == []
    assert tally.flips == 0


@pytest.mark.parametrize("place", range(4))
def test_one_word_of_an_example_never_reaches_a_rule_that_is_not_judged_by_examples(few, texts, gate_of, place):
    rule = few.rules[place]
    breaks = [example.model_dump(exclude_unset=True) for example in rule.examples.breaks]
    first = breaks[0]["messages"][-1]
    first["content"] = "basket " + first["content"]
    other = edited(few, rule.id, examples={**rule.examples.model_dump(exclude_unset=True), "breaks": breaks})
    found, _ = replayed(gate_of(few, trained=False), gate_of(other, trained=False), texts)
    for flip in found:
        assert PLAIN not in (*flip.gained, *flip.lost)


def test_a_threshold_moves_its_own_rule_alone(few, texts, gate_of):
    rule = few.rules[1]
    detect = {**rule.detect.model_dump(exclude_unset=True), "meaning": {"threshold": 0.0}}
    found, tally = replayed(gate_of(few), gate_of(edited(few, rule.id, detect=detect)), texts)
    assert found
    assert set(tally.by_rule) >= {rule.id}
    for flip in found:
        assert flip.gained == (rule.id,)


def test_what_no_changed_rule_watches_is_judged_once_and_told_the_same(few, texts, gate_of):
    rule = few.rules[-1]
    old = edited(few, PLAIN, watches=["response"], on={"response": "flag"})
    new = edited(old, PLAIN, detect={"patterns": [{"literal": "the"}], "meaning": None})
    prompts = [row for row in texts if row[1].part == "prompt"]
    found, tally = replayed(gate_of(old), gate_of(new), texts)
    assert rule.id == PLAIN
    assert tally.judged_twice == len(texts) - len(prompts)
    assert found
    assert {flip.part for flip in found} == {"response"}
    # and so it is with every prompt asked of both
    fresh, other = gate_of(old), gate_of(new)
    for before, after in zip(
        fresh.judge_many([e for _, e in prompts]), other.judge_many([e for _, e in prompts]), strict=True
    ):
        assert (before.action, before.broken) == (after.action, after.broken)


@pytest.mark.parametrize("trained", [True, False])
@pytest.mark.parametrize("part", ["prompt", "response"])
def test_what_is_spared_the_second_gate_would_have_been_judged_alike(few, texts, gate_of, part, trained):
    rule = few.rules[2]
    narrow = edited(few, rule.id, watches=[part], on={})
    wide = edited(narrow, rule.id, **one_word_more(narrow.rules[2], "you"), mode="shadow")
    replay = Replay(gate_of(narrow, trained=trained), gate_of(wide, trained=trained))
    told = {name: (old, new) for name, _, _, old, new in replay.judge(texts)}
    whole = gate_of(wide, trained=trained).judge_many([exchange for _, exchange in texts])
    for (name, _), verdict in zip(texts, whole, strict=True):
        outcome = Outcome.of(verdict)
        assert (told[name][1].action, set(told[name][1].rules)) == (outcome.action, set(outcome.rules))
    assert (replay.tally.judged_twice < len(texts)) == trained


def test_where_examples_judge_a_change_of_one_rule_has_every_text_judged_anew(few, texts, gate_of):
    old = edited(few, few.rules[0].id, watches=["response"], on={"response": "block"})
    rule = old.rules[0]
    keeps = {**rule.examples.model_dump(exclude_unset=True), "keeps": []}
    new = edited(old, rule.id, examples=keeps)
    _, tally = replayed(gate_of(old, trained=False), gate_of(new, trained=False), texts)
    assert tally.judged_twice == len(texts)


def test_a_better_title_has_nothing_judged_anew_unless_a_judge_reads_it(few, texts, gate_of):
    found, tally = replayed(
        gate_of(few), gate_of(edited(few, PLAIN, why="It is a word that the tests look for.")), texts
    )
    assert (found, tally.judged_twice, tally.rows) == ([], 0, len(texts))


class Counting(Gate):
    """Counts how much it was given at once."""

    most = 0

    def judge_many(self, exchanges):
        self.most = max(self.most, len(exchanges))
        return super().judge_many(exchanges)


def test_exchanges_are_drawn_as_they_are_judged(few):
    drawn = 0

    def endless() -> Iterator[tuple[str, Exchange]]:
        nonlocal drawn
        while True:
            drawn += 1
            yield str(drawn), Exchange.of(f"kettle number {drawn}")

    gate = Counting(few, [])
    replay = Replay(gate, Gate(few, []))
    for _, judged in zip(range(3 * BATCH_LIMIT), replay.judge(endless()), strict=False):
        replay.tally.add(judged)
    assert gate.most == BATCH_LIMIT
    assert drawn <= 4 * BATCH_LIMIT
    assert replay.tally.rows == 3 * BATCH_LIMIT


def test_a_conversation_is_judged_whole(few, gate_of):
    new = edited(few, PLAIN, detect={"patterns": [{"literal": "mandarin"}], "meaning": None})
    turns = Exchange((Message("user", "hello"), Message("assistant", "hi"), Message("user", "one tangerine")))
    found, _ = replayed(gate_of(few), gate_of(new), [("c", turns)])
    (flip,) = found
    assert (flip.id, flip.text, flip.direction, flip.lost) == ("c", "one tangerine", "milder", (PLAIN,))


class Failing:
    name, identity, instant, skips_clear = "meaning", "fails", False, True

    def covers(self, rule, part):
        return Cover(by=self.name)

    def scan(self, exchanges) -> list[Scan]:
        raise OSError("gone")

    def close(self) -> None: ...


def test_rows_judged_with_a_broken_detector_are_counted(few):
    found, tally = replayed(Gate(few, []), Gate(few, [Failing()]), [("a", Exchange.of("hello"))])
    assert tally.degraded == 1
    assert [flip.direction for flip in found] == ["stricter"]


def judged(name: str, old: Outcome, new: Outcome) -> tuple[str, str, str, Outcome, Outcome]:
    return name, "prompt", "text", old, new


CLEAN, FLAGGED = Outcome(Action.ALLOW), Outcome(Action.FLAG, {"a": 0.7})
BLOCKED, BOTH = Outcome(Action.BLOCK, {"a": 0.9}), Outcome(Action.BLOCK, {"a": 0.9, "b": 0.8})


def test_flips_are_counted_by_rule_and_direction_with_intervals():
    tally = Tally()
    for row in [
        judged("1", CLEAN, FLAGGED),
        judged("2", FLAGGED, BLOCKED),
        judged("3", BOTH, CLEAN),
        judged("4", BLOCKED, BOTH),
        *(judged(str(n), CLEAN, CLEAN) for n in range(6)),
    ]:
        tally.add(row)
    assert (tally.rows, tally.flips, dict(tally.directions)) == (10, 4, {"stricter": 2, "milder": 1, "other": 1})
    assert tally.by_rule["a"] == {"gained": 1, "stricter": 2, "lost": 1, "milder": 1}
    assert tally.by_rule["b"] == {"gained": 1, "lost": 1, "milder": 1}
    assert tally.rate() == share(4, 10)
    assert tally.rate("stricter") == share(2, 10)
    assert tally.rule_rate("a", "gained") == share(1, 10)
    assert tally.action_rates()[Action.BLOCK] == (share(2, 10), share(2, 10))
    told = tally.as_dict()
    assert told["by_rule"]["a"]["stricter"]["count"] == 2
    assert told["rate"]["value"] == 0.4
    assert told["actions"]["allow"] == {
        "old": {"value": 0.7, "low": pytest.approx(0.347547), "high": pytest.approx(0.933260)},
        "new": {"value": 0.7, "low": pytest.approx(0.347547), "high": pytest.approx(0.933260)},
    }


def test_a_tally_of_nothing_has_no_rates():
    assert Tally().as_dict()["rate"] is None


def test_scores_alone_make_no_flip():
    assert list(flips([judged("1", FLAGGED, Outcome(Action.FLAG, {"a": 0.8}))])) == []
