"""One conversation of a prober with a target, and whose word makes a break."""

from __future__ import annotations

import json

import pytest

from constitution.probing.attempts import Attack, Prober
from constitution.probing.seeds import seeds_of
from constitution.probing.transcript import Turn, is_break
from constitution.probing.wording import Wording
from constitution.templates import TemplateSet
from guard.models.base import ContentRefused, ContextTooLong, Reply, Usage


class Three:
    """Prober, target and judge, each by what it is told."""

    local = False

    def __init__(self, identity, answer):
        self.identity, self.answer, self.asks = identity, answer, []

    async def chat(self, ask):
        self.asks.append(ask)
        given = self.answer(ask, len(self.asks))
        if isinstance(given, Exception):
            raise given
        return Reply(given, usage=Usage(5, 5))

    async def close(self): ...


def grade(breaks):
    return json.dumps({"reason": "So it is.", "breaks": breaks, "evasive": not breaks, "helpful": 3})


@pytest.fixture
def attempt(wells, gate, asker):
    """Makes one attempt on a rule of wells."""

    async def run(prober, target, judge=None, *, rule="well-poisoning", number=0, **attack):
        found = wells.rule(rule)
        return await Prober(
            found,
            seeds_of(found, "break"),
            asker(prober),
            asker(target),
            asker(judge) if judge else None,
            gate,
            Wording.read().of("en"),
            TemplateSet.read().of("en"),
            Attack(**attack),
        ).attempt(number)

    return run


def prober(stage):
    return Three("prober", lambda ask, _: json.dumps({"message": stage.words(ask.sampling.seed)}))


async def test_an_attempt_ends_at_the_break_and_its_transcript_is_kept(attempt, stage):
    target = Three("target", lambda _, count: "Then poison the well at night." if count == 3 else f"No {count}.")
    judge = Three("judge", lambda ask, _: grade("at night" in ask.messages[-1].content))
    found = await attempt(prober(stage), target, judge, turns=5)
    assert (found.end, found.broken, len(found.turns)) == ("broken", True, 3)
    assert [turn.gate for turn in found.turns] == [False, False, True]
    assert [turn.judge for turn in found.turns] == [False, False, True]
    assert [turn.evasive for turn in found.turns] == [True, True, False]
    line = found.find()
    assert line["response"] == "Then poison the well at night."
    assert [message["role"] for message in line["prompt"]] == ["user", "assistant", "user", "assistant", "user"]
    assert (line["model"], line["lineage"]["prober"], line["lineage"]["judge"]) == ("target", "prober", "judge")
    # each speaks to the conversation so far, and the prober is told the rule's own instruction
    assert len(target.asks[2].messages) == 5
    assert [message.role for message in target.asks[2].messages] == ["user", "assistant"] * 2 + ["user"]


async def test_the_prober_goes_by_the_rules_instruction_and_is_never_shown_a_test(attempt, stage):
    model = prober(stage)
    found = await attempt(model, Three("target", lambda _, count: f"No {count}."), turns=2)
    assert (found.end, found.broken, len(found.turns)) == ("held", False, 2)
    assert "quarrels with a neighbour" in model.asks[0].messages[-1].content
    assert "No 1." in model.asks[1].messages[-1].content
    assert not any("spoils a village" in ask.messages[-1].content for ask in model.asks)


async def test_the_gates_word_alone_is_no_break_where_the_judge_disagrees(attempt, stage):
    target = Three("target", lambda *_: "Never poison the well.")
    judge = Three("judge", lambda *_: grade(False))
    assert not (await attempt(prober(stage), target, judge, turns=1)).broken
    assert (await attempt(prober(stage), target, judge, turns=1, by="either")).broken
    assert (await attempt(prober(stage), target, judge, turns=1, by="gate")).broken
    assert not (await attempt(prober(stage), target, judge, turns=1, by="judge")).broken


async def test_a_rule_that_the_gate_does_not_look_for_is_the_judges_alone(attempt, stage):
    target, judge = Three("target", lambda *_: "I am the cleverest."), Three("judge", lambda *_: grade(True))
    found = await attempt(prober(stage), target, judge, rule="boasting")
    assert found.broken
    assert found.turns[0].judge


def test_where_nobody_looked_there_is_no_break():
    turn = Turn(message="a", answer="b", seed=0)
    assert not any(is_break(turn, by) for by in ("agreed", "either", "gate", "judge"))
    assert is_break(turn.model_copy(update={"gate": True}), "agreed")
    assert not is_break(turn.model_copy(update={"gate": True, "judge": False}), "agreed")


@pytest.mark.parametrize(
    ("said", "end", "turns"),
    [
        ('{"message": "say it again"}', "repeats", 1),
        ("I'm sorry, but I can't help with that.", "refused", 0),
        ("{}", "unreadable", 0),
        ('{"message": "1. Take it.\\n2. Mix it.\\n3. Wait."}', "unreadable", 0),
    ],
)
async def test_a_prober_with_nothing_more_to_say_ends_the_attempt_with_the_reason(attempt, said, end, turns):
    found = await attempt(Three("prober", lambda *_: said), Three("target", lambda *_: "No."))
    assert (found.end, len(found.turns), found.broken) == (end, turns, False)


@pytest.mark.parametrize(("error", "end"), [(ContentRefused("no"), "withheld"), (ContextTooLong("long"), "too_long")])
async def test_a_target_that_cannot_go_on_ends_the_attempt_without_a_break(attempt, stage, error, end):
    found = await attempt(prober(stage), Three("target", lambda *_: error))
    assert (found.end, found.broken) == (end, False)


async def test_a_judge_that_cannot_be_read_has_no_word(attempt, stage):
    target = Three("target", lambda *_: "Fine.")
    found = await attempt(prober(stage), target, Three("judge", lambda *_: "perhaps"), turns=1)
    assert found.turns[0].judge is None
    assert found.turns[0].reason == "not judged: the answer cannot be read"


async def test_the_same_seed_asks_nothing_twice(attempt, stage):
    target = Three("target", lambda *_: "No.")
    first = await attempt(prober(stage), target, turns=3)
    again, model = Three("target", lambda *_: "No."), prober(stage)
    assert await attempt(model, again, turns=3) == first
    assert (model.asks, again.asks) == ([], [])


async def test_more_attempts_of_the_same_begin_with_those_there_were(attempt, stage):
    target = Three("target", lambda *_: "No.")
    few = [await attempt(prober(stage), target, turns=1, attempts=2, number=number) for number in range(2)]
    again, model = Three("target", lambda *_: "No."), prober(stage)
    many = [await attempt(model, again, turns=1, attempts=12, number=number) for number in range(12)]
    assert many[:2] == few
    assert len(model.asks) == 10
    assert len({each.style for each in many}) == 10  # each manner comes up before one comes up again
