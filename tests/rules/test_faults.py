"""Every fault that a rule file can have, at its place.

`python tests/rules/test_faults.py` writes the golden file anew.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from rules.errors import RuleErrors, WardlawError
from rules.load import load

GOLDEN = Path(__file__).parent / "golden" / "faults.txt"
HEAD = "constitution: mine\nrules:\n"
RULE = "  - id: some-harm\n    title: A rule\n    rule: Do not.\n    why: It would hurt somebody who did nothing.\n"
DEMONSTRATION = RULE + "    demonstrations:\n      - prompt: Hi\n        answer: A b c.\n"
BREAKS = "critique: {quotes: [b], problem: It is wrong., verdict: breaks}"
BREAKING = RULE + "    examples:\n      breaks:\n        - one\n"
NEST = "[" * 60 + "]" * 60

# sentence: (rules.yaml, the place of its first fault)
CASES: dict[str, tuple[str | bytes, str]] = {
    "an empty file": ("", "1:1"),
    "a file of comments": ("# nothing yet\n", "1:1"),
    "a file that is a list": ("- constitution: mine\n", "1:1"),
    "a file that is text": ("just words\n", "1:1"),
    "a file that is not UTF-8": (HEAD.encode() + b"  - id: caf\xe9\n", "3:12"),
    "a file in UTF-16": ((HEAD + RULE).encode("utf-16"), "1:1"),
    "a control character": (HEAD + "  - id: a\x07b\n", "3:10"),
    "a file over 1 MiB": ("# " + "x" * 1024 * 1024, "1:1"),
    "two documents": (HEAD + RULE + "---\na: b\n", "7:1"),
    "a second colon on a line": (HEAD + "  - id: a: b\n", "3:10"),
    "a tab in the indent": (HEAD + "\t- id: ab\n", "3:1"),
    "a bracket that is not closed": (HEAD + RULE + "    sources: [one, two\n    severity: high\n", "7:14"),
    "a quote that is not closed": (HEAD + "  - id: 'ab\n", "3:9"),
    "a line out of step": (HEAD + "  - id: ab\n   title: x\n", "4:4"),
    "a line without a colon": (HEAD + RULE + "    severity\n    mode: shadow\n", "7:5"),
    "an unknown escape": (HEAD + RULE + '    detect: {patterns: [{regex: "\\d"}]}\n', "7:34"),
    "text that begins with an at sign": ("constitution: @mine\n", "1:15"),
    "a Python tag": (HEAD + RULE + "    sources: !!python/object/apply:os.system [ls]\n", "7:14"),
    "a tag of one's own": (HEAD + RULE + "    severity: !secret high\n", "7:15"),
    "a merge key": ("constitution: mine\ndefaults: &d {mode: shadow}\nrules:\n  - <<: *d\n    id: ab\n", "4:5"),
    "an alias without an anchor": (HEAD + "  - *other\n", "3:5"),
    "an alias inside its own anchor": (HEAD + "  - &a [*a]\n", "3:9"),
    "more than 100 aliases": ("a: &a x\nb: [" + "*a, " * 101 + "]\n", "2:405"),
    "aliases that unfold without end": (
        "a0: &a0 [x, x, x, x, x, x, x, x]\n"
        + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8)}]\n" for n in range(1, 10)),
        "6:5",
    ),
    "values nested too deep": (f"a: {NEST}\n", "1:53"),
    "a key that is a list": ("constitution: mine\n? [a]\n: b\n", "2:3"),
    "an unknown key at the top": ("constitution: mine\nrulez: []\n", "2:1"),
    "no constitution": ("title: Mine\nrules:\n" + RULE, "1:1"),
    "a misspelled constitution": ("constituton: mine\nrules:\n" + RULE, "1:1"),
    "a constitution with a bad name": ("constitution: My Rules\nrules:\n" + RULE, "1:15"),
    "rules that are a map": ("constitution: mine\nrules:\n  some-harm: {}\n", "3:3"),
    "a rule that is text": (HEAD + "  - some-harm\n", "3:5"),
    "no rule at all": ("constitution: mine\n", "1:1"),
    "every rule disabled": (HEAD + RULE + "    disabled: true\n", "1:1"),
    "a repeated key": (HEAD + RULE + "    rule: Again.\n", "7:5"),
    "a repeated id": (HEAD + RULE + RULE, "7:9"),
    "an id changed by case alone": (HEAD + RULE + RULE.replace("some-harm", "Some-Harm"), "7:9"),
    "an id with underscores": (HEAD + RULE.replace("some-harm", "some_harm"), "3:9"),
    "an id that is empty": (HEAD + RULE.replace("some-harm", "''"), "3:9"),
    "no id": (HEAD + RULE.replace("id: some-harm\n    ", ""), "3:5"),
    "an unknown key in a rule": (HEAD + RULE + "    severty: high\n", "7:5"),
    "an unknown key of another level": (HEAD + RULE + "    patterns: []\n", "7:5"),
    "an unknown key like no other": (HEAD + RULE + "    detect: {zebra: 1}\n", "7:14"),
    "a missing why": (HEAD + "  - id: ab\n    title: A\n    rule: Do not.\n", "3:5"),
    "a misspelled why": (HEAD + RULE.replace("why:", "wy:"), "6:5"),
    "a why too short": (HEAD + RULE.replace("It would hurt somebody who did nothing.", "Bad."), "6:10"),
    "a title that is true": (HEAD + RULE.replace("A rule", "true"), "4:12"),
    "a title that is a list": (HEAD + RULE.replace("A rule", "[A, rule]"), "4:12"),
    "a rule that says nothing": (HEAD + RULE.replace("Do not.", ""), "5:10"),
    "an unknown language tag": (HEAD + RULE.replace("A rule", "{en: A, jp: B}"), "4:20"),
    "an unknown severity": (HEAD + RULE + "    severity: hihg\n", "7:15"),
    "an unknown mode in the defaults": ("constitution: mine\ndefaults: {mode: shadwo}\nrules:\n" + RULE, "2:18"),
    "a hazard without its system": (HEAD + RULE + "    hazards: [S9]\n", "7:15"),
    "watches that are empty": (HEAD + RULE + "    watches: []\n", "7:14"),
    "an unknown part": (HEAD + RULE + "    watches: [prompt, answer]\n", "7:23"),
    "an unknown action": (HEAD + RULE + "    on: {prompt: blok}\n", "7:18"),
    "an unknown part under on": (HEAD + RULE + "    on: {promt: block}\n", "7:10"),
    "an action that the part cannot take": (
        HEAD + RULE + "    watches: [prompt, tool_result]\n    on: {tool_result: revise}\n",
        "8:23",
    ),
    "an action for a part that is not watched": (HEAD + RULE + "    on: {reasoning: block}\n", "7:21"),
    "disabled that is neither true nor false": (HEAD + RULE + "    disabled: yes\n", "7:15"),
    "a rule that changes none": (HEAD + RULE + "  - id: some-harn\n    severity: high\n", "7:9"),
    "a rule that drops none": (HEAD + RULE + "  - id: other\n    disabled: true\n", "7:9"),
    "a detect that is a list": (HEAD + RULE + "    detect: [pipe bomb]\n", "7:13"),
    "a pattern that is text": (HEAD + RULE + "    detect: {patterns: [pipe bomb]}\n", "7:25"),
    "a pattern of both kinds": (HEAD + RULE + "    detect: {patterns: [{literal: a, regex: b}]}\n", "7:25"),
    "an empty literal": (HEAD + RULE + "    detect: {patterns: [{literal: ' '}]}\n", "7:35"),
    "a pattern with a lookahead": (HEAD + RULE + "    detect: {patterns: [{regex: 'a(?=b)'}]}\n", "7:33"),
    "a pattern with a lookbehind": (HEAD + RULE + "    detect: {patterns: [{regex: '(?<!a)b'}]}\n", "7:33"),
    "a pattern with a backreference": (HEAD + RULE + "    detect: {patterns: [{regex: '(a)\\1'}]}\n", "7:33"),
    "a pattern with a possessive repeat": (HEAD + RULE + "    detect: {patterns: [{regex: 'a++'}]}\n", "7:33"),
    "a pattern that is not closed": (HEAD + RULE + "    detect: {patterns: [{regex: '(a'}]}\n", "7:33"),
    "a pattern that matches the empty string": (HEAD + RULE + "    detect: {patterns: [{regex: 'a*|b'}]}\n", "7:33"),
    "a threshold over 1": (HEAD + RULE + "    detect: {meaning: {threshold: 7}}\n", "7:35"),
    "examples that are a list": (HEAD + RULE + "    examples: [Hi]\n", "7:15"),
    "an empty example": (HEAD + RULE + "    examples:\n      breaks:\n        - Hi\n        - ''\n", "10:11"),
    "an example with an empty prompt": (HEAD + RULE + "    examples:\n      breaks:\n        - prompt:\n", "9:18"),
    "an example with a response alone": (HEAD + RULE + "    tests: {breaks: [{response: Hi}]}\n", "7:23"),
    "an example in two forms": (HEAD + RULE + "    tests: {keeps: [{prompt: Hi, messages: []}]}\n", "7:22"),
    "an example with an unknown role": (
        HEAD + RULE + "    tests: {keeps: [{messages: [{role: bot, content: Hi}]}]}\n",
        "7:40",
    ),
    "an example that says nothing": (HEAD + RULE + "    tests: {keeps: [{}]}\n", "7:21"),
    "an example that is a list": (HEAD + RULE + "    tests: {keeps: [[Hi]]}\n", "7:21"),
    "a demonstration that quotes what is not there": (
        HEAD + DEMONSTRATION + f"        {BREAKS.replace('[b]', '[b, z]')}\n        revision: A.\n",
        "10:32",
    ),
    "a demonstration that breaks and is not revised": (HEAD + DEMONSTRATION + f"        {BREAKS}\n", "8:9"),
    "a demonstration in an unknown language": (
        HEAD + DEMONSTRATION + f"        {BREAKS}\n        revision: A.\n        language: english\n",
        "12:19",
    ),
    "a demonstration with a bad turn": (
        HEAD + DEMONSTRATION.replace("Hi", "[Hi]") + f"        {BREAKS}\n        revision: A.\n",
        "8:18",
    ),
    "extends with an unknown pack": ("constitution: mine\nextends: [bace]\nrules:\n" + RULE, "2:11"),
    "extends with a file that is not there": ("constitution: mine\nextends: [./no.yaml]\nrules:\n" + RULE, "2:11"),
    "extends out of the folder": ("constitution: mine\nextends:\n  - ../up.yaml\nrules:\n" + RULE, "3:5"),
    "extends to the whole machine": ("constitution: mine\nextends: /etc/hosts.yaml\nrules:\n" + RULE, "2:10"),
    "extends without its path": ("constitution: mine\nextends: [beside]\nrules:\n" + RULE, "2:11"),
    "extends in a circle": ("constitution: mine\nextends: [./rules.yaml]\nrules:\n" + RULE, "2:11"),
    "several faults at once": (HEAD + RULE + "    severty: high\n    on: {prompt: x}\n  - id: b\n", "7:5"),
    "an escape sequence in a key": (HEAD + RULE + '    "\\e[31mred": 1\n', "7:5"),
    # what YAML misreads by its first character, a quote, a comment or a step too many
    "text that begins with a bracket": (HEAD + BREAKING + "        - [Name] promised me\n", "10:11"),
    "text that begins with an asterisk": (HEAD + BREAKING + "        - *Promise* me\n", "10:11"),
    "text that begins with a quoted word": (HEAD + BREAKING + '        - "Hello" he said\n', "10:11"),
    "an apostrophe in single quotes": (HEAD + RULE + "    reply: 'it's me'\n", "7:12"),
    "a quote that the next quote closes": (HEAD + RULE + '    reply: "ab\n    critique: "d"\n', "7:12"),
    "a number sign before the rest of a list": (HEAD + RULE + "    allowed: [order #12 is fine, two]\n", "7:21"),
    "a number sign before a second line": (HEAD + RULE + "    reply: order #12\n      goes on\n", "7:18"),
    "a key a step too deep": (HEAD + RULE.replace("    why", "     why"), "6:6"),
    "a key among languages": (HEAD + RULE.replace("A rule", "\n      en: A\n      reply: B"), "6:7"),
    "a key among languages that is missed": (
        HEAD + RULE.replace("A rule", "\n      en: A\n      why: It hurts.").rpartition("    why")[0],
        "6:7",
    ),
    # what a Chinese keyboard and a copied page put in
    "a full-width colon": (HEAD + RULE.replace("title: ", "title："), "4:10"),
    "a full-width colon in a first key": (HEAD + RULE.replace("id: ", "id："), "3:7"),
    "a full-width colon at the top": ("constitution：mine\nrules:\n" + RULE, "1:13"),
    "full-width colons alone": ("constitution：mine\nrules：none\n", "1:1"),
    "a rule with full-width colons alone": (HEAD + "  - id：some-harm\n    title：A rule\n", "3:5"),
    "a full-width colon in braces": (HEAD + RULE + "    on: {prompt：revise}\n", "7:10"),
    "a full-width comma in braces": (HEAD + RULE + "    on: {prompt: revise，response: block}\n", "7:24"),
    "a full-width comma between braces": (
        HEAD + RULE + "    detect: {patterns: [{literal: x}，{literal: y}]}\n",
        "7:37",
    ),
    "a full-width comma in brackets": (HEAD + RULE + "    watches: [prompt，response]\n", "7:15"),
    "a colon without its space": (HEAD + RULE.replace("title: ", "title:"), "4:11"),
    "a last colon without its space": (HEAD + RULE + "    severity:high\n", "7:14"),
    "a colon without its space in braces": (HEAD + RULE + "    on: {prompt:revise}\n", "7:10"),
    "languages without their spaces": (HEAD + RULE.replace("A rule", "{en:A, zh:甲}"), "4:13"),
    "a hyphen without its space": (HEAD + BREAKING + "        -Promise me\n", "10:10"),
    "hyphens without their spaces": (HEAD + BREAKING.replace("- one", "-one\n        -two"), "9:9"),
    "a dash for a hyphen": (HEAD + BREAKING + "        – two\n        - three\n", "10:9"),
    "a bullet for a hyphen": (HEAD + BREAKING + "        * two\n", "10:9"),
    "a no-break space in the indent": (HEAD + RULE.replace("    rule", "\u00a0\u00a0  rule"), "5:1"),
    "a no-break space in the indent of an item": (HEAD + BREAKING + "\u00a0       - two\n", "10:1"),
    "a full-width space in the indent": (HEAD + RULE.replace("    rule", "\u3000\u3000rule"), "5:1"),
    "a no-break space before a key": (HEAD + RULE.replace("    rule", "    \u00a0rule"), "5:5"),
    "a no-break space after a hyphen": (HEAD + BREAKING + "        -\u00a0two\n", "10:10"),
    # hints that have to lead somewhere
    "an example with a colon": (HEAD + BREAKING + "        - Hello: promise me my order\n", "10:11"),
    "a neighbour with a colon": (HEAD + RULE + "    allowed:\n      - Note: it's fine\n", "8:9"),
    "an example by language": (HEAD + BREAKING + "        - zh: 你好\n          en: Hi\n", "10:11"),
    "an example with an answer": (HEAD + BREAKING + "        - prompt: Hi\n          answer: Ho\n", "11:11"),
    "an example with a question": (HEAD + BREAKING + "        - question: Hi\n", "10:11"),
    "a why left empty": (HEAD + RULE.replace("It would hurt somebody who did nothing.", ""), "6:9"),
    "a why too short in Chinese": (HEAD + RULE.replace("It would hurt somebody who did nothing.", "不好。"), "6:10"),
    "a language left empty": (HEAD + RULE.replace("A rule", "{en: A, zh: ''}"), "4:24"),
    "a language with an underscore": (HEAD + RULE.replace("A rule", "{en: A, zh_CN: B}"), "4:20"),
    "a language in capitals": (HEAD + RULE.replace("A rule", "{en: A, ZH: B}"), "4:20"),
    "a constitution with a name too short": ("constitution: x\nrules:\n" + RULE, "1:15"),
    "an id too short": (HEAD + RULE.replace("some-harm", "x"), "3:9"),
    "a regex with backspaces": (HEAD + RULE + '    detect: {patterns: [{regex: "\\bsure\\b"}]}\n', "7:33"),
    "a literal with a control character": (HEAD + RULE + '    detect: {patterns: [{literal: "a\\x1bb"}]}\n', "7:35"),
}


def faults_of(text: str | bytes, folder: Path) -> RuleErrors:
    """What `load` refuses the text with. The folder is the current one."""
    (folder / "rules.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    (folder / "beside.yaml").write_text("constitution: beside\nrules: []\n")
    with pytest.raises(RuleErrors) as caught:
        load("rules.yaml")
    return caught.value


@pytest.mark.parametrize("sentence", CASES)
def test_a_fault_is_refused_at_its_place(sentence: str, folder: Path) -> None:
    text, place = CASES[sentence]
    first = faults_of(text, folder).errors[0]
    assert str(first.where) == f"rules.yaml:{place}", str(first)


@pytest.mark.parametrize("sentence", CASES)
def test_a_fault_is_one_plain_line_and_a_hint(sentence: str, folder: Path) -> None:
    for error in faults_of(CASES[sentence][0], folder).errors:
        assert error.hint
        lines = str(error).split("\n")
        assert len(lines) == 2
        assert lines[1].startswith("  hint: ")
        assert all(line.isprintable() for line in lines)
        assert "pydantic" not in str(error)
        assert "Input should" not in str(error)


def test_all_messages_read_as_the_golden_file_says(folder: Path) -> None:
    assert golden(folder) == GOLDEN.read_text(encoding="utf-8")


def golden(folder: Path) -> str:
    """All messages, each under its sentence. The folder is the current one."""
    parts = [f"{sentence}\n{_indented(str(faults_of(text, folder)))}\n" for sentence, (text, _) in CASES.items()]
    return "\n".join(parts)


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.split("\n"))


def test_the_cause_is_named_and_not_its_echo(folder: Path) -> None:
    misspelled = HEAD + RULE.replace("why:", "wy:").replace("title:", "titel:")
    assert [error.fault for error in faults_of(misspelled, folder).errors] == [
        "unknown key `titel` in rule `some-harm`",
        "unknown key `wy` in rule `some-harm`",
    ]


def test_what_a_broken_file_would_have_defined_is_not_reported_as_missing(folder: Path) -> None:
    (folder / "broken.yaml").write_text("constitution: b\nrules: [\n")
    text = "constitution: mine\nextends: [./broken.yaml]\nrules:\n  - id: from-broken\n    severity: high\n"
    (error,) = faults_of(text, folder).errors
    assert str(error.where) == "broken.yaml:3:1"


def test_faults_of_several_files_come_in_the_order_of_the_files(folder: Path) -> None:
    (folder / "first.yaml").write_text("constitution: first\nx: 1\n")
    (folder / "second.yaml").write_text("constitution: second\nrules: [x]\n")
    faults = faults_of("constitution: mine\ny: 1\nextends: [./first.yaml, ./second.yaml]\n", folder)
    assert [str(error.where) for error in faults.errors] == ["first.yaml:2:1", "second.yaml:2:9", "rules.yaml:2:1"]


def test_a_circle_over_two_files_names_the_way(folder: Path) -> None:
    (folder / "other.yaml").write_text("constitution: other\nextends: [./rules.yaml]\n")
    (error,) = faults_of("constitution: mine\nextends: [./other.yaml]\nrules:\n" + RULE, folder).errors
    assert str(error.where) == "other.yaml:2:11"
    assert "rules.yaml -> other.yaml -> rules.yaml" in error.fault


def test_a_link_that_leads_out_of_the_folder_is_refused(folder: Path) -> None:
    inner = folder / "inner"
    inner.mkdir()
    (folder / "secret.yaml").write_text("constitution: secret\n")
    (inner / "link.yaml").symlink_to(folder / "secret.yaml")
    (inner / "rules.yaml").write_text("constitution: mine\nextends: [./link.yaml]\nrules:\n" + RULE)
    with pytest.raises(RuleErrors, match="outside the rule folder"):
        load(inner / "rules.yaml")


@pytest.mark.parametrize("name", ["nothing.yaml", "bace", "", "a\0b", "x" * 5000])
def test_a_source_that_is_not_there_is_named(name: str, folder: Path) -> None:
    with pytest.raises(RuleErrors, match="no rule file or pack"):
        load(name)


def test_an_empty_folder_and_no_source_at_all_are_refused(folder: Path) -> None:
    with pytest.raises(RuleErrors, match="holds no"):
        load(folder)
    with pytest.raises(RuleErrors, match="no rule file is named"):
        load()


def test_a_pipe_is_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "pipe.yaml")
    with pytest.raises(WardlawError, match="not a regular file"):
        load("pipe.yaml")


def test_a_flood_of_faults_is_cut_and_counted(folder: Path) -> None:
    keys = "".join(f"    unknown-{n}: x\n" for n in range(5000))
    errors = faults_of(HEAD + RULE + keys, folder).errors
    assert len(errors) == 201
    assert any(error.fault == "and 4800 more faults in rule `some-harm`" for error in errors)


def test_a_flood_of_rules_is_read_in_a_moment(folder: Path) -> None:
    ids = "".join(f"  - id: harm-{n}\n" for n in range(5_000))
    assert len(faults_of(HEAD + ids, folder).errors) > 1000


@pytest.mark.parametrize("regex", ["[" + "[:" * 200_000, "a{" + "9" * 5000 + "}", "(" * 100_000, "[[:alpha:]" * 50_000])
def test_a_monstrous_expression_is_refused_in_a_moment(regex: str, folder: Path) -> None:
    (error,) = faults_of(HEAD + RULE + f"    detect: {{patterns: [{{regex: '{regex}'}}]}}\n", folder).errors
    assert str(error.where) == "rules.yaml:7:33"
    assert len(str(error)) < 400


def test_a_key_that_took_in_its_value_is_one_fault(folder: Path) -> None:
    for braces in ("{prompt:revise}", "{prompt：revise}"):
        (error,) = faults_of(HEAD + RULE + f"    on: {braces}\n", folder).errors
        assert error.hint == "write `prompt: revise`, a colon and a space"


def test_a_sentence_with_a_full_width_colon_is_not_taken_for_the_slip(folder: Path) -> None:
    (error,) = faults_of(
        HEAD + RULE.replace("Do not.", "注意：不要说：好") + "    severity\n    mode: shadow\n", folder
    ).errors
    assert (str(error.where), error.fault) == ("rules.yaml:7:5", "not YAML: this key lacks its `: `")


def test_a_line_of_a_million_brackets_is_refused_in_a_moment(folder: Path) -> None:
    text = HEAD + RULE + "    reply: [x] " + "{，" * 200_000 + "\n"
    assert str(faults_of(text, folder).errors[0].where) == "rules.yaml:7:17"


def _main() -> None:
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        text = golden(Path(name))
    GOLDEN.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    _main()
