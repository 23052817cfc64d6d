"""Which language a text is in, and when one cannot say."""

from __future__ import annotations

import pytest

from guard.language import language_among, language_of, same_language, script_of

ENGLISH = "Please tell me how I can keep the tomatoes in my garden healthy through a wet and windy summer."
GERMAN = "Bitte sag mir, wie ich die Tomaten in meinem Garten durch einen nassen und windigen Sommer bringen kann."


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        (ENGLISH, "en"),
        (GERMAN, "de"),
        ("怎样种西红柿？", "zh"),
        ("トマトの育て方を教えてください", "ja"),
        ("東京の天気", "ja"),
        ("토마토를 어떻게 키워요?", "ko"),
        ("Как вырастить помидоры?", "ru"),
        ("كيف أزرع الطماطم؟", "ar"),
        ("kurz", "en"),
        ("", "en"),
        ("12 + 30 = ?", "en"),
    ],
)
def test_languages_are_told_apart(text, tag):
    assert language_of(text) == tag


def test_code_says_nothing_about_the_language():
    assert (
        script_of("怎样运行它？ ```python\nprint('a very long line of code with many Latin letters in it')\n```")
        == "zh"
    )
    assert script_of("```only code```") is None


def test_a_chinese_sentence_with_an_english_name_is_chinese():
    assert script_of("请用 TensorFlow 写一个例子") == "zh"


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        (ENGLISH, ENGLISH.upper(), True),
        (ENGLISH, GERMAN, False),
        (GERMAN, ENGLISH, False),
        (ENGLISH, "怎样种西红柿？", False),
        ("short one", GERMAN, True),
        (ENGLISH, "Kurz.", True),
        ("", ENGLISH, True),
        (ENGLISH, "1234", True),
        ("怎样种西红柿？", "把它们放在阳光下。", True),
        ("怎样种西红柿？", "トマトは日なたに置いてください", False),
    ],
)
def test_two_texts_are_of_one_language_unless_one_is_sure_that_they_are_not(left, right, same):
    assert same_language(left, right) is same


def test_where_scripts_tell_the_languages_apart_no_statistics_are_loaded(monkeypatch):
    monkeypatch.setattr("guard.language._identifier", lambda: pytest.fail("the statistics were loaded"))
    for text in (
        "plain words, and a good many more of them, so that statistics would have enough to go by",
        "你好",
        "",
    ):
        assert language_among(text, {"en", "zh", "und"}) == ("zh" if text == "你好" else "en")


def test_two_languages_in_latin_script_are_told_apart_by_statistics():
    french = (
        "Bonjour, pourriez-vous m'expliquer comment on prépare une bonne soupe aux poireaux pour quatre personnes ?"
    )
    assert language_among(french, {"en", "fr"}) == "fr"
    assert language_among(french, {"en", "zh"}) == "en"
