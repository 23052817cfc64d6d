from __future__ import annotations

import json
from pathlib import Path

import pytest

from rules import Rule, check, load
from server.cli.main import main


def test_the_starter_is_a_constitution_without_a_weakness(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "mine"
    assert main(["init", str(folder)]) == 0
    loaded = load(folder / "rules.yaml")
    assert check(loaded) == ()
    assert loaded.constitution.rules[-1].id == "competitor-disparagement"
    assert len(loaded.constitution) > 20
    assert main(["rules", "check", "--strict", str(folder / "rules.yaml")]) == 0


def test_what_the_starter_offers_in_comments_works_when_it_is_taken_in(tmp_path: Path) -> None:
    main(["init", str(tmp_path / "mine")])
    path = tmp_path / "mine" / "rules.yaml"
    text = path.read_text(encoding="utf-8")
    before = load(path).constitution
    text = text.replace("# defaults:\n#   mode: shadow", "defaults:\n  mode: shadow")
    head, _, tail = text.partition("  # To change a rule of `base`")
    tail = "\n".join(line.replace("  # ", "  ", 1) for line in tail.splitlines()[1:] if "To drop" not in line)
    path.write_text(head + tail + "\n", encoding="utf-8")
    after = load(path).constitution
    assert after.rule("competitor-disparagement").mode == "shadow"
    assert len(after) == len(before) - 1
    changed = [rule.id for rule in after if rule.severity != before.rule(rule.id).severity]
    assert len(changed) == 1


def test_the_folder_is_whole_and_the_next_commands_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "mine"
    assert main(["init", str(folder)]) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["prompts.txt", "rule_file.schema.json", "rules.yaml"]
    first = (folder / "rules.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=./rule_file.schema.json"
    assert json.loads((folder / "rule_file.schema.json").read_text(encoding="utf-8"))["$defs"]
    assert len((folder / "prompts.txt").read_text(encoding="utf-8").splitlines()) >= 5
    out = capsys.readouterr().out
    assert f"wardlaw rules check {folder / 'rules.yaml'}" in out
    assert f"wardlaw generate {folder / 'prompts.txt'}" in out
    assert f"wardlaw rules test --rule competitor-disparagement {folder / 'rules.yaml'}" in out
    assert out.count("\n  wardlaw ") == 4


def test_the_generate_command_that_is_told_has_options_that_exist(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["init", str(tmp_path / "mine")])
    (line,) = [each for each in capsys.readouterr().out.splitlines() if "wardlaw generate" in each]
    from server.cli.generate import command

    known = {name for option in command.params for name in option.opts}
    assert {word for word in line.split() if word.startswith("--")} <= known


@pytest.mark.parametrize("name", ["rules.yaml", "prompts.txt", "rule_file.schema.json"])
def test_nothing_is_overwritten_and_nothing_half_written(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text("mine")
    assert main(["init", str(tmp_path)]) == 2
    assert (tmp_path / name).read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert "exists already\n  hint: choose another folder" in capsys.readouterr().err


def test_files_that_are_there_are_named_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", str(tmp_path)]) == 0
    assert main(["init", str(tmp_path)]) == 2
    assert "schema.json` exist already\n  hint: choose another folder, or move them away" in capsys.readouterr().err


def test_the_starter_names_every_key_that_a_rule_must_have(tmp_path: Path) -> None:
    main(["init", str(tmp_path)])
    text = (tmp_path / "rules.yaml").read_text(encoding="utf-8")
    (line,) = [each for each in text.splitlines() if "and begin with" in each]
    assert all(f"`{name}`" in line for name, info in Rule.model_fields.items() if info.is_required())


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["init", str(tmp_path / "file" / "mine")]) == 2
    assert "cannot write to" in capsys.readouterr().err
