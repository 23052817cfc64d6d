from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

import server.generated
from server.generated import ROOT, main, rendered, stale, write

README = "# Wardlaw\n\n<!-- commands -->\nold\n<!-- /commands -->\n\nmore\n"


def test_what_is_generated_is_current() -> None:
    assert [str(path.relative_to(ROOT)) for path in stale(ROOT)] == []


def test_all_is_written_once_and_is_current_then(tmp_path: Path) -> None:
    written = {str(path.relative_to(tmp_path)) for path in write(tmp_path)}
    assert {path for path in written if not path.startswith("docs/rules/")} == {
        "docs/cli.md",
        "docs/evaluate.md",
        "docs/hazards.md",
        "docs/rule-format.md",
        "docs/settings.md",
        "rules/rule_file.schema.json",
    }
    assert stale(tmp_path) == []
    assert write(tmp_path) == []
    assert not list(tmp_path.rglob(".*"))


def test_the_table_of_commands_goes_between_the_markers_and_nothing_else_changes(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(README)
    write(tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert text.startswith("# Wardlaw\n\n<!-- commands -->\n| command | does |")
    assert text.endswith("|\n<!-- /commands -->\n\nmore\n")
    assert "| `wardlaw rules check` | check rule files, and say what is wrong and where |" in text


def test_check_names_what_is_stale_and_how_to_mend_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.generated, "ROOT", tmp_path)
    (tmp_path / "pyproject.toml").write_text("")
    write(tmp_path)
    assert CliRunner().invoke(main, ["--check"]).exit_code == 0
    (tmp_path / "docs" / "rule-format.md").write_text("edited by hand")
    done = CliRunner().invoke(main, ["--check"])
    assert done.exit_code == 1
    assert "stale docs/rule-format.md\n" in done.output
    assert "python -m server.generated --write" in done.output
    assert CliRunner().invoke(main, ["--write"]).output == "wrote docs/rule-format.md\n"
    assert CliRunner().invoke(main, []).exit_code == 2


def test_a_page_of_a_rule_that_is_no_more_is_stale_and_goes(tmp_path: Path) -> None:
    write(tmp_path)
    gone = tmp_path / "docs" / "rules" / "rule-that-was.md"
    gone.write_text("# A rule that was")
    assert stale(tmp_path) == [gone]
    assert write(tmp_path) == [gone]
    assert not gone.exists()


def test_every_marker_of_a_frame_is_filled() -> None:
    for path, text in rendered(ROOT):
        if path.suffix == ".md" and path.name != "README.md":
            assert re.findall(r"^<!--", text, re.MULTILINE) == ["<!--"], path  # the one that says what it was made by
