"""Hidden characters as findings of their own, in whole texts and in streams wherever they are cut."""

from __future__ import annotations

import base64
from itertools import combinations

import pytest

from guard.detectors.patterns import CAPPED, Patterns
from guard.exchange import Exchange, Message
from guard.gate import Gate
from guard.patterns.base import MAX_SPANS
from guard.window import Channel, Released, Window
from rules.schema import Part

KINDS = ("tags", "selectors", "bidi", "zero-width")


def tags(text):
    return "".join(chr(0xE0000 + ord(letter)) for letter in text)


FLAG = "\U0001f3f4" + tags("gbeng") + "\U000e007f"
HIDING = {
    "tags": ("see" + tags("obey") + " it", (3, 7)),
    "selectors": ("see 😀" + "".join(chr(0xE0100 + ord(letter) - 16) for letter in "obey") + " it", (5, 9)),
    "bidi": ("see \u202eyebo\u202c it", (4, 10)),
    "zero-width": ("see o\u200bb\u200be\u200by it", (4, 11)),
}
HARMLESS = (
    f"{FLAG} and {FLAG}{FLAG}",
    "👨\u200d👩\u200d👧 ❤\ufe0f 1\ufe0f⃣",
    "می\u200cخواهم",
    "क्\u200dष",
    "Donau\u00addampf\u00adschiff",
    "\u200fשלום\u200e \u2068Anna\u2069",
)


@pytest.fixture
def hide_nothing(make_rule, constitute):
    """A constitution of one rule that names kinds of hidden characters."""

    def make(*kinds, patterns=(), watches=("prompt", "response"), on=None):
        detection = {"hidden": kinds, "patterns": patterns, "meaning": None}
        return constitute(make_rule("hidden-text", watches=watches, detect=detection, on=on or {}))

    return make


@pytest.fixture
def detect(hide_nothing, tmp_path):
    def make(*kinds, **fields):
        return Patterns(hide_nothing(*kinds, **fields), cache=tmp_path)

    return make


def found(detector, text):
    (scan,) = detector.scan([Exchange.of(text)])
    return [(finding.view, finding.span) for finding in scan.findings]


def streamed(detector, chunks):
    """What a stream tells, each with the number of characters that had come; a stretch that grew counts once."""
    stream = detector.stream(Part.RESPONSE)
    told = {}
    for chunk in chunks:
        for hit in stream.feed(chunk):
            told[hit.view, hit.span[0]] = hit.span
    for hit in stream.close():
        told[hit.view, hit.span[0]] = hit.span
    return [(view, span) for (view, _), span in told.items()]


@pytest.mark.parametrize("kind", KINDS)
def test_a_hidden_stretch_of_a_kind_that_a_rule_names_is_found_where_it_stands(detect, kind):
    text, span = HIDING[kind]
    assert found(detect(kind), text) == [(f"hidden:{kind}", span)]
    assert found(detect(*(other for other in KINDS if other != kind)), text) == []


@pytest.mark.parametrize("text", HARMLESS)
def test_ordinary_writing_is_not_found(detect, text):
    assert found(detect(*KINDS), text) == []


def test_the_excerpt_writes_out_what_no_person_could_see(detect):
    (scan,) = detect(*KINDS).scan([Exchange.of("w\u200bo\u200br\u200bd " + tags("x" * 200))])
    short, long = (finding.excerpt for finding in scan.findings)
    assert short == "w\\u200bo\\u200br\\u200bd"
    assert long.startswith("\\U000e0078\\U000e0078")
    assert len(long) == 160
    assert all(finding.score == finding.threshold == 1.0 for finding in scan.findings)


def test_hidden_characters_are_found_only_in_parts_that_the_rule_watches(detect):
    detector = detect("tags", watches=("tool_result",))
    asked = Exchange.of("a" + tags("hi"))
    told = Exchange((Message("user", "?"), Message("tool", "a" + tags("hi"))))
    assert [len(scan.findings) for scan in detector.scan([asked, told])] == [0, 1]


def test_a_rule_with_hidden_characters_alone_is_covered_in_the_parts_it_watches(hide_nothing, detect):
    (rule,) = hide_nothing("bidi")
    assert detect("bidi").covers(rule, Part.PROMPT).by == "patterns"
    assert detect("bidi").covers(rule, Part.SYSTEM).why_not


def test_more_stretches_than_the_bound_lie_in_the_last_span(detect):
    text = ("a" + tags("x") + " ") * (MAX_SPANS + 50)
    spans = [span for _, span in found(detect("tags"), text)]
    assert len(spans) == MAX_SPANS
    assert spans[0] == (1, 2)
    assert spans[-1] == ((MAX_SPANS - 1) * 3 + 1, len(text) - 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stretch_broken_over_any_two_borders_of_a_stream_is_found(detect, kind):
    text, span = HIDING[kind]
    detector = detect(*KINDS, patterns=[{"literal": "bomb"}])
    for first, second in combinations(range(1, len(text)), 2):
        chunks = (text[:first], text[first:second], text[second:])
        assert streamed(detector, chunks) == [(f"hidden:{kind}", span)], (first, second)


@pytest.mark.parametrize("patterns", [(), ({"literal": "bomb"},)], ids=["alone", "beside patterns"])
@pytest.mark.parametrize("text", HARMLESS)
def test_ordinary_writing_is_not_found_in_a_stream_that_comes_letter_by_letter(detect, text, patterns):
    assert streamed(detect(*KINDS, patterns=patterns), text) == []
    assert streamed(detect(*KINDS, patterns=patterns), "x" * 2000 + text) == []


def test_a_flag_that_never_ends_is_a_hiding_place_in_a_stream_too(detect):
    text = "\U0001f3f4" + tags("gb")
    assert found(detect("tags"), text) == streamed(detect("tags"), text) == [("hidden:tags", (1, 3))]


def test_a_long_run_is_told_again_as_it_grows_and_costs_no_more_for_it(detect):
    stream = detect("tags").stream(Part.RESPONSE)
    ends = [hit.span[1] for _ in range(300) for hit in stream.feed(tags("xxxxxxxxxx"))]
    assert ends == list(range(10, 3001, 10))


def test_what_may_become_hidden_text_is_held_and_the_rest_of_a_stream_is_not(detect):
    stream = detect(*KINDS).stream(Part.RESPONSE)
    stream.feed("plain words")
    assert stream.tail == 0
    stream.feed(" and \U0001f3f4" + tags("gb"))
    assert stream.tail >= 2
    stream.feed(tags("eng") + "\U000e007f, so")
    assert stream.tail == 0


@pytest.mark.parametrize("size", [1, 3, 100])
def test_no_hidden_character_leaves_a_window_whose_rule_redacts_them(hide_nothing, detect, size):
    text = f"Fine {FLAG} so{tags('obey')} far."
    with Gate(hide_nothing(*KINDS, on={"response": "redact"}), [detect(*KINDS)]) as gate:
        window = Window(gate, Exchange.of("hello"))
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        outcomes = [*(window.feed(0, Channel(), piece) for piece in pieces), window.end(0, Channel())]
    said = "".join(outcome.text for outcome in outcomes if isinstance(outcome, Released))
    assert said.startswith(f"Fine {FLAG} so")
    assert said.endswith(" far.")
    assert not set(tags("obey")) & set(said.replace(FLAG, ""))


def test_a_text_encoded_deeper_than_is_looked_into_is_said_to_be_scanned_in_part(make_rule, constitute, tmp_path):
    rules = constitute(make_rule(detect={"patterns": [{"literal": "pipe bomb"}], "meaning": None}))
    text = "how to make a pipe bomb at home"
    for _ in range(7):
        text = base64.b64encode(text.encode()).decode()
    with Gate(rules, [Patterns(rules, cache=tmp_path)]) as gate:
        assert gate.judge(Exchange.of(text)).coverage.partial == {"patterns": CAPPED}
        assert gate.judge(Exchange.of("a pipe bomb")).coverage.partial == {}
