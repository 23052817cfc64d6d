"""One row's life over every path, with scripted models, the real gate and the real store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from constitution.calls import BudgetSpent, Caller, Meter
from constitution.choice import Choice
from constitution.desk import GateDegraded
from constitution.loop import Loop, LoopSettings
from constitution.prompt import Prompt, prompt_id
from constitution.row import Row, Source
from constitution.settings import SAMPLING
from constitution.store import RowStore
from constitution.templates import TemplateSet
from guard.exchange import Message
from guard.gate import Gate
from guard.models import open_model
from guard.models.base import Ask, ModelError, ModelUnavailable, Reply
from rules.schema import Constitution

ASKED = "My neighbour is away for the week. How can I get into the house next door without a key?"
BROKEN = "Take a crowbar to the back door. Do it after dark and wear gloves."
BETTER = (
    "I won't help with getting in unasked, because it is not your house. If you worry about a pet or a leak, call your"
    " neighbour, and if you cannot reach them, ask the fire brigade to look."
)
FINE = "Ask your neighbour to leave a spare key with you, and write down whom to call if something goes wrong."
THOUGHT = (
    "I see that this person may worry about the house, so I leave out what would harm and offer a safe way to help."
)
NEW, THINK = "Write the new answer", "Write my thinking"


def critique(*quotes: str, verdict: str = "breaks", problem: str = "It tells how to break in.") -> str:
    return json.dumps({"problem": problem, "verdict": verdict, "quotes": quotes})


KEEPS = critique(verdict="keeps", problem="Nothing in it helps to break in.")
BREAKS = critique("Take a crowbar to the back door.")


@pytest.fixture(scope="module")
def constitution() -> Constitution:
    def rule(rule_id: str, word: str, text: str) -> dict[str, Any]:
        detect = {"patterns": [{"literal": word}], "meaning": None}
        why = "People get hurt where this is done to them."
        return {"id": rule_id, "title": rule_id, "rule": text, "why": why, "watches": ["response"], "detect": detect}

    rules = [
        rule("break-ins", "crowbar", "Do not help anyone break into a home."),
        rule("insults", "fool", "Do not insult people."),
    ]
    return Constitution.model_validate({"name": "two", "title": "Two", "rules": rules})


@dataclass
class Setup:
    """What a row is made with; replies of a role are a text or a list of script entries."""

    constitution: Constitution
    folder: Path
    stack: ExitStack
    store: RowStore
    meter: Meter = field(default_factory=Meter)

    def model(self, role: str, replies: Any) -> Any:
        entries = [{"text": replies}] if isinstance(replies, str) else replies
        path = self.folder / f"{role}.json"
        path.write_text(json.dumps(entries))
        return open_model(f"scripted:{path}")

    async def row(
        self, *, asked: str = ASKED, gate: Any = None, settings: LoopSettings | None = None, **models: Any
    ) -> Row:
        opened = {role: made if hasattr(made, "chat") else self.model(role, made) for role, made in models.items()}
        caller = Caller(opened, SAMPLING, self.store, self.meter)
        gate = gate or self.stack.enter_context(Gate.build(self.constitution, encoder=None))
        names = {role: model.identity for role, model in opened.items()}
        templates = TemplateSet.read()
        loop = Loop(self.constitution, templates, gate, caller, settings or LoopSettings(), models=names, sampling={})
        messages = (Message("user", asked),)
        return await loop.run(Prompt(prompt_id(messages), messages, Source(file="p", line=1)))


@pytest.fixture
def setup(constitution, tmp_path) -> Iterator[Setup]:
    with ExitStack() as stack, closing(RowStore(tmp_path)) as store:
        yield Setup(constitution, tmp_path, stack, store)


def reviser(revision: Any = BETTER, rationale: Any = THOUGHT) -> list[dict[str, Any]]:
    def outcome(given: Any) -> dict[str, Any]:
        return given if isinstance(given, dict) else {"texts": given} if isinstance(given, list) else {"text": given}

    return [{"match": NEW, **outcome(revision)}, {"match": THINK, **outcome(rationale)}]


async def test_an_answer_that_keeps_the_rule_stands_unchanged(setup):
    row = await setup.row(answerer=FINE, critic=KEEPS, reviser=reviser())
    assert row.status == "accepted"
    assert row.final == row.answer == FINE
    assert not row.changed
    told = [(round_.revision, round_.critique.verdict, round_.chosen) for round_ in row.rounds]
    assert told == [(None, "keeps", "evidence")]
    assert row.rounds[0].rule in {"break-ins", "insults"}
    assert row.rationale == THOUGHT
    assert row.messages[-1].reasoning == THOUGHT
    assert [call.stage for call in row.calls] == ["answer", "critique 1", "rationale"]


async def test_a_broken_answer_is_critiqued_revised_and_justified(setup):
    row = await setup.row(answerer=BROKEN, critic=BREAKS, reviser=reviser())
    assert row.status == "accepted"
    assert (row.answer, row.final) == (BROKEN, BETTER)
    (round_,) = row.rounds
    assert round_.rule == "break-ins"
    assert round_.critique.quotes == ("Take a crowbar to the back door.",)
    assert (round_.score_before, round_.score_after) == (1.0, 0.0)
    assert (row.score_answer, row.score_final) == (1.0, 0.0)
    assert row.shaped_by == ("break-ins",)
    assert [call.stage for call in row.calls] == ["answer", "critique 1", "revision 1", "rationale"]
    assert row.tokens.completion > 0


async def test_what_a_first_revision_leaves_broken_a_second_round_mends(setup):
    half = BETTER + " Only a fool takes a crowbar with them to a door like this one, mind you."
    critic = [
        {"match": "Only a fool", "text": critique("Only a fool takes a crowbar with them")},
        {"match": "after dark", "text": BREAKS},
    ]
    revisions = [
        {"regex": f"(?s)Only a fool.*{NEW}", "text": BETTER},
        {"match": NEW, "text": half},
        {"match": THINK, "text": THOUGHT},
    ]
    row = await setup.row(answerer=BROKEN, critic=critic, reviser=revisions)
    assert row.status == "accepted", row.rejection
    assert [round_.revision for round_ in row.rounds] == [half, BETTER]
    assert row.rounds[0].score_after == 1.0
    assert row.score_final == 0.0


async def test_a_critic_that_sees_nothing_where_the_gate_does_leaves_the_row_rejected(setup):
    row = await setup.row(answerer=BROKEN, critic=KEEPS, reviser=reviser())
    assert row.rejection is not None
    assert (row.rejection.stage, row.rejection.reason) == ("checks", "still_broken")
    assert "break-ins" in row.rejection.detail


async def test_rounds_end_at_their_number_and_what_is_still_broken_is_rejected(setup):
    stubborn = "I would rather not say, but in short a crowbar is what people use, so ask a friend who has one at home."
    critic = [
        {"match": "I would rather not", "text": critique("a crowbar is what people use")},
        {"match": "after dark", "text": BREAKS},
    ]
    row = await setup.row(
        answerer=BROKEN, critic=critic, reviser=reviser([stubborn, f"{stubborn} Or a neighbour of theirs."])
    )
    assert row.rejection is not None
    assert row.rejection.reason in {"still_broken", "still_quoted", "unchanged"}
    assert len(row.rounds) <= 2


def test_there_is_at_least_one_round_so_that_a_rule_is_at_stake():
    with pytest.raises(ValueError, match="at least 1"):
        LoopSettings(rounds=0)


async def test_in_turn_every_rule_is_asked(setup):
    settings = LoopSettings(rounds=2, choice=Choice.TURN)
    row = await setup.row(answerer=FINE, critic=KEEPS, reviser=reviser(), settings=settings)
    assert [round_.rule for round_ in row.rounds] == ["break-ins", "insults"]


async def test_the_best_of_several_revisions_that_passes_is_kept_and_all_are_told(setup):
    bad = "I'm sorry, I can't help with that."
    row = await setup.row(
        answerer=BROKEN,
        critic=BREAKS,
        reviser=reviser([bad, BETTER, f"{BROKEN} Be quick about it, and take a friend."]),
        settings=LoopSettings(samples=12),
    )
    assert row.status == "accepted"
    assert row.final == BETTER
    failed = {candidate.failed for candidate in row.rounds[0].candidates}
    assert len(row.rounds[0].candidates) == 12
    assert {None, "evasive"} <= failed


async def test_the_judge_picks_the_most_helpful_candidate(setup):
    dull = (
        "I won't help with getting in, since it is not yours to enter. Perhaps you can do something else with the week."
    )
    judge = [
        {"match": "fire brigade", "text": '{"reason": "good", "breaks": false, "evasive": false, "helpful": 5}'},
        {"text": '{"reason": "dull", "breaks": false, "evasive": false, "helpful": 2}'},
    ]
    row = await setup.row(
        answerer=BROKEN, critic=BREAKS, reviser=reviser([dull, BETTER]), judge=judge, settings=LoopSettings(samples=8)
    )
    assert {candidate.text for candidate in row.rounds[0].candidates} == {dull, BETTER}
    assert row.final == BETTER
    assert row.judged == {"reason": "good", "breaks": False, "evasive": False, "helpful": 5}


@pytest.mark.parametrize(
    ("grade", "reason"),
    [
        ('{"reason": "bad", "breaks": true, "evasive": false, "helpful": 3}', "judge_broken"),
        ('{"reason": "dull", "breaks": false, "evasive": false, "helpful": 2}', "judge_unhelpful"),
        ('{"reason": "empty", "breaks": false, "evasive": true, "helpful": 1}', "judge_evasive"),
        ("I give it five stars.", "judge_unreadable"),
        ('{"breaks": "maybe"}', "judge_unreadable"),
        ('{"reason": "x", "breaks": false, "evasive": false, "helpful": 9}', "judge_unreadable"),
    ],
)
async def test_the_judge_can_turn_a_row_down(setup, grade, reason):
    settings = LoopSettings(min_helpful=3)
    row = await setup.row(answerer=BROKEN, critic=BREAKS, reviser=reviser(), judge=grade, settings=settings)
    assert row.rejection is not None
    assert (row.rejection.stage, row.rejection.reason) == ("checks", reason)
    assert row.final == BETTER, "a rejected row is kept with all that was made"


@pytest.mark.parametrize(("least", "status"), [(None, "accepted"), (3, "accepted"), (4, "rejected")])
async def test_an_answer_is_as_helpful_as_was_asked_for_or_rejected(setup, least, status):
    grade = '{"reason": "so so", "breaks": false, "evasive": false, "helpful": 3}'
    settings = LoopSettings(min_helpful=least)
    row = await setup.row(answerer=FINE, critic=KEEPS, reviser=reviser(), judge=grade, settings=settings)
    assert row.status == status
    if row.rejection is not None:
        assert row.rejection.detail == "3 of 5: so so"


async def test_a_good_critic_asked_of_the_nearest_rules_finds_what_the_first_of_them_does_not_see(setup):
    critic = [{"match": "Do not insult people", "text": KEEPS}, {"text": BREAKS}]
    settings = LoopSettings(rounds=2, choice=Choice.NEAREST)
    rows = [
        await setup.row(
            asked=f"{ASKED} {number}",
            answerer=BROKEN.replace("crowbar", "jemmy"),
            reviser=reviser(),
            settings=settings,
            critic=[{**entry, "text": entry["text"].replace("crowbar", "jemmy")} for entry in critic],
        )
        for number in range(8)
    ]
    firsts = {row.rounds[0].rule for row in rows}
    assert firsts == {"break-ins", "insults"}, "no detector tells the two apart, so the seed draws"
    assert all(row.final == BETTER for row in rows)
    assert all({round_.rule for round_ in row.rounds} == {"break-ins", "insults"} for row in rows)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("It is bad.", "critique_unreadable"),
        ('{"verdict": "breaks"}', "critique_unreadable"),
        ("", "critique_unreadable"),
        (critique(), "no_quote"),
        (critique("Climb through the window"), "quote_not_found"),
        ([{"text": BREAKS[:30], "finish": "length"}], "critique_cut_off"),
    ],
)
async def test_a_critique_that_is_no_good_twice_ends_the_row(setup, said, reason):
    row = await setup.row(answerer=BROKEN, critic=said, reviser=reviser())
    assert row.rejection is not None
    assert (row.rejection.stage, row.rejection.reason) == ("critique", reason)
    assert [call.stage for call in row.calls] == ["answer", "critique 1", "critique 1"]
    assert row.rounds == ()
    assert row.answer == BROKEN


async def test_a_second_try_of_a_critique_is_another_draw_and_can_save_the_row(setup):
    outcomes = set()
    for number in range(12):
        asked = f"{ASKED} It is number {number}."
        row = await setup.row(asked=asked, answerer=BROKEN, critic=[{"texts": ["Hm.", BREAKS]}], reviser=reviser())
        outcomes.add((row.status, len([call for call in row.calls if call.role == "critic"])))
    assert ("accepted", 2) in outcomes
    assert ("accepted", 1) in outcomes


@pytest.mark.parametrize(
    ("revision", "reason"),
    [
        ("", "empty"),
        ({"text": BETTER[:50], "finish": "length"}, "cut_off"),
        ({"text": BETTER, "finish": "filter"}, "filtered"),
        ("I'm sorry, I can't help with that.", "evasive"),
        (f"{BETTER} As an AI language model I have no house.", "boilerplate"),
        (f"{BETTER} I changed the original answer for this.", "process_talk"),
        ("Call your neighbour now. " * 8, "repetitive"),
        ("我不会帮你进去，因为那不是你的房子。请打电话给你的邻居。", "other_language"),
        (BROKEN, "unchanged"),
        (f"{BETTER} Take a crowbar to the back door.", "still_quoted"),
    ],
)
async def test_a_revision_that_no_further_round_can_mend_ends_the_row(setup, revision, reason):
    row = await setup.row(answerer=BROKEN, critic=BREAKS, reviser=reviser(revision))
    assert row.rejection is not None
    assert row.rejection.reason == reason
    assert row.rejection.stage in {"revision", "checks"}
    assert row.final in {BROKEN, None} or row.final == row.answer


@pytest.mark.parametrize(
    ("rationale", "reason"),
    [
        ("", "rationale_empty"),
        ({"text": THOUGHT, "finish": "length"}, "rationale_cut_off"),
        ("I help.", "rationale_too_short"),
        (
            "The person worries about the house, and so a safe way to help is what this calls for.",
            "rationale_not_first_person",
        ),
        (f"{THOUGHT} The critique says so.", "rationale_process_talk"),
        (f"{THOUGHT} As an AI I care.", "rationale_boilerplate"),
        ("I think of them. " * 9, "rationale_repetitive"),
    ],
)
async def test_a_rationale_that_is_no_good_twice_ends_the_row_and_stays_in_it(setup, rationale, reason):
    row = await setup.row(answerer=BROKEN, critic=BREAKS, reviser=reviser(BETTER, rationale))
    assert row.rejection is not None
    assert (row.rejection.stage, row.rejection.reason) == ("rationale", reason)
    assert [call.stage for call in row.calls].count("rationale") == 2
    said = rationale["text"] if isinstance(rationale, dict) else rationale
    assert row.rationale == said.strip()
    assert row.final == BETTER


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", "empty"),
        ("  \n ", "empty"),
        ([{"text": FINE, "finish": "length"}], "cut_off"),
        ("I'm sorry, I can't help with that.", "evasive"),
        ("请你的邻居给你一把备用钥匙。", "other_language"),
    ],
)
async def test_a_first_answer_that_cannot_stand_is_rejected(setup, answer, reason):
    row = await setup.row(answerer=answer, critic=KEEPS, reviser=reviser())
    assert row.rejection is not None
    assert row.rejection.reason == reason


async def test_a_first_answer_that_was_cut_off_may_be_mended_by_a_whole_revision(setup):
    row = await setup.row(answerer=[{"text": BROKEN, "finish": "length"}], critic=BREAKS, reviser=reviser())
    assert row.status == "accepted"


@pytest.mark.parametrize(("error", "reason"), [("context", "context_too_long"), ("refused", "provider_refused")])
@pytest.mark.parametrize("where", ["answerer", "critic", "reviser", "judge"])
async def test_a_model_that_cannot_take_this_conversation_rejects_the_row_at_its_stage(setup, where, error, reason):
    models = {"answerer": BROKEN, "critic": BREAKS, "reviser": reviser(), "judge": "{}", where: [{"error": error}]}
    row = await setup.row(**models)
    assert row.rejection is not None
    assert row.rejection.reason == reason
    stages = {"answerer": "answer", "critic": "critique", "reviser": "revision", "judge": "checks"}
    assert row.rejection.stage == stages[where]


async def test_a_model_that_is_unavailable_makes_no_row_and_keeps_no_answer(setup):
    with pytest.raises(ModelUnavailable):
        await setup.row(answerer=BROKEN, critic=[{"error": "unavailable"}], reviser=reviser())
    assert setup.store.counts().calls == 1, "only what was answered is kept"


class Counting:
    """A model that counts what it is asked."""

    local = True

    def __init__(self, inner: Any) -> None:
        self.inner, self.asked = inner, []

    @property
    def identity(self) -> str:
        return str(self.inner.identity)

    async def chat(self, ask: Ask) -> Reply:
        self.asked.append(ask)
        reply: Reply = await self.inner.chat(ask)
        return reply

    async def close(self) -> None:
        await self.inner.close()


async def test_the_same_row_again_asks_nothing_and_comes_out_the_same(setup):
    first = await setup.row(answerer=BROKEN, critic=BREAKS, reviser=reviser())
    models = {
        "answerer": Counting(setup.model("answerer", BROKEN)),
        "critic": Counting(setup.model("critic", BREAKS)),
        "reviser": Counting(setup.model("reviser", reviser())),
    }
    again = await setup.row(**models)
    assert [model.asked for model in models.values()] == [[], [], []]
    assert setup.meter.reused == 4
    left_out = {"started", "finished", "calls"}
    assert again.model_dump(exclude=left_out) == first.model_dump(exclude=left_out)
    assert [call.tokens for call in again.calls] == [call.tokens for call in first.calls]
    assert {call.ms for call in again.calls} == {0.0}


async def test_another_seed_asks_anew(setup):
    model = Counting(setup.model("answerer", FINE))
    for seed in (0, 1, 0):
        await setup.row(answerer=model, critic=KEEPS, reviser=reviser(), settings=LoopSettings(seed=seed))
    assert len({ask.sampling.seed for ask in model.asked}) == len(model.asked) == 2


async def test_samples_are_drawn_with_seeds_of_their_own(setup):
    model = Counting(setup.model("reviser", reviser()))
    await setup.row(answerer=BROKEN, critic=BREAKS, reviser=model, settings=LoopSettings(samples=6))
    drawn = [ask.sampling.seed for ask in model.asked if NEW in ask.messages[-1].content]
    assert len(set(drawn)) == len(drawn) == 6


async def test_a_spent_budget_stops_before_the_next_call(setup):
    setup.meter.budget = 600
    with pytest.raises(BudgetSpent, match="budget of 600 tokens is spent: "):
        await setup.row(answerer=BROKEN, critic=BREAKS, reviser=reviser())
    assert setup.store.counts().calls == 1
    assert setup.meter.reserved == 0


async def test_the_critic_of_a_chinese_prompt_is_asked_in_chinese(setup):
    model = Counting(setup.model("critic", KEEPS))
    row = await setup.row(
        asked="邻居出门了，怎样进他家？",
        answerer="请先给邻居打个电话问一问。",
        critic=model,
        reviser="我想他可能担心家里出事，所以我请他先打电话问一问。",
    )
    assert row.language == "zh"
    assert "规则" in model.asked[0].messages[-1].content


async def test_a_gate_that_could_not_look_passes_no_row(setup, constitution):
    class Broken:
        name, identity, instant = "broken", "broken", True

        def covers(self, *_: Any) -> Any:
            from guard.detectors.base import Cover

            return Cover("broken")

        def scan(self, exchanges: Any) -> Any:
            raise OSError("model file is gone")

        def close(self) -> None: ...

    try:
        gate = Gate(constitution, [Broken()])  # type: ignore[list-item]
        with pytest.raises(GateDegraded, match="model file is gone"):
            await setup.row(answerer=FINE, critic=KEEPS, reviser=reviser(), gate=gate)
    except ImportError:
        pytest.fail("the detector protocol has changed")


async def test_a_scripted_model_without_a_reply_is_an_error_and_no_row(setup):
    with pytest.raises(ModelError):
        await setup.row(answerer=[{"match": "nothing like it", "text": "x"}], critic=KEEPS, reviser=reviser())


async def test_what_was_tried_stays_in_a_row_that_no_revision_could_save(setup):
    row = await setup.row(answerer=BROKEN, critic=BREAKS, reviser=reviser("I'm sorry, I can't.", THOUGHT))
    assert row.rejection is not None
    assert (row.rejection.stage, row.rejection.reason) == ("revision", "evasive")
    (round_,) = row.rounds
    assert round_.critique.verdict == "breaks"
    assert round_.revision is None
    assert [(candidate.text, candidate.failed) for candidate in round_.candidates] == [
        ("I'm sorry, I can't.", "evasive")
    ]
    assert row.final == row.answer == BROKEN
    assert not row.changed


async def test_a_revision_that_repeats_its_few_shot_ends_the_row(setup):
    shown = TemplateSet.read().of("en").demonstrations[0].revision
    row = await setup.row(answerer=BROKEN, critic=BREAKS, reviser=reviser(shown, THOUGHT))
    assert row.rejection is not None
    assert (row.rejection.stage, row.rejection.reason) == ("revision", "parroted")
