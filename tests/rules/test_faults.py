"""Every fault that a rule file can have, at its place, and every weakness that a lint tells of.

`python tests/rules/test_faults.py` writes the golden file anew.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from rules.check import check
from rules.errors import RuleErrors, WardlawError
from rules.lints import lints
from rules.load import load
from tests.rules import fault_cases
from tests.rules.fault_cases import HEAD, RULE
from tests.rules.fault_cases_more import MORE
from tests.rules.lint_cases import LINT_CASES

GOLDEN = Path(__file__).parent / "golden" / "faults.txt"
CASES = {**fault_cases.CASES, **MORE}
"""Sentence: (rules.yaml, the place of its first fault)."""

# what is named to `load`, and is no rule file
SOURCES: dict[str, tuple[str, ...]] = {
    "no source": (),
    "a source that is not there": ("nothing.yaml",),
    "a misspelled pack": ("bace",),
    "a folder without a rule file": ("empty",),
    "a pipe": ("pipe.yaml",),
    "a file that nobody may read": ("closed.yaml",),
    "a file of more faults than are told": ("flood.yaml",),
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
    told = {sentence: str(faults_of(text, folder)) for sentence, (text, _) in CASES.items()}
    (folder / "empty").mkdir()
    os.mkfifo(folder / "pipe.yaml")
    keys = "".join(f"    unknown-{n}: x\n" for n in range(202))
    (folder / "flood.yaml").write_text(HEAD + RULE + keys)
    (folder / "closed.yaml").symlink_to("/proc/self/mem")  # root may read all else
    told |= {sentence: _refusal(*sources) for sentence, sources in SOURCES.items()}
    for code, cases in LINT_CASES.items():
        for sentence, text in cases.items():
            (folder / "rules.yaml").write_text(text)
            told[sentence] = "\n".join(str(issue) for issue in check(load("rules.yaml")) if issue.code == code)
    return "\n".join(f"{sentence}\n{_indented(text)}\n" for sentence, text in told.items())


def _refusal(*sources: str) -> str:
    with pytest.raises(RuleErrors) as caught:
        load(*sources)
    return str(caught.value.errors[0])


@pytest.mark.parametrize("code", [lint.code for lint in lints()])
def test_every_lint_has_a_case_in_the_golden_file(code: str, folder: Path) -> None:
    assert LINT_CASES[code]
    for text in LINT_CASES[code].values():
        (folder / "rules.yaml").write_text(text)
        assert code in {issue.code for issue in check(load("rules.yaml"))}


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
