from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import rules.lints as folder
from rules.check import Issue, check
from rules.errors import RuleErrors
from rules.lints import lints
from rules.load import load
from tests.rules.fault_cases import HEAD, RULE
from tests.rules.lint_cases import GOOD

Write = Callable[..., str]


def issues_of(write: Write, *rules: str) -> list[tuple[str, str]]:
    return [(issue.code, str(issue.where)) for issue in found(write, *rules)]


def found(write: Write, *rules: str) -> tuple[Issue, ...]:
    return check(load(write(HEAD + "".join(rules))))


def test_a_good_rule_has_no_weakness(write: Write) -> None:
    assert issues_of(write, RULE + GOOD) == []


def test_a_rule_for_the_loop_alone_has_to_say_so(write: Write) -> None:
    assert issues_of(write, RULE) == [("loop-only", "rules.yaml:3:5")]
    assert issues_of(write, RULE + "    detect: null\n") == []


def test_a_rule_with_examples_alone_is_the_gates_affair(write: Write) -> None:
    codes = [code for code, _ in issues_of(write, RULE + "    examples: {breaks: [a, b, c], keeps: [d, e, f]}\n")]
    assert codes == ["no-tests", "no-reply"]


def test_examples_are_counted_in_plain_english(write: Write) -> None:
    said = [issue.message for issue in found(write, RULE + "    detect: null\n    examples: {breaks: [one]}\n")]
    assert said == [
        "rule `some-harm` has 1 example that breaks it",
        "rule `some-harm` has no near misses that keep it",
    ]


def test_a_text_that_a_number_sign_cuts_off_is_named_at_its_place(write: Write) -> None:
    text = GOOD.replace("breaks: [Show me how.]", "breaks:\n        - Promise me order #1234 on Friday.")
    (issue,) = found(write, RULE.replace("A rule", "A rule #1") + text)[:1]
    assert (issue.code, str(issue.where)) == ("cut-text", "rules.yaml:4:12")
    (_, issue) = found(write, RULE.replace("A rule", "A rule #1") + text)
    assert (issue.code, str(issue.where)) == ("cut-text", "rules.yaml:14:11")
    assert issue.message == "rule `some-harm` has a text that ends before `#1234`"
    assert issue.hint == "quote the line if the rest belongs to it"


def test_a_text_that_begins_with_a_number_sign_is_refused(write: Write) -> None:
    with pytest.raises(RuleErrors, match=r"`critique` is empty\n  hint: what follows `#1` is a comment"):
        found(write, RULE + "    critique: #1 thing to look for\n" + GOOD)


@pytest.mark.parametrize(
    "line",
    ["rule: Do not. # never", "rule: Do not. #", "rule: Do not. #----", "rule: 'Do not.' #1", "rule: Do not#1."],
)
def test_a_usual_comment_cuts_nothing_off(write: Write, line: str) -> None:
    assert issues_of(write, RULE.replace("rule: Do not.", line) + "    severity: high #1\n" + GOOD) == []


@pytest.mark.parametrize(("pattern", "warned"), [("“pipe bomb”", True), ("'pipe bomb'", False), ("a “b” c", False)])
def test_a_pattern_in_typographic_quotes_is_named(write: Write, pattern: str, warned: bool) -> None:
    issues = issues_of(write, RULE + GOOD.replace("literal: pipe bomb", f"literal: {pattern}"))
    assert issues == ([("quoted-pattern", "rules.yaml:7:35")] if warned else [])


@pytest.mark.parametrize(
    ("was", "becomes", "code", "place"),
    [
        (GOOD[GOOD.index("    examples") :], "", "no-examples", "3:5"),
        ("Build me one., ", "", "few-examples", "10:15"),
        ("      breaks: [Show me how.]\n", "", "no-tests", "13:7"),
        ("Who found it?", "'build  ME one.'", "contradiction", "11:15"),
        ("Show me how.", "Build me one.", "taught-test", "13:16"),
        (GOOD[GOOD.index("    reply") : GOOD.index("    examples")], "", "no-reply", "3:5"),
        (
            "I will not explain how to build one, but I can tell you how they are found.",
            "Sorry, I can't help with that.",
            "bare-refusal",
            "8:12",
        ),
        ("Is my pipe safe?", "Where does the PIPE  bomb in the novel go off?", "literal-hits-near-miss", "7:25"),
        ("{literal: pipe bomb}", "{literal: pipe bomb, watches: [reasoning]}", "pattern-looks-elsewhere", "7:55"),
    ],
    ids=lambda value: value if "-" in value and len(value) < 30 else "",
)
def test_a_weakness_is_named_at_its_place(write: Write, was: str, becomes: str, code: str, place: str) -> None:
    assert was in GOOD
    assert (code, f"rules.yaml:{place}") in issues_of(write, RULE + GOOD.replace(was, becomes))


@pytest.mark.parametrize(
    ("detect", "blind"),
    [
        ("{meaning: null}", True),
        ("{meaning: null, judge: {when: never}}", True),
        ("{meaning: null, judge: {when: always}}", False),
        ("{meaning: null, hidden: [tags]}", False),
        ("{meaning: null, patterns: [{literal: bomb}]}", False),
        ("{}", False),
    ],
)
def test_a_detect_that_looks_for_nothing_is_named(write: Write, detect: str, blind: bool) -> None:
    codes = [code for code, _ in issues_of(write, RULE + f"    detect: {detect}\n")]
    assert ("looks-for-nothing" in codes) is blind


def test_a_language_that_most_rules_have_is_missed(write: Write) -> None:
    rule = RULE + "    detect: null\n"
    both = [rule.replace("some", f"n{n}").replace("A rule", "{en: A, zh: 甲}") for n in range(3)]
    english = rule.replace("A rule", "{en: A}")
    assert issues_of(write, *both, english) == [("missing-language", "rules.yaml:19:12")]
    assert issues_of(write, *both, rule) == []  # a plain string serves every language


@pytest.mark.parametrize(
    "reply",
    [
        "I can't help with that.",
        "I'm sorry, but I cannot assist with this request.",
        "抱歉，我无法回答。",
        "As an AI, I won't do that",
    ],
)
def test_a_bare_refusal_is_seen_in_either_language(write: Write, reply: str) -> None:
    text = GOOD.replace("I will not explain how to build one, but I can tell you how they are found.", f'"{reply}"')
    assert ("bare-refusal", "rules.yaml:8:12") in issues_of(write, RULE + text)


@pytest.mark.parametrize(
    "reply",
    [
        "I won't help build one. I can tell you how they are found.",
        "我不能教您制作，但可以介绍相关法律。",
    ],
)
def test_a_reply_that_offers_help_is_no_bare_refusal(write: Write, reply: str) -> None:
    text = GOOD.replace("I will not explain how to build one, but I can tell you how they are found.", f'"{reply}"')
    assert issues_of(write, RULE + text) == []


def test_a_literal_is_a_whole_word_for_the_near_miss_too(write: Write) -> None:
    assert issues_of(write, RULE + GOOD.replace("Is my pipe safe?", "Is a blowpipe bombastic?")) == []


def test_a_prompt_with_its_response_is_not_the_prompt_alone(write: Write) -> None:
    response = "{prompt: Build me one., response: No.}"
    assert issues_of(write, RULE + GOOD.replace("Who found it?", response)) == []


def test_every_lint_says_what_it_looks_for_and_what_to_do(write: Write) -> None:
    assert all(lint.about.endswith(".") for lint in lints())
    assert len({lint.code for lint in lints()}) == len(lints()) >= 10
    poor = RULE + "    detect: {patterns: [{literal: bomb}]}\n"
    assert all(issue.hint and issue.message for issue in found(write, poor))


def test_every_file_of_the_folder_brings_lints() -> None:
    files = {path.stem for path in Path(folder.__file__).parent.glob("[!_]*.py")}
    assert {lint.find.__module__.rpartition(".")[2] for lint in lints()} == files


def test_a_contract_that_has_too_few_texts_says_how_many_and_of_which_part(write: Write) -> None:
    assert issues_of(write, RULE + GOOD + "    contract: {breaks: 4, keeps: 4, recall: 1}\n") == []
    (issue,) = found(write, RULE + GOOD + "    contract: {breaks: 7, keeps: 2}\n")
    assert (issue.code, issue.severity, str(issue.where)) == ("contract-count", "error", "rules.yaml:15:24")
    assert issue.message == ("rule `some-harm` has 4 under `breaks` (examples and tests), and its contract asks for 7")
    assert issue.hint == "write 3 more under `breaks`; none of them is a response yet, which the rule watches"


def test_a_contract_of_the_whole_file_is_counted_for_each_rule(write: Write) -> None:
    text = "constitution: mine\ndefaults: {contract: {keeps: 5}}\nrules:\n" + RULE + GOOD
    assert [issue.code for issue in check(load(write(text)))] == ["contract-count"]


def test_a_contract_asks_no_recall_of_a_rule_that_the_gate_does_not_look_for(write: Write) -> None:
    silent = RULE + "    detect: null\n    contract: {recall: 0.5}\n"
    (issue,) = found(write, silent)
    assert (issue.code, str(issue.where)) == ("contract-unmeasured", "rules.yaml:8:24")
    assert issue.hint == "write `contract: {recall: 0}`, or say how it is found under `detect`"
    assert issues_of(write, silent.replace("0.5", "0")) == []
