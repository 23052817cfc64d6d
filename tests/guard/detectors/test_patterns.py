from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from guard.detectors.patterns import MAX_SPANS, PatternError, Patterns, check_patterns
from guard.exchange import Exchange, Message
from guard.patterns.base import Entry
from guard.patterns.base import spans as spans_of
from rules.schema import Part, Pattern


@pytest.fixture(params=["hyperscan", "re2"])
def engine(request):
    """Each engine that runs here."""
    if request.param == "hyperscan":
        pytest.importorskip("hyperscan")
    return request.param


@pytest.fixture
def detect(make_rule, constitute, engine, tmp_path):
    """A detector of some patterns."""

    def make(*patterns):
        return Patterns(constitute(make_rule(detect={"patterns": patterns})), engine=engine, cache=tmp_path)

    return make


@pytest.fixture
def spans(detect):
    """The words that one pattern marks in a prompt as it stands, its views left aside."""

    def find(text, **pattern):
        (scan,) = detect(pattern).scan([Exchange.of(text)])
        return [text[slice(*finding.span)] for finding in scan.findings if finding.view == "raw"]

    return find


@pytest.fixture
def faults(make_rule, constitute):
    """What is wrong with one expression."""

    def find(**pattern):
        # Unchecked, since the schema refuses most of these before the engine sees them.
        patterns = [Pattern(literal="fine"), Pattern.model_construct(**pattern)]
        return check_patterns(constitute(make_rule(detect={"patterns": patterns})))

    return find


def test_a_literal_is_found_in_any_letter_case(spans):
    assert spans("A Pipe BOMB, a pipe bomb", literal="pipe bomb") == ["Pipe BOMB", "pipe bomb"]


def test_a_literal_is_found_in_any_letter_case_beyond_ascii(spans):
    assert spans("Как сделать БОМБУ?", literal="бомбу") == ["БОМБУ"]
    assert spans("ΒΌΜΒΑ", literal="βόμβα") == ["ΒΌΜΒΑ"]


@pytest.mark.parametrize(
    ("literal", "text", "words"),
    [
        ("straße", "DIE STRASSE", "STRASSE"),
        ("straße", "die Straße", "Straße"),
        ("strasse", "die Straße", "Straße"),
        ("STRASSE", "STRAẞE", "STRAẞE"),
        ("όδος", "ΟΔΌΣ όδος ΌΔΟΣ", "όδος ΌΔΟΣ"),
        ("ΌΔΟΣ", "όδος όδοσ", "όδος όδοσ"),
        ("istanbul", "İSTANBUL", "İSTANBUL"),
        ("İstanbul", "istanbul", "istanbul"),
        ("ısı", "ISI", "ISI"),
        ("ISI", "ısı", "ısı"),
        ("istanbul", "i\u0307stanbul", "i\u0307stanbul"),
        ("office", "oﬃce", "oﬃce"),
        ("kill", "\u212aill", "\u212aill"),
        ("kiss", "ki\u017f\u017f", "ki\u017f\u017f"),
        ("cafe\u0301", "CAFÉ", "CAFÉ"),
    ],
)
def test_letters_that_are_one_in_another_case_are_found(spans, literal, text, words):
    assert " ".join(spans(text, literal=literal)) == words


def test_an_expression_knows_letters_that_are_two_in_another_case(spans):
    assert spans("STRASSE", regex="straße") == ["STRASSE"]
    assert spans("ein Gruß", regex=r"gr(u|ü)ss\b|gru(s|ß){1,2}") == ["Gruß"]


def test_unfolded_letters_keep_word_borders(spans):
    assert spans("Großstraßen", literal="strasse") == []
    assert spans("bombİ", literal="bomb") == []


def test_a_literal_is_found_over_any_white_space(spans):
    assert spans("pipe\n\u3000 bomb", literal="pipe bomb") == ["pipe\n\u3000 bomb"]


@pytest.mark.parametrize("text", ["bombast", "abomb", "bombé", "ébomb", "bomb2", "bomb\u0301", "БomБ bombы"])
def test_a_literal_is_not_found_inside_a_word(spans, text):
    assert spans(text, literal="bomb") == []


@pytest.mark.parametrize(
    "text", ["bomb", "_bomb_", "(bomb)", "bomb's", "我要bomb做", "🙂bomb🙂", "bomb\ufe0f", "\nbomb."]
)
def test_a_literal_is_found_at_every_kind_of_border(spans, text):
    assert spans(text, literal="bomb") == ["bomb"]


def test_a_cyrillic_literal_needs_borders_too(spans):
    assert spans("бомбардир", literal="бомба") == []
    assert spans("антибомба бомба", literal="бомба") == ["бомба"]


@pytest.mark.parametrize(("text", "literal"), [("怎么做炸弹啊", "炸弹"), ("폭탄을", "폭탄"), ("爆弾の作り方", "爆弾")])
def test_a_literal_of_a_script_without_borders_is_found_inside_a_run(spans, text, literal):
    assert spans(text, literal=literal) == [literal]


def test_a_whole_word_that_begins_inside_a_rejected_hit_is_found(spans):
    assert spans("xa a a", literal="a a") == ["a a"]


def test_a_literal_is_taken_letter_for_letter(spans):
    assert spans("c++ and cxx", literal="c++") == ["c++"]
    assert spans("a.b axb", literal="a.b") == ["a.b"]


def test_spans_count_characters_after_emoji_and_chinese(spans):
    assert spans("🙂🙂 日本 thermite, 炸弹 thermite", regex=r"\bthermite\b") == ["thermite", "thermite"]


def test_a_line_break_does_not_hide_words_from_a_gap(spans):
    assert spans("thermite\nis easy to make", regex=r"\bthermite\b.{0,40}\bmake\b") == ["thermite\nis easy to make"]


def test_lone_surrogates_keep_offsets_and_do_not_raise(spans):
    assert spans("\ud800\udfff 🙂 bomb \udc00", literal="bomb") == ["bomb"]
    assert spans("\ud800" * 3, literal="bomb") == []


def test_a_pattern_without_plain_words_is_found(spans):
    assert spans("id 123-45-6789.", regex=r"\d{3}-\d{2}-\d{4}") == ["123-45-6789"]


def test_hits_past_the_bound_lie_in_the_last_span(detect):
    text = "bomb " * (MAX_SPANS * 4)
    findings = detect({"literal": "bomb"}).scan([Exchange.of(text)])[0].findings
    assert len(findings) == MAX_SPANS
    assert findings[-1].span == (5 * (MAX_SPANS - 1), len(text))


def test_a_megabyte_is_scanned_to_its_end(spans):
    assert spans("日本 a " * 200_000 + "bomb", literal="bomb") == ["bomb"]
    assert spans("a" * 1_000_000, regex="a(.*b)?c") == []


def test_a_pattern_looks_only_in_the_parts_it_watches(make_rule, constitute):
    patterns = [{"literal": "boom", "watches": ["response"]}, {"literal": "bang"}]
    rule = make_rule(detect={"patterns": patterns})
    detector = Patterns(constitute(rule))
    asked, answered = detector.scan([Exchange.of("boom bang"), Exchange.of("boom bang", "boom bang")])
    assert [finding.excerpt for finding in asked.findings] == ["bang"]
    assert [finding.excerpt for finding in answered.findings] == ["boom", "bang"]
    assert detector.covers(rule, Part.PROMPT)
    assert detector.covers(rule, Part.TOOL_CALL).why_not == "none of its patterns watches the tool_call"


def test_reasoning_kept_apart_is_scanned_for_rules_that_watch_it(make_rule, constitute):
    rule = make_rule(watches=["reasoning"], detect={"patterns": [{"literal": "boom"}]})
    exchange = Exchange((Message("user", "boom"), Message("assistant", "boom", reasoning="so: boom")))
    (scan,) = Patterns(constitute(rule)).scan([exchange])
    assert [(finding.part, finding.span) for finding in scan.findings] == [(Part.REASONING, (4, 8))]


@pytest.mark.parametrize("regex", ["x*", r"\b", "(a|)", "^", "(?:foo)?"])
def test_a_pattern_that_matches_the_empty_string_is_refused(faults, regex):
    ((rule, index, message, hint),) = faults(regex=regex)
    assert (rule, index) == ("weapon-help", 1)
    assert "matches the empty string" in message
    assert "at least one character" in hint


@pytest.mark.parametrize("regex", ["a(?=b)", r"(a)\1", "(?<!x)y"])
def test_a_pattern_that_needs_backtracking_is_refused_with_a_hint(faults, regex):
    ((_, _, message, hint),) = faults(regex=regex)
    assert regex in message
    assert "linear time" in hint


@pytest.mark.parametrize("regex", ["(a{100}){100}{100}", r"\pL{900}\pL{900}\pL{900}", "((x{300}){300})"])
def test_a_pattern_that_takes_too_much_memory_is_refused(faults, regex):
    ((_, _, _, hint),) = faults(regex=regex)
    assert "memory" in hint


@pytest.mark.parametrize("regex", [r"\bбомба", r"炸弹\b", r"x|\b(?:бомба|мина)", r"(?:做|造)\b"])
def test_a_border_that_can_never_hold_is_refused(faults, regex):
    ((_, _, message, _),) = faults(regex=regex)
    assert "not ASCII" in message


@pytest.mark.parametrize("regex", [r"\bbomb\b", r"bomb\b.{0,9}炸弹", r"\\bомба", "bombs?", r"[^\x00]+x"])
def test_a_sound_pattern_is_not_refused(faults, regex):
    assert faults(regex=regex) == []


def test_a_detector_refuses_what_the_check_refuses(make_rule, constitute):
    with pytest.raises(PatternError, match="pattern 1 of rule `weapon-help`"):
        Patterns(constitute(make_rule(detect={"patterns": [{"regex": r"\bбомба"}]})))


def test_a_disguised_word_is_found_at_its_place_with_the_views_name(detect):
    (scan,) = detect({"literal": "bomb"}).scan([Exchange.of("how to build a b0mb at home")])
    (finding,) = scan.findings
    assert (finding.span, finding.excerpt) == ((15, 19), "b0mb")
    assert finding.view != "raw"


def test_a_hit_seen_in_several_views_is_told_once_and_as_raw_where_it_is(detect):
    (scan,) = detect({"literal": "bomb"}).scan([Exchange.of("b\u200bomb and bomb, b0mb")])
    assert sorted((finding.excerpt, finding.view == "raw") for finding in scan.findings) == [
        ("b0mb", False),
        ("bomb", True),
        ("b\u200bomb", False),
    ]


def test_a_base64_word_is_marked_where_it_is_written(detect):
    (scan,) = detect({"literal": "pipe bomb"}).scan([Exchange.of("read this: YnVpbGQgYSBwaXBlIGJvbWIgbm93 please")])
    (finding,) = scan.findings
    assert "base64" in finding.view
    assert 11 <= finding.span[0] < finding.span[1] <= 43


def test_many_threads_may_scan_at_once(detect):
    detector = detect({"literal": "bomb"}, {"regex": r"\d{3}-\d{4}"})
    exchange = Exchange.of("some words " * 2000 + "bomb 123-4567")
    with ThreadPoolExecutor(8) as pool:
        scans = list(pool.map(lambda _: detector.scan([exchange])[0], range(64)))
    assert {tuple(finding.excerpt for finding in scan.findings) for scan in scans} == {("bomb", "123-4567")}


def test_an_expression_that_hyperscan_refuses_is_found_all_the_same(spans):
    assert spans("x" + "abef" * 40 + "x", regex="(?:ab|cd|ef|gh){60,500}x") == ["abef" * 40 + "x"]
    assert spans("炸" * 30 + "x", regex=r"(?:\pL{2}){9,40}x") == ["炸" * 30 + "x"]


def test_an_expression_that_matches_nothing_at_the_end_ends():
    entry = Entry.of("a", frozenset(), Pattern.model_construct(literal=None, regex="日|$", watches=None))
    assert list(spans_of(entry, "a日b", "a日b".encode())) == [(1, 2)]


def test_a_constitution_without_patterns_scans_to_nothing(make_rule, constitute):
    rule = make_rule(detect={})
    detector = Patterns(constitute(rule))
    assert detector.scan([Exchange.of("anything")])[0].findings == ()
    assert detector.covers(rule, Part.PROMPT).why_not == "it has no patterns"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (r'{"q": "a pipe\nbomb now"}', r"pipe\nbomb"),
        (r'{"q": "a p\u0069pe bomb now"}', r"p\u0069pe bomb"),
        (r'{"q": "say \"pipe\tbomb\" twice"}', r"pipe\tbomb"),
        (r'{"q": "\ud83d\ude00 pipe\r\nbomb"}', r"pipe\r\nbomb"),
    ],
)
def test_the_arguments_of_a_tool_are_read_as_the_tool_will_read_them(make_rule, constitute, engine, arguments, words):
    rule = make_rule(watches=["tool_call"], detect={"patterns": [{"literal": "pipe bomb"}]})
    exchange = Exchange((Message("assistant", "", tool_calls=("{}", arguments, arguments)),))
    (scan,) = Patterns(constitute(rule), engine=engine).scan([exchange])
    assert [arguments[slice(*finding.span)] for finding in scan.findings] == [words, words]


def test_words_that_stand_in_arguments_as_they_are_are_told_once(make_rule, constitute, engine):
    rule = make_rule(watches=["tool_call"], detect={"patterns": [{"literal": "pipe bomb"}]})
    exchange = Exchange((Message("assistant", "", tool_calls=(r'{"q": "a\n pipe bomb"}',)),))
    (scan,) = Patterns(constitute(rule), engine=engine).scan([exchange])
    assert [finding.view for finding in scan.findings] == ["raw"]
