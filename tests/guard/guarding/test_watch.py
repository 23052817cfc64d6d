"""A stream under watch: its window, what takes the place of a stopped choice, and the decision about it all."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.exchange import Exchange, Message
from guard.guard import Answer, GuardSettings, Unscannable
from guard.window import Channel, Released, Stopped
from rules.schema import Action

TEXT, REASONING = Channel(), Channel("reasoning")
BAD = "Well, first of all you take a pipe bomb and then you go on with it as follows."
GOOD = "I would rather talk about fireworks seen from afar."


def revising(kit, action="revise"):
    return kit.rule("bomb", "pipe bomb", action, watches=["prompt", "response"], reply=kit.REPLY)


async def begun(guard, kit, prompt="how is soup made?"):
    watch = guard.watch(kit.asks(prompt))
    await watch.admit()
    return watch


async def test_what_streams_is_decided_on_with_its_places(guard_of, kit):
    watch = await begun(guard_of(kit.rule("bomb", "pipe bomb", "flag")), kit)
    window = watch.window()
    assert watch.window() is window
    window.feed(0, TEXT, "fine. ")
    window.feed(1, REASONING, "a pipe bomb. ")
    early = watch.decision(complete=False)
    window.feed(0, TEXT, "the end.")
    window.close()
    window.abandon()
    decision = watch.decision()
    assert not early.complete
    assert decision.complete
    assert [placed.where for placed in decision.findings] == ["choices[1].reasoning"]
    assert decision.action is Action.FLAG
    assert decision.coverage.scanned == {"patterns": ("bomb",)}


async def test_a_stream_is_redacted_with_the_guards_mask(guard_of, kit):
    watch = await begun(guard_of(kit.rule("code", "alpha seven", "redact"), mask="<gone>"), kit)
    window = watch.window()
    outcomes = [window.feed(0, TEXT, "it is alpha se"), window.feed(0, TEXT, "ven. yes."), window.end(0, TEXT)]
    assert "".join(each.text for each in outcomes if isinstance(each, Released)) == "it is <gone>. yes."
    assert watch.decision().action is Action.REDACT


async def test_a_blocked_stream_ends_with_the_reply(guard_of, kit):
    watch = await begun(guard_of(), kit)
    stopped = watch.window().feed(0, TEXT, BAD)
    ruling = await watch.stopped(0, stopped)
    assert (ruling.action, ruling.text, ruling.rules) == (Action.BLOCK, kit.REPLY["en"], ("bomb",))
    decision = watch.decision()
    assert decision.action is Action.BLOCK
    assert [placed.where for placed in decision.findings] == ["choices[0].text"]


async def test_after_text_has_left_the_reply_is_set_off(guard_of, kit):
    watch = await begun(guard_of(revising(kit), reviser=kit.Rewrites(GOOD)), kit)
    window = watch.window()
    assert isinstance(window.feed(0, TEXT, "This is quite harmless and long enough to leave. "), Released)
    stopped = window.feed(0, TEXT, BAD)
    ruling = await watch.stopped(0, stopped)
    assert (ruling.action, ruling.text) == (Action.BLOCK, "\n\n" + kit.REPLY["en"])


async def test_where_nothing_has_left_a_revision_takes_the_streams_place(guard_of, kit):
    reviser = kit.Rewrites(GOOD)
    watch = await begun(guard_of(revising(kit), reviser=reviser), kit)
    ruling = await watch.stopped(0, watch.window().feed(0, TEXT, BAD))
    assert (ruling.action, ruling.text) == (Action.REVISE, GOOD)
    assert reviser.asked == [("bomb", BAD)]
    decision = watch.decision()
    assert (decision.action, decision.rounds) == (Action.REVISE, 1)


async def test_a_few_words_are_too_little_to_revise(guard_of, kit):
    watch = await begun(guard_of(revising(kit), reviser=kit.Rewrites(GOOD)), kit)
    ruling = await watch.stopped(0, watch.window().feed(0, TEXT, "a pipe bomb "))
    assert (ruling.action, ruling.text) == (Action.BLOCK, kit.REPLY["en"])
    assert watch.decision().amend == "too little of the answer was held"


@pytest.mark.parametrize("tool", [False, True])
async def test_where_nothing_has_left_another_draw_takes_the_streams_place(guard_of, kit, tool):
    async def redraw(count):
        drawn = {TEXT: GOOD, Channel("tool"): "{}"} if tool else {TEXT: GOOD}
        return [Answer(drawn)] * count

    watch = await begun(guard_of(revising(kit, "resample")), kit)
    ruling = await watch.stopped(0, watch.window().feed(0, TEXT, BAD), redraw)
    expected = (Action.BLOCK, kit.REPLY["en"]) if tool else (Action.RESAMPLE, GOOD)
    assert (ruling.action, ruling.text) == expected


async def test_what_stands_aside_of_a_draw_is_judged_and_not_told_as_its_text(guard_of, kit):
    async def redraw(count):
        drawn = [Answer({TEXT: GOOD, Channel("aside"): aside}) for aside in ("a pipe bomb", "weather\n")]
        return [Answer({Channel("aside"): "weather\n"}), *drawn]

    watch = await begun(guard_of(revising(kit, "resample")), kit)
    ruling = await watch.stopped(0, watch.window().feed(0, TEXT, BAD), redraw)
    assert (ruling.action, ruling.text) == (Action.RESAMPLE, GOOD)


async def test_a_reviser_is_not_shown_what_stands_aside(guard_of, kit):
    reviser = kit.Rewrites(GOOD)
    watch = await begun(guard_of(revising(kit), reviser=reviser), kit)
    [ruling] = await watch.rule([Answer({TEXT: BAD, Channel("aside"): "weather\n"})])
    assert (ruling.action, ruling.text) == (Action.REVISE, GOOD)
    assert reviser.asked == [("bomb", BAD)]


async def test_a_stream_that_could_not_be_scanned_says_so(guard_of, kit, raises):
    watch = guard_of(also=[raises(OSError("model file is gone"))]).watch(kit.asks("soup?"))
    stopped = watch.window().feed(0, TEXT, "All is well here, and there as well, I would say to you now. And on. ")
    outcome = stopped if isinstance(stopped, Stopped) else watch.window().end(0, TEXT)
    ruling = await watch.stopped(0, outcome)
    assert ruling.filtered
    assert "could not be made" in ruling.text
    assert watch.decision().coverage.degraded == {"meaning": "model file is gone"}


async def test_a_shadow_guard_lets_a_stream_go_and_says_what_it_would_have_done(guard_of, kit):
    watch = await begun(guard_of(mode="shadow"), kit)
    window = watch.window()
    left = [window.feed(0, TEXT, BAD), window.end(0, TEXT)]
    assert "".join(each.text for each in left if isinstance(each, Released)) == BAD
    decision = watch.decision()
    assert (decision.action, decision.would, decision.rules) == (Action.ALLOW, Action.BLOCK, ())
    assert [placed.enforced for placed in decision.findings] == [False]


async def test_a_stream_judged_by_a_shadow_rule_goes_on(guard_of, kit):
    watch = await begun(guard_of(kit.rule("bomb", "pipe bomb", mode="shadow")), kit)
    watch.window().feed(0, TEXT, BAD)
    decision = watch.decision()
    assert (decision.action, decision.would) == (Action.ALLOW, Action.BLOCK)


@pytest.mark.parametrize(("setting", "leaves"), [("block", False), ("flag", True), ("allow", True)])
async def test_an_unknown_event_leaves_as_set_and_is_told(guard_of, kit, setting, leaves):
    watch = await begun(guard_of(unscannable=setting), kit)
    event = Unscannable("event 3", "response.audio.delta")
    assert watch.unknown(event) is leaves
    decision = watch.decision()
    assert (decision.action, decision.unscannable) == (Action(setting), (event,))
    assert "response.audio.delta" in decision.coverage.partial["guard"]


async def test_what_cannot_be_scanned_ends_a_stream_in_its_own_words(guard_of, kit):
    watch = await begun(guard_of(), kit)
    ruling = await watch.stopped(0, Stopped(Action.BLOCK, (), TEXT, degraded={"unscannable": "`audio` at event 3"}))
    assert "something besides text" in ruling.text
    assert watch.decision().coverage.degraded == {}


async def test_times_of_stages_outside_are_added_up(guard_of, kit):
    watch = await begun(guard_of(), kit)
    watch.spent("upstream", 0.5)
    watch.spent("upstream", 0.25)
    assert watch.decision().ms["upstream"] == 750


async def test_decision_ids_sort_by_time_and_may_be_given(guard_of, kit):
    guard = guard_of()
    assert guard.watch(kit.asks("x"), id="d_mine").decision().id == "d_mine"
    assert guard.watch(kit.asks("x")).id != guard.watch(kit.asks("x")).id


@given(
    st.dictionaries(
        st.sampled_from(["a", "b c", "alpha"]),
        st.one_of(
            st.sampled_from(["alpha seven", 'x "alpha\nseven" y', "é\\", "7"]), st.integers(), st.lists(st.text())
        ),
    ),
    st.lists(st.integers(0, 80), max_size=8),
    st.booleans(),
)
@settings(deadline=None)
def test_redacted_arguments_stay_json_however_they_stream(redacting, kit, value, cuts, ascii_only):
    text = json.dumps(value, ensure_ascii=ascii_only)
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    window = redacting.watch(kit.asks("hello")).window()
    tool = Channel("tool")
    outcomes = [window.feed(0, tool, text[start:end]) for start, end in pairwise(places)]
    outcomes.append(window.end(0, tool))
    left = "".join(outcome.text for outcome in outcomes if isinstance(outcome, Released))
    assert not any(isinstance(outcome, Stopped) for outcome in outcomes)
    assert json.loads(left).keys() == value.keys()
    assert not redacting.gate.judge(Exchange((Message("assistant", "", tool_calls=(left,)),))).findings


@pytest.fixture(scope="module")
def redacting(guard_of, kit):
    """A guard that masks some words."""
    return guard_of(kit.rule("code", "alpha seven", "redact"))


async def test_a_number_in_arguments_that_stream_cannot_be_masked_and_is_blocked(guard_of, kit):
    rule = kit.rule("card", "x", "redact", detect={"patterns": [{"regex": r"\b4111\d{8}\b"}], "meaning": None})
    watch = await begun(guard_of(rule), kit)
    stopped = watch.window().feed(0, Channel("tool"), '{"card": 411122223333, "b": 1}')
    ruling = await watch.stopped(0, stopped)
    assert ruling.filtered
    assert ruling.rules == ("card",)
    assert "The card rule" in ruling.text


async def test_arguments_that_are_no_json_are_masked_as_they_stand(guard_of, kit):
    watch = await begun(guard_of(kit.rule("code", "alpha seven", "redact")), kit)
    window, tool = watch.window(), Channel("tool")
    outcomes = [window.feed(0, tool, "print(alpha sev"), window.feed(0, tool, "en, 1)"), window.end(0, tool)]
    assert "".join(each.text for each in outcomes if isinstance(each, Released)) == "print([redacted], 1)"


@pytest.mark.parametrize("mask", ['"', "a\\b", "a\nb", "x" * 101])
def test_a_mask_that_would_break_json_is_refused(mask):
    with pytest.raises(ValueError, match="mask"):
        GuardSettings(mask=mask)
