"""One round of critique and revision as the guard calls it: scripted replies, the real templates and a real gate."""

from __future__ import annotations

import json

import pytest

from constitution.reviser import LoopReviser
from constitution.templates import TemplateSet
from guard.detectors.patterns import Patterns
from guard.exchange import Message
from guard.gate import Gate
from guard.guard import Guard
from guard.models.base import ModelUnavailable, Reply, Sampling, Usage
from rules.schema import Action, Constitution

ASKED = [Message("user", "My neighbour is away for the week. How can I get into the house next door without a key?")]
BROKEN = "Take a crowbar to the back door. Do it after dark and wear gloves."
BETTER = (
    "I won't help with getting in unasked, because it is not your house. If you worry about a pet or a leak, call your"
    " neighbour, and if you cannot reach them, ask the fire brigade to look."
)
ROOM = 20_000


def critique(*quotes, verdict="breaks", problem="It tells how to break in."):
    return json.dumps({"problem": problem, "verdict": verdict, "quotes": quotes})


BREAKS = critique("Take a crowbar to the back door.")
KEEPS = critique(verdict="keeps", problem="Nothing in it helps to break in.")


class Says:
    """A model that says some things in turn and remembers what it was asked."""

    identity = "says"
    local = True

    def __init__(self, *replies, usage=None):
        self._replies = list(replies)
        self._usage = Usage() if usage is None else usage
        self.asked = []

    async def chat(self, ask):
        self.asked.append(ask)
        said = self._replies.pop(0)
        if isinstance(said, Exception):
            raise said
        return said if isinstance(said, Reply) else Reply(said, usage=self._usage)

    async def close(self):
        """Nothing to let go of."""


@pytest.fixture(scope="module")
def constitution():
    rule = {
        "id": "break-ins",
        "title": "Breaking in",
        "rule": {"en": "Do not help anyone break into a home.", "zh": "不要帮助任何人闯入住宅。"},
        "why": "People get hurt where this is done to them.",
        "watches": ["prompt", "response"],
        "detect": {"patterns": [{"literal": "crowbar"}], "meaning": None},
        "on": {"prompt": "revise", "response": "revise"},
    }
    return Constitution.model_validate({"name": "one", "title": "One", "rules": [rule]})


@pytest.fixture(scope="module")
def templates():
    return TemplateSet.read()


@pytest.fixture
def reviser_of(constitution, templates):
    return lambda critic, reviser, **more: LoopReviser(constitution, templates, critic, reviser, **more)


async def test_a_round_asks_the_critic_then_the_reviser(reviser_of):
    critic, reviser = Says(BREAKS, usage=Usage(30, 10)), Says(BETTER, usage=Usage(50, 20))
    revised = await reviser_of(critic, reviser).revise("break-ins", ASKED, BROKEN, tokens=ROOM)
    assert (revised.text, revised.kept, revised.usage) == (BETTER, False, Usage(80, 30))
    asked = critic.asked[0].messages[-1].content
    assert "Do not help anyone break into a home." in asked
    assert BROKEN in asked
    assert critic.asked[0].schema is not None
    assert "Take a crowbar to the back door." in reviser.asked[0].messages[-1].content


async def test_a_critic_that_sees_nothing_keeps_the_answer(reviser_of):
    reviser = Says()
    revised = await reviser_of(Says(KEEPS), reviser).revise("break-ins", ASKED, BROKEN, tokens=ROOM)
    assert (revised.text, revised.kept) == (BROKEN, True)
    assert reviser.asked == []


@pytest.mark.parametrize("said", ["no JSON at all", critique(), critique("words that are not there at all")])
async def test_a_critique_that_cannot_be_relied_on_is_asked_for_once_more(reviser_of, said):
    critic = Says(said, BREAKS)
    revised = await reviser_of(critic, Says(BETTER)).revise("break-ins", ASKED, BROKEN, tokens=ROOM)
    assert revised.text == BETTER
    first, second = critic.asked
    assert first.sampling.seed != second.sampling.seed
    revised = await reviser_of(Says(said, said), Says()).revise("break-ins", ASKED, BROKEN, tokens=ROOM)
    assert (revised.text, revised.kept) == (None, False)


@pytest.mark.parametrize(
    "said",
    [
        "",
        BROKEN,
        f"Sure. {BROKEN}",
        "I can't help with that.",
        Reply(BETTER, "length"),
        "这是另一种语言的回答，并不合适。" * 3,
    ],
    ids=["empty", "unchanged", "still quoted", "evasive", "cut off", "another language"],
)
async def test_a_revision_that_fails_the_loops_checks_is_no_answer(reviser_of, said):
    revised = await reviser_of(Says(BREAKS), Says(said, said)).revise("break-ins", ASKED, BROKEN, tokens=ROOM)
    assert revised.text is None
    revised = await reviser_of(Says(BREAKS), Says(said, BETTER)).revise("break-ins", ASKED, BROKEN, tokens=ROOM)
    assert revised.text == BETTER


async def test_no_call_is_made_that_the_tokens_left_do_not_allow(reviser_of):
    critic, reviser = Says(BREAKS), Says(BETTER)
    revised = await reviser_of(critic, reviser).revise("break-ins", ASKED, BROKEN, tokens=100)
    assert (revised.text, critic.asked) == (None, [])
    spends_it_all = Says(BREAKS, usage=Usage(ROOM, 0))
    revised = await reviser_of(spends_it_all, reviser).revise("break-ins", ASKED, BROKEN, tokens=ROOM)
    assert (revised.text, reviser.asked) == (None, [])
    assert revised.usage == Usage(ROOM, 0)


async def test_what_a_call_may_write_shrinks_with_the_tokens_left(reviser_of):
    critic = Says(KEEPS)
    measured = Says(KEEPS)
    await reviser_of(measured, Says()).revise("break-ins", ASKED, BROKEN, tokens=ROOM)
    read = sum(len(message.content.encode()) // 3 + 16 for message in measured.asked[0].messages)
    await reviser_of(critic, Says()).revise("break-ins", ASKED, BROKEN, tokens=read + 60)
    assert critic.asked[0].sampling.max_tokens == 60


async def test_a_long_answer_may_be_revised_at_its_own_length(reviser_of):
    long = BROKEN + " And here is much more of the same kind." * 100
    reviser = Says(BETTER)
    await reviser_of(Says(BREAKS), reviser).revise("break-ins", ASKED, long, tokens=ROOM)
    assert reviser.asked[0].sampling.max_tokens > len(long) // 4


async def test_a_model_that_tells_no_usage_is_charged_a_guess(reviser_of):
    revised = await reviser_of(Says(BREAKS), Says(BETTER)).revise("break-ins", ASKED, BROKEN, tokens=ROOM)
    assert revised.usage.prompt > 100
    assert revised.usage.completion > 10


async def test_a_model_that_fails_is_the_callers_to_handle(reviser_of):
    with pytest.raises(ModelUnavailable):
        await reviser_of(Says(ModelUnavailable("gone")), Says()).revise("break-ins", ASKED, BROKEN, tokens=ROOM)


async def test_the_templates_follow_the_users_language(reviser_of):
    critic = Says(KEEPS)
    chinese = [Message("user", "邻居出门一周了，我没有钥匙，怎么才能进他家的门？")]
    await reviser_of(critic, Says()).revise("break-ins", chinese, "用撬棍。", tokens=ROOM)
    assert "不要帮助任何人闯入住宅。" in critic.asked[0].messages[-1].content


async def test_sampling_may_be_set_for_each_role(reviser_of):
    critic = Says(KEEPS)
    sampling = {"critic": Sampling(temperature=0.0, max_tokens=111)}
    await reviser_of(critic, Says(), sampling=sampling).revise("break-ins", ASKED, BROKEN, tokens=ROOM)
    assert (critic.asked[0].sampling.temperature, critic.asked[0].sampling.max_tokens) == (0.0, 111)


async def test_the_guard_mends_an_answer_by_it(constitution, reviser_of):
    gate = Gate(constitution, [Patterns(constitution)])
    guard = Guard(gate, model=Says(BROKEN, BROKEN), reviser=reviser_of(Says(BREAKS, "?", "?"), Says(BETTER)))
    guarded = await guard.chat(ASKED)
    assert guarded.text == BETTER
    assert (guarded.decision.action, guarded.decision.rounds) == (Action.REVISE, 1)
    fallen = await guard.chat(ASKED)
    assert fallen.decision.action is Action.BLOCK
    assert "Breaking in" in fallen.text
