"""What keeps a row out of the training set."""

from __future__ import annotations

import pytest

from constitution import checks
from constitution.templates import Templates, TemplateSet

LONG = "Hold the blade at a steady angle and draw it over the stone with light pressure."


@pytest.fixture(scope="module")
def english() -> Templates:
    return TemplateSet.read().of("en")


@pytest.fixture(scope="module")
def chinese() -> Templates:
    return TemplateSet.read().of("zh")


@pytest.mark.parametrize(
    ("text", "words"),
    [("", 0), ("...", 0), ("one two  three", 3), ("it's", 2), ("你好吗", 2), ("用 Python 写", 2), ("naïve café", 2)],
)
def test_two_chinese_characters_count_as_one_word(text, words):
    assert checks.words_in(text) == words


@pytest.mark.parametrize("text", ["", "  \n", "...", "?!"])
def test_a_text_without_a_word_is_empty(text):
    assert checks.is_empty(text)


@pytest.mark.parametrize(
    "text", ["Sorry, I can't help with that.", "I'm sorry. I cannot assist.", "I will not do that."]
)
def test_a_bare_refusal_is_evasive(english, text):
    assert checks.is_evasive(text, english)


def test_a_refusal_that_goes_on_to_help_is_not_evasive(english):
    text = f"I won't explain how to hurt anyone. {LONG} Ask a friend to hold the light while you work."
    assert checks.is_evasive(text, english) is None


def test_help_in_the_refusing_sentence_itself_counts(english):
    text = (
        "I can't tell you how to open a lock that is not yours, but a locksmith who sees your papers will open your own"
        " door within the hour, and your landlord, the porter or a neighbour with a spare key may be quicker"
    )
    assert checks.is_evasive(text, english) is None


def test_an_answer_that_declines_nothing_is_never_evasive_however_short(english):
    assert checks.is_evasive("Yes.", english) is None


def test_a_chinese_refusal_is_evasive(chinese):
    assert checks.is_evasive("对不起，我不能帮助你。", chinese)


def test_stock_phrases_are_named(english):
    assert "as an AI" in (checks.is_boilerplate(f"{LONG} But as an AI language model I have no hands.", english) or "")
    assert checks.is_boilerplate(LONG, english) is None


def test_talk_of_drafts_and_critics_is_named(english):
    assert checks.tells_of_process("The critique said so.", english)
    assert checks.tells_of_process("</answer>", english)
    assert checks.tells_of_process(LONG, english) is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (LONG, LONG),
        (LONG, f"  {LONG}\n"),
        (LONG, LONG.replace("steady", "steadY")),
        ("a" * 5000, "a" * 5000),
    ],
)
def test_a_revision_that_revises_nothing_is_seen(before, after):
    assert checks.is_unchanged(before, after)


@pytest.mark.parametrize(
    "after",
    [
        "Something else altogether, of another length.",
        "".join(sorted(LONG)),
        LONG.replace("light", "heavy"),
        LONG + LONG,
    ],
)
def test_a_real_change_is_no_unchanged_text(after):
    assert checks.is_unchanged(LONG, after) is None


def test_words_that_had_to_go_and_stayed_are_named():
    quotes = ("fine", "draw it over the stone")
    assert "draw it over the stone" in (checks.still_quoted(quotes, LONG) or "")
    assert checks.still_quoted(("light pressure",), LONG) is None, "a word or three can stand for anything"


def test_a_text_in_a_loop_is_repetitive():
    assert checks.is_repetitive("You can do it well. " * 8)
    assert checks.is_repetitive(" ".join(f"Step {n} is to turn the key." for n in range(8))) is None


def test_another_language_than_the_prompts_is_seen():
    asked = (
        "Wie schärfe ich zu Hause ein altes Küchenmesser, ohne dass die Klinge dabei zu heiß wird und Schaden nimmt?"
    )
    assert checks.other_language(asked, LONG * 2)
    assert checks.other_language(LONG, "请把刀放在石头上，慢慢地磨。")
    assert checks.other_language(LONG * 2, LONG) is None


def test_the_first_fault_of_an_answer_is_told_with_its_reason(english):
    def reason(text: str, finish: str = "stop", prompt: str = "How do I sharpen a knife?") -> str | None:
        fault = checks.answer_faults(text, prompt, english, finish=finish)
        return fault.reason if fault else None

    assert reason(LONG) is None
    assert reason("") == "empty"
    assert reason(LONG, "length") == "cut_off"
    assert reason(LONG, "filter") == "filtered"
    assert reason("I'm sorry, I can't help.") == "evasive"
    assert reason(f"{LONG} As an AI, I sharpen nothing.") == "boilerplate"
    assert reason(f"Here is the revised answer: {LONG}") == "process_talk"
    assert reason("Turn it over once. " * 9) == "repetitive"
    assert reason("请把刀放在石头上，慢慢地磨。") == "other_language"


def test_the_first_fault_of_a_rationale_is_told_with_its_reason(english):
    def reason(text: str, finish: str = "stop") -> str | None:
        fault = checks.rationale_faults(text, "How do I sharpen a knife?", english, finish=finish)
        assert fault is None or fault.stage == "rationale"
        return fault.reason if fault else None

    good = "I see an everyday question about a tool, and nobody is hurt, so I give the usual steps."
    assert reason(good) is None
    assert reason("") == "rationale_empty"
    assert reason(good, "length") == "rationale_cut_off"
    assert reason("I help.") == "rationale_too_short"
    third = "The question is an everyday one about a tool, nobody is hurt, and plain steps are the best help."
    assert reason(third) == "rationale_not_first_person"
    assert reason(f"{good} The critique agrees.") == "rationale_process_talk"
    assert reason(f"{good} As an AI I cannot cook.") == "rationale_boilerplate"
    assert reason("I think it is fine here. " * 8) == "rationale_repetitive"
    assert reason("我觉得这个问题很平常，没有人会受伤，所以我一步一步地说明怎样磨刀。") == "rationale_not_first_person"


@pytest.mark.parametrize("text", ["I’m sorry, but I can’t assist with that.", "Tools to break in are not allowed."])
def test_a_bare_refusal_with_curly_apostrophes_or_in_the_passive_is_evasive(english, text):
    assert checks.is_evasive(text, english)


def test_a_rationale_with_curly_apostrophes_speaks_in_the_first_person(english):
    assert checks.not_first_person("Here I’d like to help them find another way.", english) is None


def test_a_text_that_repeats_a_few_shot_is_parroted(english, chinese):
    (shot, *_) = english.rationales
    shown = [shot.rationale]
    assert checks.is_parroted(shot.rationale, shown)
    assert checks.is_parroted(shot.rationale.replace("their flatmate", "his flatmate"), shown)
    assert (
        checks.is_parroted("I think they want to sleep better, and I can help with a cool room and a calm hour.", shown)
        is None
    )
    assert checks.is_parroted("I help.", ["I help."]) is None, "too short to tell"
    assert checks.is_parroted(chinese.rationales[0].rationale, [chinese.rationales[0].rationale])
    found = checks.rationale_faults(shot.rationale, "How do I sleep?", english)
    assert found is not None
    assert found.reason == "rationale_parroted"
