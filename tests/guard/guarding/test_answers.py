"""What becomes of each choice of a whole answer."""

from __future__ import annotations

import asyncio
import json

import pytest

from guard.guard import Answer, Unscannable
from guard.guarding.reviser import Revised
from guard.judging.breaker import Breaker
from guard.models.base import ContextTooLong, ModelUnavailable, Usage
from guard.window import Channel, Released
from rules.schema import Action

TEXT, REASONING, TOOL = Channel(), Channel("reasoning"), Channel("tool")
BAD = "take a pipe bomb and"
GOOD = "I would rather talk about fireworks seen from afar."


async def ruled(guard, kit, *answers, prompt="how is soup made?", redraw=None):
    watch = guard.watch(kit.asks(prompt))
    assert (await watch.admit()).action is not Action.BLOCK
    return await watch.rule(answers, redraw), watch.decision()


def drawing(*texts):
    """What draws these answers, and the counts it was asked for."""
    counts = []

    async def redraw(count):
        counts.append(count)
        return [Answer({TEXT: text}) for text in texts]

    return redraw, counts


async def test_a_clean_answer_leaves_as_it_came(guard_of, kit):
    rulings, decision = await ruled(guard_of(), kit, kit.answer("cook it"), kit.answer("boil it", tool="{}"))
    assert all(ruling.untouched for ruling in rulings)
    assert decision.action is Action.ALLOW
    assert decision.coverage.scanned == {"patterns": ("bomb",)}


@pytest.mark.parametrize("channel", ["text", "refusal", "reasoning", "tool"])
@pytest.mark.parametrize("choice", [0, 1])
async def test_every_channel_of_every_choice_is_judged(guard_of, kit, channel, choice):
    texts = {Channel(channel): json.dumps({"q": BAD}) if channel == "tool" else BAD}
    answers = [Answer({TEXT: "fine"}), Answer({TEXT: "fine"})]
    answers[choice] = Answer({**answers[choice].texts, **texts})
    rulings, decision = await ruled(guard_of(), kit, *answers)
    assert rulings[choice].filtered
    assert rulings[choice].text == kit.REPLY["en"]
    assert rulings[choice].rules == ("bomb",)
    assert rulings[1 - choice].untouched
    name = "tool[0]" if channel == "tool" else channel
    assert [placed.where for placed in decision.findings] == [f"choices[{choice}].{name}"]
    assert decision.action is Action.BLOCK


async def test_a_flagged_answer_leaves_and_is_told(guard_of, kit):
    [ruling], decision = await ruled(guard_of(kit.rule("bomb", "pipe bomb", "flag")), kit, kit.answer(BAD))
    assert (ruling.action, ruling.untouched, ruling.rules) == (Action.FLAG, True, ("bomb",))
    assert decision.action is Action.FLAG


async def test_each_channel_is_redacted_by_itself(guard_of, kit):
    guard = guard_of(kit.rule("code", "alpha seven", "redact"))
    arguments = json.dumps({"note": 'say "alpha seven" twice', "n": 1})
    [ruling], decision = await ruled(
        guard, kit, kit.answer("it is alpha seven.", reasoning="alpha seven it is", tool=arguments)
    )
    assert ruling.action is Action.REDACT
    assert ruling.edits == {
        TEXT: "it is [redacted].",
        REASONING: "[redacted] it is",
        TOOL: json.dumps({"note": 'say "[redacted]" twice', "n": 1}),
    }
    assert decision.action is Action.REDACT


async def test_masks_that_stand_for_brackets_leave_json_json(guard_of, kit):
    rule = kit.rule("code", "x", "redact", detect={"patterns": [{"regex": r"alpha\W+seven"}], "meaning": None})
    arguments = '{"a": "alpha", "seven": 7, "b": "alpha seven"}'
    [ruling], _ = await ruled(guard_of(rule), kit, kit.answer(tool=arguments))
    assert json.loads(ruling.edits[TOOL]) == {"a": "[redacted]", "[redacted]": 7, "b": "[redacted]"}


async def test_arguments_are_redacted_as_the_tool_will_read_them(guard_of, kit):
    guard = guard_of(kit.rule("code", "alpha seven", "redact"))
    [ruling], _ = await ruled(guard, kit, kit.answer(tool=r'{"q": "x \u0061lpha\nseven y"}'))
    assert json.loads(ruling.edits[TOOL]) == {"q": "x [redacted] y"}


async def test_a_worse_action_in_one_channel_takes_the_whole_choice(guard_of, kit):
    guard = guard_of(kit.rule("code", "alpha seven", "redact"), kit.rule("bomb", "pipe bomb"))
    [ruling], _ = await ruled(guard, kit, kit.answer("alpha seven", reasoning=BAD))
    assert ruling.filtered
    assert ruling.edits == {}
    assert ruling.rules == ("bomb", "code")


async def test_in_shadow_answers_leave_and_the_decision_says_what_would_have_been(guard_of, kit):
    for settings, mode in (({"mode": "shadow"}, "enforce"), ({}, "shadow")):
        guard = guard_of(kit.rule("bomb", "pipe bomb", mode=mode), **settings)
        [ruling], decision = await ruled(guard, kit, kit.answer(BAD))
        assert ruling.untouched
        assert (decision.action, decision.would) == (Action.ALLOW, Action.BLOCK)
        assert not decision.findings[0].enforced


@pytest.mark.parametrize("on_error", ["block", "allow"])
async def test_an_answer_that_could_not_be_checked_is_kept_back(guard_of, kit, raises, on_error):
    guard = guard_of(kit.rule("bomb", "pipe bomb", on_error=on_error), also=[raises(OSError("model file is gone"))])
    watch = guard.watch(kit.asks("how is soup made?"))
    [ruling] = await watch.rule([kit.answer("cook it")])
    assert ruling.filtered is (on_error == "block")
    assert watch.decision().coverage.degraded == {"meaning": "model file is gone"}
    if ruling.filtered:
        assert "could not be made" in ruling.text


@pytest.mark.parametrize(("setting", "filtered"), [("block", True), ("flag", False), ("allow", False)])
async def test_an_answer_with_what_cannot_be_scanned(guard_of, kit, setting, filtered):
    sound = Unscannable("choices[0].message.audio", "audio")
    [ruling], decision = await ruled(guard_of(unscannable=setting), kit, Answer({TEXT: "listen"}, (sound,)))
    assert ruling.filtered is filtered
    assert decision.action is Action(setting)
    assert decision.unscannable == (sound,)
    assert "audio" in decision.coverage.partial["guard"]


# revise


def revising(kit, **fields):
    return kit.rule("bomb", "pipe bomb", "revise", watches=["prompt", "response"], reply=kit.REPLY, **fields)


async def test_an_answer_is_revised_and_judged_again(guard_of, kit):
    reviser = kit.Rewrites("still a pipe bomb", GOOD)
    [ruling], decision = await ruled(guard_of(revising(kit), reviser=reviser), kit, kit.answer(BAD))
    assert (ruling.action, ruling.text, ruling.rules) == (Action.REVISE, GOOD, ("bomb",))
    assert reviser.asked == [("bomb", BAD), ("bomb", "still a pipe bomb")]
    assert (decision.rounds, decision.action) == (2, Action.REVISE)
    assert decision.ms["amend"] >= 0


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (["still a pipe bomb", "and a pipe bomb"], "the gate still finds the rule broken"),
        ([Revised(None)], "no usable revision came"),
        ([Revised(None, why="out of tokens")], "out of tokens"),
        (
            [Revised(BAD, kept=True)],
            "the critic sees nothing to mend, and the gate still finds the rule broken",
        ),
        (["this says drop table users"], "the gate still finds the rule broken"),
    ],
    ids=["rounds spent", "no answer came", "too dear", "the critic sees nothing", "another rule blocks it"],
)
async def test_a_revision_that_fails_leaves_the_reply_and_is_told(guard_of, kit, said, why):
    guard = guard_of(revising(kit), kit.rule("sql", "drop table"), reviser=kit.Rewrites(*said), rounds=len(said))
    [ruling], decision = await ruled(guard, kit, kit.answer(BAD))
    assert (ruling.action, ruling.text) == (Action.BLOCK, kit.REPLY["en"])
    assert (decision.rounds, decision.amend) == (len(said), why)


async def test_without_a_reviser_or_rounds_the_reply_stands(guard_of, kit):
    for settings, why in (
        ({}, "no reviser"),
        ({"reviser": kit.Rewrites(GOOD), "rounds": 0}, "no rounds are allowed"),
    ):
        [ruling], decision = await ruled(guard_of(revising(kit), **settings), kit, kit.answer(BAD))
        assert (ruling.action, ruling.text) == (Action.BLOCK, kit.REPLY["en"])
        assert decision.amend == why


async def test_a_revision_that_another_rule_minds_is_revised_under_that_rule(guard_of, kit):
    reviser = kit.Rewrites("alpha seven instead", GOOD)
    guard = guard_of(revising(kit), kit.rule("code", "alpha seven", "redact"), reviser=reviser)
    [ruling], _ = await ruled(guard, kit, kit.answer(BAD))
    assert [asked for asked, _ in reviser.asked] == ["bomb", "code"]
    assert ruling.text == GOOD


async def test_a_prompt_that_asks_for_revision_gets_one_whatever_the_gate_says(guard_of, kit):
    reviser = kit.Rewrites(GOOD)
    [ruling], _ = await ruled(guard_of(revising(kit), reviser=reviser), kit, kit.answer("well"), prompt=BAD)
    assert reviser.asked == [("bomb", "well")]
    assert (ruling.action, ruling.text) == (Action.REVISE, GOOD)


async def test_a_clean_answer_in_which_the_critic_sees_nothing_stands(guard_of, kit):
    reviser = kit.Rewrites(Revised("well", kept=True))
    [ruling], decision = await ruled(guard_of(revising(kit), reviser=reviser), kit, kit.answer("well"), prompt=BAD)
    assert ruling.untouched
    assert (decision.rounds, decision.action) == (1, Action.FLAG)


async def test_what_the_critic_could_not_say_is_not_taken_for_consent(guard_of, kit):
    guard = guard_of(revising(kit), reviser=kit.Rewrites(Revised(None)))
    [ruling], _ = await ruled(guard, kit, kit.answer("well"), prompt=BAD)
    assert ruling.filtered


async def test_tool_calls_are_shown_to_the_critic_too(guard_of, kit):
    reviser = kit.Rewrites(GOOD)
    guard = guard_of(revising(kit), reviser=reviser)
    [ruling], _ = await ruled(guard, kit, kit.answer(tool='{"buy": "pipe"}'), prompt=BAD)
    assert reviser.asked == [("bomb", '{"buy": "pipe"}')]
    assert ruling.text == GOOD


async def test_the_reviser_sees_the_conversation_as_the_model_saw_it(guard_of, kit):
    reviser = kit.Rewrites(GOOD)
    guard = guard_of(revising(kit), kit.rule("code", "alpha seven", "redact"), reviser=reviser)
    await ruled(guard, kit, kit.answer(BAD), prompt="it is alpha seven")
    assert [message.content for message in reviser.conversations[0]] == ["it is [redacted]"]


async def test_mending_is_bounded_in_tokens(guard_of, kit):
    reviser = kit.Rewrites("a pipe bomb 1", "a pipe bomb 2", GOOD, tokens=60)
    guard = guard_of(revising(kit), reviser=reviser, rounds=3, amend_tokens=100)
    [ruling], decision = await ruled(guard, kit, kit.answer(BAD))
    assert ruling.filtered
    assert reviser.allowed == [100, 40]
    assert decision.rounds == 2


async def test_mending_is_bounded_in_time(guard_of, kit):
    class Hangs:
        async def revise(self, rule, conversation, answer, *, tokens):
            await asyncio.Event().wait()

    [ruling], decision = await ruled(guard_of(revising(kit), reviser=Hangs(), amend_s=0.02), kit, kit.answer(BAD))
    assert (ruling.action, ruling.text) == (Action.BLOCK, kit.REPLY["en"])
    assert decision.amend == "out of time"


async def test_a_reviser_that_fails_leaves_the_reply_and_no_content_in_the_log(guard_of, kit, caplog):
    class Fails:
        async def revise(self, rule, conversation, answer, *, tokens):
            raise ModelUnavailable(f"cannot say {answer}")

    [ruling], decision = await ruled(guard_of(revising(kit), reviser=Fails()), kit, kit.answer(BAD))
    assert ruling.filtered
    assert decision.amend == "the reviser did not answer: ModelUnavailable"
    assert decision.id in caplog.text
    assert "ModelUnavailable" in caplog.text
    assert "pipe bomb" not in caplog.text


@pytest.mark.parametrize(("error", "rests"), [(ModelUnavailable, True), (ContextTooLong, False)])
async def test_a_reviser_that_keeps_failing_is_left_alone_and_one_that_cannot_take_a_text_is_not(
    guard_of, kit, error, rests
):
    asked = []

    class Fails:
        async def revise(self, rule, conversation, answer, *, tokens):
            asked.append(rule)
            raise error("no")

    guard = guard_of(revising(kit), reviser=Fails())
    told = []
    for _ in range(5):
        assert not guard.fault or rests
        [ruling], decision = await ruled(guard, kit, kit.answer(BAD))
        assert ruling.filtered
        told.append(decision.amend)
    assert len(asked) == (3 if rests else 5)
    assert told[0] == f"the reviser did not answer: {error.__name__}"
    assert told[-1] == ("the reviser is left alone after failing" if rests else told[0])
    assert bool(guard.fault) is rests


async def test_a_reviser_that_comes_back_is_asked_again(guard_of, kit):
    now = [0.0]
    working = [False]

    class Comes:
        async def revise(self, rule, conversation, answer, *, tokens):
            if not working[0]:
                raise ModelUnavailable("no")
            return Revised(GOOD)

    guard = guard_of(revising(kit), reviser=Comes())
    guard._post.breaker = Breaker(2, 30.0, monotonic=lambda: now[0])
    for _ in range(2):
        await ruled(guard, kit, kit.answer(BAD))
    working[0] = True
    [ruling], _ = await ruled(guard, kit, kit.answer(BAD))
    assert ruling.filtered
    now[0] = 31.0
    [ruling], decision = await ruled(guard, kit, kit.answer(BAD))
    assert (ruling.text, decision.amend, guard.fault) == (GOOD, "", "")


async def test_what_is_read_counts_as_well_as_what_is_written(guard_of, kit):
    reviser = kit.Rewrites(Revised("a pipe bomb", Usage(80, 30)), GOOD)
    [ruling], _ = await ruled(guard_of(revising(kit), reviser=reviser, amend_tokens=100), kit, kit.answer(BAD))
    assert ruling.filtered
    assert len(reviser.asked) == 1


# resample


def resampling(kit):
    return kit.rule("bomb", "pipe bomb", "resample", watches=["prompt", "response"], reply=kit.REPLY)


async def test_the_draw_that_keeps_all_rules_takes_the_answers_place(guard_of, kit):
    redraw, counts = drawing(BAD, GOOD, f"{BAD} again")
    [ruling], decision = await ruled(guard_of(resampling(kit)), kit, kit.answer(BAD), redraw=redraw)
    assert (ruling.action, ruling.rules) == (Action.RESAMPLE, ("bomb",))
    assert ruling.answer.texts == {TEXT: GOOD}
    assert counts == [3]
    assert (decision.drawn, decision.action) == (3, Action.RESAMPLE)


async def test_of_equal_draws_the_one_of_middling_length_is_taken(guard_of, kit):
    redraw, _ = drawing("no", "a middling answer to it", "a rambling answer " * 30)
    [ruling], _ = await ruled(guard_of(resampling(kit)), kit, kit.answer(BAD), redraw=redraw)
    assert ruling.answer.texts == {TEXT: "a middling answer to it"}


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        ((), "no other answer was drawn"),
        ((BAD, BAD), "all draws break a rule"),
        (("",), "all draws break a rule"),
    ],
)
async def test_where_no_draw_keeps_the_rules_the_reply_stands(guard_of, kit, texts, why):
    redraw, _ = drawing(*texts)
    [ruling], decision = await ruled(guard_of(resampling(kit)), kit, kit.answer(BAD), redraw=redraw)
    assert (ruling.action, ruling.text) == (Action.BLOCK, kit.REPLY["en"])
    assert decision.amend == why


async def test_without_a_way_to_draw_the_reply_stands(guard_of, kit):
    [ruling], decision = await ruled(guard_of(resampling(kit)), kit, kit.answer(BAD))
    assert ruling.filtered
    assert decision.amend == "no way to draw again"


async def test_a_draw_that_fails_leaves_the_reply(guard_of, kit):
    async def redraw(count):
        raise ModelUnavailable("gone")

    [ruling], decision = await ruled(guard_of(resampling(kit)), kit, kit.answer(BAD), redraw=redraw)
    assert ruling.filtered
    assert decision.amend == "the model did not answer: ModelUnavailable"


async def test_a_prompt_that_asks_for_draws_ranks_a_clean_answer_among_them(guard_of, kit):
    redraw, counts = drawing("no", "a rambling answer " * 30)
    [ruling], _ = await ruled(
        guard_of(resampling(kit)), kit, kit.answer("a middling answer"), prompt=BAD, redraw=redraw
    )
    assert ruling.untouched
    assert counts == [3]


async def test_choices_are_mended_each_by_itself(guard_of, kit):
    reviser = kit.Rewrites("first", "second")
    rulings, _ = await ruled(
        guard_of(revising(kit), reviser=reviser), kit, kit.answer(BAD), kit.answer("fine"), kit.answer(f"{BAD}!")
    )
    assert [ruling.text for ruling in rulings] == ["first", None, "second"]


async def test_two_watches_of_one_guard_do_not_mix(guard_of, kit):
    guard = guard_of(revising(kit), reviser=kit.Rewrites(*[GOOD] * 20))

    async def one(number):
        watch = guard.watch(kit.asks(f"question {number}"))
        await watch.admit()
        bad = number % 2
        rulings = await watch.rule([kit.answer(f"{BAD} {number}" if bad else f"fine {number}")])
        await asyncio.sleep(0)
        decision = watch.decision()
        assert rulings[0].untouched is not bool(bad)
        assert len(decision.findings) == bad
        assert decision.rounds == bad
        return decision.id

    ids = await asyncio.gather(*map(one, range(20)))
    assert len(set(ids)) == 20


# An answer that the client has begun


async def going_on(guard, kit, begun, text):
    watch = guard.watch(kit.asks("go on", kit.said(begun)))
    assert (await watch.admit()).action is not Action.BLOCK
    [ruling] = await watch.rule([kit.answer(text)])
    return ruling, watch.decision()


async def test_words_that_a_begun_answer_and_its_rest_say_together_are_found(guard_of, kit):
    ruling, decision = await going_on(guard_of(), kit, "First take a pipe", " bomb and then")
    assert ruling.filtered
    assert [placed.finding.span for placed in decision.findings] == [(0, 5)]
    ruling, _ = await going_on(guard_of(kit.rule("code", "alpha seven", "redact")), kit, "it is alpha", " seven. Yes")
    assert ruling.edits == {TEXT: "[redacted]. Yes"}


async def test_what_a_begun_answer_says_alone_is_not_held_against_its_rest(guard_of, kit):
    ruling, decision = await going_on(guard_of(kit.rule("bomb", "pipe bomb", "flag")), kit, "a pipe bomb", " is bad")
    assert ruling.untouched
    assert [placed.where for placed in decision.findings] == ["messages[1]"]


async def test_a_stream_goes_on_from_a_begun_answer(guard_of, kit):
    for guard, text in ((guard_of(), ""), (guard_of(kit.rule("code", "pipe bomb", "redact")), "[redacted] and then")):
        watch = guard.watch(kit.asks("go on", kit.said("First take a pipe")))
        await watch.admit()
        window = watch.window()
        outcomes = [window.feed(0, TEXT, " bo"), window.feed(0, TEXT, "mb and then"), window.end(0, TEXT)]
        left = "".join(each.text for each in outcomes if isinstance(each, Released))
        assert left == text
        assert [placed.finding.span for placed in watch.decision().findings] == [(0, 5)]
