"""What leaves has been scanned: of every stream, however it is cut."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from itertools import combinations, pairwise

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from guard.detectors.base import Cover, Scan, parts
from guard.detectors.patterns import Patterns
from guard.exchange import Exchange, Message
from guard.gate import Gate
from guard.patterns.search import REACH
from guard.verdict import Finding
from guard.views import views
from guard.window import Channel, Held, Released, Stopped, Window, WindowSettings, relay
from guard.window.ending import unsettled
from guard.window.unescaping import Unescaper
from rules.schema import Action, Constitution, Part, Rule

TEXT, REASONING, TOOL = Channel(), Channel("reasoning"), Channel("tool")
CHANNELS = [TEXT, Channel("refusal"), REASONING, TOOL, Channel("tool", 1)]
PROMPT = Exchange.of("what now?")
ALL_PARTS = ["response", "reasoning", "tool_call"]
BOMB = {"patterns": [{"literal": "pipe bomb"}]}
PLAIN = "the garden is lovely in the spring and we walk there a lot. "


class Reads:
    """A detector of meaning that finds some words in what it is shown, and remembers what it was shown."""

    name = "meaning"
    identity = "reads/1"
    instant = False
    skips_clear = True

    def __init__(self, *phrases: str, in_views: bool = False) -> None:
        self.phrases = phrases
        self.shown: list[str] = []
        self.fails: Exception | None = None
        self.go = threading.Event()
        self.go.set()
        self._in_views = in_views

    def covers(self, rule, part):
        return Cover(by=self.name) if part in rule.watches else Cover(why_not="it does not watch it")

    def scan(self, exchanges):
        self.go.wait(10)
        if self.fails:
            raise self.fails
        return [self._look(exchange) for exchange in exchanges]

    def _look(self, exchange):
        found = []
        for part, text in parts(exchange):
            if text:
                self.shown.append(text)
            for view in views(text).all if self._in_views else views(text).all[:1]:
                for phrase in self.phrases:
                    at = view.text.find(phrase)
                    if at >= 0:
                        span = view.span(at, at + len(phrase))
                        found.append(Finding("weapon-help", part, span, self.name, 0.9, 0.5, view.name))
        return Scan(tuple(found), {"weapon-help": 0.9 if found else 0.1})

    def close(self):
        """Nothing to let go of."""


def rule_of(rule_id="weapon-help", **fields):
    return Rule.model_validate(
        {
            "id": rule_id,
            "title": rule_id,
            "rule": "Do not give instructions that make it easier to build a weapon.",
            "why": "A working recipe reaches everyone who asks.",
            "watches": ALL_PARTS,
            "detect": BOMB,
            **fields,
        }
    )


def gate_of(*rules, also=()):
    constitution = Constitution.model_validate({"name": "small", "title": "Small", "rules": rules or (rule_of(),)})
    return Gate(constitution, [Patterns(constitution), *also])


def on(action):
    return dict.fromkeys(ALL_PARTS, action)


@pytest.fixture(scope="module")
def gate():
    """Patterns alone; a break blocks."""
    return gate_of()


@pytest.fixture(scope="module")
def flagging():
    """Patterns alone; a break is told and the stream goes on."""
    words = {
        "patterns": [{"literal": "pipe bomb"}, {"literal": "straße"}, {"literal": "炸弹"}, {"regex": r"\d{3}-\d{4}"}]
    }
    return gate_of(rule_of(on=on("flag")), rule_of("other-words", detect=words, on=on("flag")))


def cut(text, places):
    borders = [0, *sorted(set(places)), len(text)]
    return [text[start:end] for start, end in pairwise(borders) if start < end]


def run(window, pieces, channel=TEXT, choice=0):
    """All outcomes of one channel, to its end."""
    return [*(window.feed(choice, channel, piece) for piece in pieces), window.end(choice, channel)]


def released(outcomes):
    """The text that left; each release must begin where the one before it ended."""
    at = 0
    for outcome in outcomes:
        if isinstance(outcome, Released):
            assert outcome.span[0] == at
            assert outcome.span[1] > at
            at = outcome.span[1]
    return "".join(outcome.text for outcome in outcomes if isinstance(outcome, Released))


def dropped(outcomes, channel=TEXT):
    """The text that never will."""
    return "".join(outcome.dropped.get(channel, "") for outcome in outcomes if isinstance(outcome, Stopped))


def found(outcomes):
    """Rule and span of what was found; of one that grew, the last."""
    last = {}
    for outcome in outcomes:
        if not (isinstance(outcome, Stopped) and last.get("stopped")):
            for finding in outcome.findings:
                last[finding.rule, finding.span[0]] = finding.span
    return {(rule, span) for (rule, _), span in last.items()}


# The patterns


@pytest.mark.parametrize(
    ("channel", "text", "hit"),
    [
        (TEXT, "so a pipe bomb, ok", "pipe bomb"),
        (TEXT, "so a PIPE \n bomb", "PIPE \n bomb"),
        (Channel("refusal"), "no pipe bomb here", "pipe bomb"),
        (REASONING, "a pipe\u3000bomb. 🙂", "pipe\u3000bomb"),
        (TOOL, '{"q":"pipe bomb"}', "pipe bomb"),
        (TOOL, r'{"q":"pipe\n\u0062omb"}', r"pipe\n\u0062omb"),
        (TEXT, "a p.i.p.e b.o.m.b so", "p.i.p.e b.o.m.b"),
        (TEXT, "a p1p3 b0mb is", "p1p3 b0mb"),
    ],
)
@pytest.mark.parametrize("meaning", [False, True])
def test_a_banned_phrase_broken_over_any_two_borders_never_leaves(gate, channel, text, hit, meaning):
    start = text.index(hit)
    guarded = gate_of(also=[Reads()]) if meaning else gate
    for places in combinations(range(1, len(text)), 2):
        window = Window(guarded, PROMPT)
        outcomes = run(window, cut(text, places), channel)
        stops = [outcome for outcome in outcomes if isinstance(outcome, Stopped)]
        assert stops, places
        assert stops[0].findings[0].span == (start, start + len(hit)), places
        left = released(outcomes)
        assert len(left) <= start, places
        assert left + dropped(outcomes, channel) == text
        assert stops[0].released_upto == len(left)
    if meaning:
        guarded.close()


WORDS = ["pipe", "bomb", "pipe bomb", "bombs", "garden", "straße", "STRASSE", "炸弹", "炸", "弹", "123-", "4567", "the"]
TEXTS = st.lists(st.sampled_from([*WORDS, " ", " ", "  ", "\n", ". ", "-", "🙂", "é"]), max_size=30).map("".join)
CUTS = st.lists(st.integers(0, 160), max_size=12)
CALM = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@CALM
@given(text=TEXTS, places=CUTS)
@example(text="pipe bomb pipe bomb", places=[3, 12])
def test_any_cutting_gives_the_findings_of_one_piece(flagging, text, places):
    whole, pieces = Window(flagging, PROMPT), Window(flagging, PROMPT)
    run(whole, [text])
    outcomes = run(pieces, cut(text, [place for place in places if place < len(text)]))
    raw = [{(f.rule, f.span) for f in w.verdict(0).findings if f.view == "raw"} for w in (whole, pieces)]
    assert raw[0] == raw[1]
    assert released(outcomes) == text


@CALM
@given(text=TEXTS, places=CUTS)
def test_what_breaks_a_rule_stops_the_stream_before_it_wherever_it_is_cut(gate, flagging, text, places):
    told = Window(flagging, PROMPT)
    run(told, [text])
    hits = [f.span[0] for f in told.verdict(0).findings if f.rule == "weapon-help"]
    outcomes = run(Window(gate, PROMPT), cut(text, [place for place in places if place < len(text)]))
    assert bool(hits) == any(isinstance(outcome, Stopped) for outcome in outcomes)
    left = released(outcomes)
    assert left + dropped(outcomes) == text
    assert len(left) <= min(hits, default=len(text))


FEEDS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(CHANNELS), TEXTS.map(lambda text: text[:40])), max_size=20
)


@CALM
@given(feeds=FEEDS)
def test_choices_are_independent_and_nothing_is_lost_or_said_twice(gate, feeds):
    def play(feeds):
        window, outcomes = Window(gate, PROMPT), {}
        for choice, channel, text in feeds:
            outcomes.setdefault((choice, channel), []).append(window.feed(choice, channel, text))
        for choice, channel, outcome in window.close():
            outcomes.setdefault((choice, channel), []).append(outcome)
        return outcomes

    together = play(feeds)
    for number in range(3):
        alone = play([feed for feed in feeds if feed[0] == number])
        assert {key: value for key, value in together.items() if key[0] == number} == alone
    for (number, channel), outcomes in together.items():
        sent = "".join(text for choice, name, text in feeds if (choice, name) == (number, channel))
        lost = ""
        for (choice, _), others in together.items():
            if choice == number:
                lost += dropped(others, channel)
        left = released(outcomes)
        assert sent.startswith(left)
        assert sorted(left + lost) == sorted(sent)


def test_a_stop_in_one_channel_drops_what_is_held_in_all_channels_of_the_choice(gate):
    window = Window(gate, PROMPT)
    assert window.feed(0, REASONING, "I think of a pi") == Released("I think of ", (0, 11))
    assert window.feed(1, TEXT, "I think of a pi") == Released("I think of ", (0, 11))
    stopped = window.feed(0, TEXT, "a pipe bomb is")
    assert stopped.channel == TEXT
    assert stopped.dropped == {REASONING: "a pi", TEXT: "a pipe bomb is"}
    assert stopped.released == {REASONING: 11, TEXT: 0}
    again = window.feed(0, REASONING, "pe and more")
    assert (again.action, again.dropped) == (Action.BLOCK, {REASONING: "pe and more"})
    assert window.feed(0, TOOL, "{}").dropped == {TOOL: "{}"}


def test_another_choice_goes_on_after_a_stop(gate):
    window = Window(gate, PROMPT)
    assert isinstance(window.feed(0, TEXT, "a pipe bomb is"), Stopped)
    assert released(run(window, ["a pi", "ck of flowers"], choice=1)) == "a pick of flowers"


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("meaning", [False, True])
def test_a_clean_stream_leaves_whole(gate, channel, meaning):
    text = "Über 3 Äpfel: \\u12 \ud83d and\tsome 中文。 p i p e and \ud83d\\ 🙂 \\" + PLAIN * 30
    with gate_of(also=[Reads()]) as other:
        outcomes = run(Window(other if meaning else gate, PROMPT), cut(text, range(0, len(text), 7)), channel)
    assert released(outcomes) == text


def test_plain_words_leave_at_once_where_only_patterns_look(gate):
    for text in (
        PLAIN * 5,
        "今天天气很好，我们一起去公园散步，看到了很多花。" * 8,
        "Мы гуляем в саду, и там очень хорошо. " * 5,
    ):
        window, left, most = Window(gate, PROMPT), 0, 0
        for at, char in enumerate(text):
            outcome = window.feed(0, TEXT, char)
            left = outcome.span[1] if isinstance(outcome, Released) else left
            most = max(most, at + 1 - left)
        assert most <= 12


def test_a_code_is_held_no_longer_than_the_settings_say():
    blob = base64.b64encode(bytes(range(256)) * 8).decode()
    assert unsettled(blob, 128) == 128
    assert unsettled(PLAIN, 128) == len("a lot. ")  # `a` may be the first of spaced letters
    assert unsettled("we walk in the garden every day now. ", 128) == 0
    assert unsettled("we walk in the garden b o m", 128) == 5
    assert unsettled("p 1 p 3 " + "b" * 5, 128) == 13


def test_a_flag_is_told_and_the_stream_goes_on(flagging):
    window = Window(flagging, PROMPT)
    outcomes = run(window, ["call 123-", "4567 now, and", " 765-4321."])
    assert released(outcomes) == "call 123-4567 now, and 765-4321."
    assert found(outcomes) == {("other-words", (5, 13)), ("other-words", (23, 31))}
    assert window.verdict(0).action is Action.FLAG
    assert window.verdict(0).broken == ("other-words",)


def test_a_shadow_rule_is_told_and_does_not_stop():
    window = Window(gate_of(rule_of(mode="shadow")), PROMPT)
    outcomes = run(window, ["a pipe", " bomb is"])
    assert released(outcomes) == "a pipe bomb is"
    assert found(outcomes) == {("weapon-help", (2, 11))}
    assert window.verdict(0).action is Action.ALLOW


def test_the_action_of_a_stop_is_the_rules():
    window = Window(gate_of(rule_of(on={"response": "revise"})), PROMPT)
    assert window.feed(0, TEXT, "a pipe bomb is").action is Action.REVISE
    assert window.feed(1, REASONING, "a pipe bomb is").action is Action.BLOCK


# Redaction


@pytest.fixture(scope="module")
def redacting():
    """Patterns alone; a break is redacted."""
    words = {"patterns": [{"literal": "bomb"}, {"regex": r"\d{3}-\d{4}"}]}
    return gate_of(rule_of(on=on("redact"), detect=words))


@CALM
@given(text=TEXTS, places=CUTS)
def test_redacted_text_never_leaves_and_all_else_does(redacting, text, places):
    window = Window(redacting, PROMPT, WindowSettings(mask="<>"))
    outcomes = run(window, cut(text, [place for place in places if place < len(text)]))
    spans = sorted(f.span for f in window.verdict(0).findings)
    expected, at = "", 0
    for start, end in spans:
        expected, at = expected + text[at:start] + "<>", end
    assert released(outcomes) == expected + text[at:]
    assert sorted(span for o in outcomes if isinstance(o, Released) for span in o.redacted) == spans


def test_a_stretch_redacted_for_its_meaning_is_not_found_again_in_the_overlap():
    reads = Reads("wicked plan")
    with gate_of(rule_of(on=on("redact")), also=[reads]) as guarded:
        text = PLAIN * 3 + "this is a wicked plan. " + PLAIN * 10
        window = Window(guarded, PROMPT)
        outcomes = run(window, cut(text, range(0, len(text), 9)))
        assert released(outcomes) == text.replace("wicked plan", "[redacted]")
        assert found(outcomes) == {("weapon-help", (190, 201))}
        assert sum("wicked plan" in shown for shown in reads.shown) == 1


# Meaning


@settings(CALM, max_examples=25)
@given(before=st.integers(0, 1500), size=st.integers(1, 120), offset=st.integers(0, 50))
def test_a_meaning_that_spans_a_border_is_found_and_does_not_leave(before, size, offset):
    reads = Reads("a very wicked plan to do harm")
    with gate_of(also=[reads]) as guarded:
        text = (PLAIN * 30)[offset : offset + before] + " a very wicked plan to do harm. " + PLAIN * 10
        outcomes = run(Window(guarded, PROMPT), cut(text, range(0, len(text), size)))
    stopped = next(outcome for outcome in outcomes if isinstance(outcome, Stopped))
    start = text.index("a very wicked")
    assert stopped.findings[0].span == (start, start + 29)
    assert released(outcomes) + dropped(outcomes) == text
    # A border may fall within the phrase: what stands before it has then passed.
    assert stopped.released_upto < start + 29


def test_nothing_leaves_that_no_scan_has_covered():
    reads = Reads()
    text = " ".join(f"word{place} is a word" + "." * (place % 7 == 0) for place in range(300))
    with gate_of(also=[reads]) as guarded:
        window, left, covered, seen = Window(guarded, PROMPT), "", 0, 0
        for at in range(0, len(text), 6):
            outcome = window.feed(0, TEXT, text[at : at + 6])
            left += outcome.text if isinstance(outcome, Released) else ""
            for shown in reads.shown[seen:]:
                place = text.index(shown)  # no two stretches of it are alike
                assert place <= max(0, covered - 100)
                covered, seen = place + len(shown), seen + 1
            assert len(left) <= covered
    assert covered > len(text) - 500


def test_the_first_sentence_is_scanned_when_it_ends_and_later_ones_together():
    reads = Reads()
    with gate_of(also=[reads]) as guarded:
        window = Window(guarded, PROMPT)
        assert window.feed(0, TEXT, "Sure, gladly") == Held()
        assert window.feed(0, TEXT, ". Here") == Released("Sure, gladly. ", (0, 14))
        assert reads.shown == ["Sure, gladly. "]
        run(window, cut(PLAIN * 200, range(0, 12000, 5)))
    sizes = [len(shown) for shown in reads.shown]
    assert max(sizes) <= 400 + 2 * 200 + 5
    assert 12000 / len(sizes) > 200


def test_an_answer_is_judged_with_its_prompt_and_as_its_part():
    seen = []

    class Notes(Reads):
        def _look(self, exchange):
            seen.append(exchange)
            return super()._look(exchange)

    with gate_of(also=[Notes()]) as guarded:
        window = Window(guarded, PROMPT)
        for channel in CHANNELS[1:4]:
            run(window, ["some words"], channel)
    said = [exchange.messages[-1] for exchange in seen]
    assert all(exchange.messages[:-1] == PROMPT.messages for exchange in seen)
    assert said == [
        Message("assistant", "some words"),
        Message("assistant", "", reasoning="some words"),
        Message("assistant", "", tool_calls=("some words",)),
    ]
    assert [parts(exchange)[-1][0] for exchange in seen] == [Part.RESPONSE, Part.REASONING, Part.TOOL_CALL]


def test_a_phrase_deep_in_a_code_without_spaces_is_shown_to_the_models_readable():
    secret = ("nothing but flowers here, and then " * 40 + "a wicked plan of ours" + " and so on" * 40).encode()
    for before in range(4):
        reads = Reads("wicked plan", in_views=True)
        with gate_of(also=[reads]) as guarded:
            text = "x " * before + base64.b64encode(secret).decode()
            outcomes = run(Window(guarded, PROMPT), cut(text, range(0, len(text), 7)))
        assert any(isinstance(outcome, Stopped) for outcome in outcomes), before


def test_a_broken_detector_stops_the_stream_and_says_so():
    reads = Reads()
    reads.fails = OSError("model file is gone")
    with gate_of(also=[reads]) as guarded:
        window = Window(guarded, PROMPT)
        stopped = window.feed(0, TEXT, "Well now. And")
    assert (stopped.action, stopped.findings, stopped.degraded) == (
        Action.BLOCK,
        (),
        {"meaning": "model file is gone"},
    )
    verdict = window.verdict(0)
    assert verdict.action is Action.BLOCK
    assert verdict.coverage.degraded == {"meaning": "model file is gone"}
    assert verdict.coverage.scanned == {"patterns": ("weapon-help",)}


def test_a_broken_detector_lets_a_stream_pass_where_its_rules_say_so():
    reads = Reads()
    reads.fails = OSError("gone")
    with gate_of(rule_of(on_error="allow"), also=[reads]) as guarded:
        window = Window(guarded, PROMPT)
        assert released(run(window, ["Well now. ", "And more"])) == "Well now. And more"
        assert window.verdict(0).coverage.degraded == {"meaning": "gone"}


def test_patterns_alone_release_only_where_it_is_asked_for_or_there_is_nothing_else(gate):
    reads = Reads("wicked")
    with gate_of(also=[reads]) as guarded:
        assert not Window(guarded, PROMPT).patterns_only
        window = Window(guarded, PROMPT, WindowSettings(patterns_only=True))
        assert released(run(window, ["a wicked plan"])) == "a wicked plan"
        coverage = window.verdict(0).coverage
        assert coverage.scanned == {"patterns": ("weapon-help",)}
        assert Window(guarded, PROMPT).verdict(0).action is Action.ALLOW
    assert reads.shown == []
    assert Window(gate, PROMPT).patterns_only


def test_text_that_has_waited_long_is_scanned_whatever_its_length():
    now = [0.0]
    with gate_of(also=[Reads()]) as guarded:
        window = Window(guarded, PROMPT, WindowSettings(patience=1.0), clock=lambda: now[0])
        assert window.waits(0) is None
        assert window.feed(0, TEXT, "I have to think ") == Held()
        assert window.waits(0) == 1.0
        assert window.tick(0) == []
        now[0] = 1.0
        assert window.waits(0) == 0.0
        assert window.tick(0) == [(TEXT, Released("I have to think ", (0, 16)))]
        assert window.waits(0) is None
        assert window.feed(0, TEXT, "of my ") == Held()
        now[0] = 3.0
        assert window.feed(0, TEXT, "garden ") == Released("of my garden ", (16, 29))


# The event loop


async def stream_of(*deltas, then=None):
    for delta in deltas:
        yield delta
        await asyncio.sleep(0)
    if then:
        await then()


async def test_other_choices_go_on_while_one_waits_for_its_scan():
    passed = threading.Event()

    class Slow(Reads):
        async def ask(self, exchanges, rules):
            if "slow" in exchanges[0].text:
                await asyncio.to_thread(passed.wait, 10)
            return [Scan() for _ in exchanges]

        def always(self, rule):
            return True

        def scan(self, exchanges):
            raise AssertionError("it is asked")

    with gate_of(also=[Slow()]) as guarded:
        order = []
        deltas = [(0, TEXT, "a slow one. Then"), (1, TEXT, "a quick one. Then"), (0, TEXT, " more"), (1, TEXT, " more")]
        async for choice, _, outcome in relay(Window(guarded, PROMPT), stream_of(*deltas)):
            order.append((choice, outcome.text))
            passed.set()
    assert order[0] == (1, "a quick one. ")
    assert [text for choice, text in order if choice == 0] == ["a slow one. ", "Then more"]


async def test_a_relay_scans_what_waits_though_nothing_more_comes():
    with gate_of(also=[Reads()]) as guarded:
        gone = asyncio.Event()
        window = Window(guarded, PROMPT, WindowSettings(patience=0.01))
        outcomes = []
        async for _, channel, outcome in relay(window, stream_of((0, TEXT, "I have to think "), then=gone.wait)):
            outcomes.append((channel, outcome))
            gone.set()
    assert outcomes == [(TEXT, Released("I have to think ", (0, 16)))]


async def test_a_relay_says_once_that_a_choice_is_stopped_and_passes_the_others(gate):
    deltas = [(0, TEXT, "a pipe bomb is"), (1, TOOL, '{"a":'), (0, TEXT, " more"), (1, TOOL, "1}"), (0, TOOL, "{}")]
    got = [(choice, outcome) async for choice, _, outcome in relay(Window(gate, PROMPT), stream_of(*deltas))]
    assert [type(outcome) for choice, outcome in got if choice == 0] == [Stopped]
    assert "".join(outcome.text for choice, outcome in got if choice == 1) == '{"a":1}'


async def test_a_relay_passes_on_the_upstreams_error_and_releases_nothing_more(gate):
    async def breaks():
        raise ConnectionResetError("upstream went away")

    left = ""
    with pytest.raises(ConnectionResetError):
        async for _, _, outcome in relay(Window(gate, PROMPT), stream_of((0, TEXT, "so a pi"), then=breaks)):
            left += outcome.text
    assert "so a pi".startswith(left)
    assert "pi" not in left


async def test_a_relay_that_is_left_leaves_no_task_behind(gate):
    async for _ in (passed := relay(Window(gate, PROMPT), stream_of(*[(0, TEXT, "some words ")] * 1000))):
        break
    await passed.aclose()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_the_stream_is_the_same_on_an_event_loop():
    text = PLAIN * 20 + "this is a wicked plan. " + PLAIN
    with gate_of(also=[Reads("wicked plan")]) as guarded:
        window, other = Window(guarded, PROMPT), Window(guarded, PROMPT)
        pieces = cut(text, range(0, len(text), 11))
        assert [*[await window.afeed(0, TEXT, piece) for piece in pieces], await window.aend(0, TEXT)] == run(
            other, pieces
        )


async def test_a_choice_whose_scan_was_cut_off_releases_nothing_more():
    reads = Reads()
    reads.go.clear()
    with gate_of(also=[reads]) as guarded:
        window = Window(guarded, PROMPT)
        task = asyncio.create_task(window.afeed(0, TEXT, "Well now. And"))
        await asyncio.sleep(0.01)
        with pytest.raises(RuntimeError, match="one after another"):
            await window.afeed(0, TEXT, "x")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        reads.go.set()
        stopped = await window.afeed(0, TEXT, " more. And")
        assert isinstance(stopped, Stopped)
        assert stopped.degraded == {"window": "the scan was cut off"}
        assert window.verdict(0).action is Action.BLOCK


# Odd input


@pytest.mark.parametrize("channel", [TEXT, TOOL])
def test_characters_that_come_in_halves_are_joined(gate, channel):
    pieces = ["a \ud83d", "\ude42 and \ud83d", " \ude42 lone", " \ud83d"]
    outcomes = run(Window(gate, PROMPT), pieces, channel)
    assert released(outcomes) == "a 🙂 and \ud83d \ude42 lone \ud83d"


def test_a_half_character_that_is_held_counts_among_the_dropped(gate):
    outcomes = run(Window(gate, PROMPT), ["a pipe bomb \ud83d", "\ude42"])
    assert dropped(outcomes) == "a pipe bomb \ud83d\ude42"


@pytest.mark.parametrize("text", ["", " ", "\n\n", "\x00", "\ud800", "a" * 20_000, "\u0301" * 2000, "b.o." * 500])
def test_no_text_raises_and_none_is_lost(gate, text):
    with gate_of(also=[Reads()]) as guarded:
        for each in (gate, guarded):
            for channel in (TEXT, TOOL):
                assert released(run(Window(each, PROMPT), [text], channel)) == text


def test_a_long_piece_with_a_break_releases_nothing_of_itself(gate):
    text = PLAIN * 1000 + "pipe bomb. " + PLAIN
    outcomes = run(Window(gate, PROMPT), [text])
    assert released(outcomes) == ""
    assert dropped(outcomes) == text


def test_a_channel_that_has_ended_takes_no_more(gate):
    window = Window(gate, PROMPT)
    assert run(window, ["so"]) == [Held(), Released("so", (0, 2))]
    assert window.end(0, TEXT) == Held()
    assert window.close() == []
    with pytest.raises(ValueError, match="has ended"):
        window.feed(0, TEXT, "more")


def test_an_abandoned_window_holds_nothing(gate):
    window = Window(gate, PROMPT)
    window.feed(0, TEXT, "a pipe")
    window.abandon()
    assert window.close() == []


def test_sizes_that_do_not_fit_are_refused():
    for sizes in ({"first": 500, "stride": 400}, {"overlap": 2000, "stride": 400}, {"stride": 1}, {"hurry": 1}):
        with pytest.raises(ValueError, match=next(iter(sizes))):
            WindowSettings(**sizes)


# JSON


@CALM
@given(text=st.text(max_size=60), places=CUTS, ascii_only=st.booleans())
def test_json_is_read_as_it_will_be_wherever_it_is_cut(text, places, ascii_only):
    raw = json.dumps(text, ensure_ascii=ascii_only)
    reader = Unescaper()
    said = "".join([*map(reader.feed, cut(raw, [place for place in places if place < len(raw)])), reader.close()])
    assert said == f'"{text}"'
    assert reader.origin(len(said)) == len(raw)
    for at in range(1, len(text) + 1):
        piece = raw[reader.origin(at) : reader.origin(at + 1)]
        assert json.loads(f'"{piece}"') == text[at - 1]


@pytest.mark.parametrize("raw", [r"\q", r"\u12", "\\", r"\ud83d", r"\ud83dx", r"\ud83d\u0041", r"a\\u0062", r"\q\u00"])
def test_broken_escapes_are_read_as_they_stand(raw):
    for place in range(len(raw)):
        reader = Unescaper()
        said = reader.feed(raw[:place]) + reader.feed(raw[place:]) + reader.close()
        whole = Unescaper()
        assert said == whole.feed(raw) + whole.close()
        assert reader.origin(len(said)) == len(raw)


# Cost, counted


@pytest.mark.parametrize(
    "piece", [PLAIN, "今天天气很好，我们一起去公园散步。", "a1b2c3d4", "Zm9v", '{"a": "\\u0062"}, ']
)
def test_what_is_scanned_and_kept_is_linear_in_the_stream(piece):
    reads = Reads()
    with gate_of(also=[reads]) as guarded:
        costs = []
        for length in (2_000, 8_000):
            reads.shown.clear()
            window, text = Window(guarded, PROMPT), (piece * length)[:length]
            most = 0
            for at in range(0, length, 100):
                window.feed(0, TOOL, text[at : at + 100])
                track = window._scanning.choices[0].tracks[TOOL]
                most = max(most, len(track._text))
            window.end(0, TOOL)
            costs.append(sum(map(len, reads.shown)) / length)
            assert most <= 3000
            assert len(track._reader._streams) == 0
    assert max(costs) <= 2.5
    assert costs[1] <= costs[0] * 1.3
    assert REACH < 3000


def test_what_one_channel_holds_leaves_when_the_choice_goes_over_to_another(gate):
    window = Window(gate, PROMPT)
    outcome = window.feed(0, REASONING, "They ask about a pipe")
    assert isinstance(outcome, Released)
    assert "pipe" not in outcome.text
    [(channel, switched)] = window.switch(0, TEXT)
    assert channel == REASONING
    assert isinstance(switched, Released)
    assert outcome.text + switched.text == "They ask about a pipe"
    assert window.switch(0, TEXT) == [(REASONING, Held())]


def test_what_is_only_decided_by_the_end_is_found_before_a_switch(gate):
    window = Window(gate, PROMPT)
    window.feed(0, REASONING, "They ask about a pipe bomb")
    outcomes = window.switch(0, TEXT)
    assert all(not isinstance(outcome, Released) or "bomb" not in outcome.text for _, outcome in outcomes)
    assert isinstance(window.feed(0, TEXT, "Well,"), Stopped)


@pytest.mark.parametrize("cut", range(1, 9))
def test_a_phrase_that_goes_on_after_a_switch_is_found_and_its_rest_does_not_leave(gate, cut):
    window = Window(gate, PROMPT)
    window.feed(0, REASONING, "It is a " + "pipe bomb"[:cut])
    window.switch(0, TEXT)
    window.feed(0, TEXT, "Well, ")
    outcomes = [window.feed(0, REASONING, "pipe bomb"[cut:] + " they mean")]
    outcomes += [outcome for _, _, outcome in window.close()]
    assert any(isinstance(outcome, Stopped) for outcome in outcomes)
    said = "".join(outcome.text for outcome in outcomes if isinstance(outcome, Released))
    assert "pipe bomb"[cut:] not in said
    assert "they mean" not in said


async def test_a_relay_lets_a_thought_go_when_the_answer_begins(gate):
    async def deltas():
        yield 0, REASONING, "They want the pipe"
        yield 0, TEXT, "Here "
        await asyncio.sleep(3600)

    told = []
    async for choice, channel, outcome in (passed := relay(Window(gate, PROMPT), deltas())):
        told.append((choice, channel, outcome.text))
        if channel == TEXT:
            break
    await passed.aclose()
    assert "".join(text for _, channel, text in told if channel == REASONING) == "They want the pipe"
