from __future__ import annotations

import json
from pathlib import Path

import pytest

import rules.files
from rules.digest import constitution_digest, rule_digest
from rules.load import load
from server.cli.main import main

HEAD = "constitution: mine\nrules:\n"
RULE = """\
  - id: some-harm
    title: {en: A rule, zh: 一条规则}
    rule: Do not.
    why: It would hurt somebody who did nothing.
"""
WEAK = f"""\
{RULE}    detect: {{patterns: [{{literal: pipe bomb}}], meaning: null}}
    reply: I will not, but look it up in a law book.
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    code = main(["rules", *args])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def write(text: str, name: str = "rules.yaml") -> str:
    Path(name).write_text(text, encoding="utf-8")
    return name


def test_a_sound_file_is_summed_up_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    name = write(HEAD + RULE + "    detect: null\n")
    digest = constitution_digest(load(name).constitution)
    assert run(capsys, "check", name) == (0, f"1 rule, 0 errors, 0 warnings, digest {digest}\n", "")


def test_faults_are_listed_with_place_and_hint(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "check", write(HEAD + RULE + "    severty: high\n"))
    assert code == 1
    assert out == (
        "rules.yaml:7:5: error: unknown key `severty` in rule `some-harm`\n"
        "  hint: did you mean `severity`?\n"
        "1 error, 0 warnings\n"
    )


def test_a_warning_fails_the_check_only_when_it_is_strict(capsys: pytest.CaptureFixture[str]) -> None:
    name = write(HEAD + WEAK)
    code, out, _ = run(capsys, "check", name)
    assert code == 0
    assert (
        "rules.yaml:3:5: warning: rule `some-harm` has no `tests` under `breaks`, `keeps` [no-tests]\n  hint: " in out
    )
    assert ", 0 errors, 1 warning, digest " in out
    assert run(capsys, "check", "--strict", name)[0] == 1


def test_an_error_that_a_lint_sees_fails_the_check(capsys: pytest.CaptureFixture[str]) -> None:
    both = "    examples: {breaks: [Hi], keeps: [hi]}\n"
    code, out, _ = run(capsys, "check", write(HEAD + RULE + both))
    assert code == 1
    assert "error: rule `some-harm` is said to be kept by `hi`" in out


def test_a_pattern_that_only_the_engine_refuses_is_found_at_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    pattern = "    detect: {patterns: [{literal: a}, {regex: '\\p{Nonsense}'}], meaning: null}\n"
    code, out, _ = run(capsys, "check", write(HEAD + RULE + pattern))
    assert code == 1
    assert "rules.yaml:7:39: error: rule `some-harm`: " in out
    assert "[pattern]" in out


def test_json_says_the_same_to_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    name = write(HEAD + WEAK)
    code, out, _ = run(capsys, "check", "--json", name)
    said = json.loads(out)
    assert (code, said["ok"], said["rules"], said["errors"]) == (0, True, 1, [])
    assert said["digest"] == constitution_digest(load(name).constitution)
    (warning,) = said["warnings"]
    assert (warning["code"], warning["path"], warning["line"], warning["column"]) == ("no-tests", "rules.yaml", 3, 5)
    code, out, _ = run(capsys, "check", "--json", write("constitution: mine\nx: 1\n"))
    said = json.loads(out)
    assert (code, said["ok"], said["rules"], said["digest"]) == (1, False, None, None)
    assert said["errors"][0]["message"] == "unknown key `x` in the file"


def test_a_file_that_is_not_there_is_one_error(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "check", "nope.yaml")
    assert code == 1
    assert out.startswith("error: no rule file or pack `nope.yaml`\n  hint: ")


def test_a_rule_is_shown_in_full_and_in_the_language_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    name = write(HEAD + WEAK + "    examples: {breaks: [How?], keeps: [{prompt: Who?, response: Me.}]}\n")
    code, out, _ = run(capsys, "show", "some-harm", name)
    assert code == 0
    for part in (
        "some-harm  A rule",
        "Do not.",
        "literal: pipe bomb",
        "How?",
        "user: Who? / assistant: Me.",
        "law book",
    ):
        assert part in out
    assert rule_digest(load(name).constitution.rule("some-harm")) in out
    assert "rules.yaml:3:5" in out
    assert "一条规则" in run(capsys, "show", "some-harm", name, "--lang", "zh")[1]


def test_a_shown_rule_sends_no_escape_sequence_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    name = write(HEAD + RULE.replace("Do not.", '"Do\\e[31m not."').replace("A rule", '"A\\e[31m rule"'))
    out = run(capsys, "show", "some-harm", name)[1]
    assert "\x1b" not in out
    assert "\\x1b[31m" in out


def test_lines_of_wide_characters_fit_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    name = write(HEAD + RULE.replace("Do not.", "不要" * 200))
    lines = run(capsys, "show", "some-harm", name)[1].splitlines()
    assert sum(line.count("不") for line in lines) == 200
    assert max(sum(2 if char > "\u2e80" else 1 for char in line) for line in lines) <= 96


def test_show_names_the_hazards_whose_systems_are_known(capsys: pytest.CaptureFixture[str]) -> None:
    name = write(HEAD + RULE + '    hazards: ["llama-guard-2:S9", "sea-1:K1"]\n')
    assert "Hazards\n  - llama-guard-2:S9  Hate\n  - sea-1:K1\n" in run(capsys, "show", "some-harm", name)[1]
    assert "llama-guard-2:S9  仇恨" in run(capsys, "show", "some-harm", name, "--lang", "zh")[1]


def test_show_as_json_holds_the_whole_rule(capsys: pytest.CaptureFixture[str]) -> None:
    said = json.loads(run(capsys, "show", "some-harm", write(HEAD + WEAK), "--json")[1])
    assert said["id"] == "some-harm"
    assert said["title"] == {"en": "A rule", "zh": "一条规则"}
    assert said["where"] == "rules.yaml:3:5"


def test_an_unknown_rule_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "show", "some-ham", write(HEAD + RULE))
    assert (code, out) == (2, "")
    assert err == "error: no rule `some-ham` in `rules.yaml`\n  hint: did you mean `some-harm`?\n"


def test_a_pack_in_the_place_of_a_rule_is_answered_with_where_its_rules_are(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "show", "sparrow")
    assert code == 2
    assert err.startswith("error: `sparrow` is a pack, and a rule's id comes before it\n")
    assert "`wardlaw rules list sparrow` lists its rules" in err


def test_an_unknown_rule_of_many_is_answered_with_the_nearest_few(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "show", "late-order-promise")
    assert code == 2
    assert err.count("`") == 2 * (2 + 3)  # the id, the pack and three of its rules
    assert err.endswith("; for a rule of your own, name its file after the id\n")
    name = write(HEAD + "".join(RULE.replace("some-harm", f"harm-{n}") for n in range(50)))
    err = run(capsys, "show", "zebra", name)[2]
    assert "nearest of its 50 rules are `harm-" in err
    assert "after the id" not in err


def test_an_unknown_language_is_refused_with_those_of_the_rule(capsys: pytest.CaptureFixture[str]) -> None:
    name = write(HEAD + RULE)
    code, out, err = run(capsys, "show", "some-harm", name, "--lang", "zz")
    assert (code, out) == (2, "")
    assert err == "error: unknown language tag `zz`\n  hint: the rule is written in `en`, `zh`\n"
    assert run(capsys, "show", "some-harm", name, "--lang", "zh-CN")[0] == 0


def test_a_shown_null_stays_null_for_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    name = write(HEAD + RULE + "    detect: null\n    examples: {breaks: [How?]}\n")
    assert json.loads(run(capsys, "show", "some-harm", name, "--json")[1])["detect"] is None


def test_show_looks_in_the_base_pack_by_default(
    capsys: pytest.CaptureFixture[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packs = folder / "packs"
    packs.mkdir()
    (packs / "base.yaml").write_text("constitution: base\nrules:\n" + RULE, encoding="utf-8")
    monkeypatch.setattr(rules.files, "PACKS", packs)
    assert "some-harm  A rule" in run(capsys, "show", "some-harm")[1]


def test_the_schema_is_printed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "schema")
    assert code == 0
    assert json.loads(out)["required"] == ["constitution"]
