"""README.md and docs/: what they show works, and what they point to is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rules import load

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
CODE = re.compile(r"(?P<fence>`+)(?!`).*?(?<!`)(?P=fence)(?!`)", re.DOTALL)
"""An expression in a rule can look like a link, and is none."""
LINK = re.compile(r"(?<!\\)\]\((?!https?:|#)([^)#\s]+)")


def test_the_rule_in_the_readme_loads_as_it_stands(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(block.strip().splitlines()) == 5, "the README calls it five lines"
    path = tmp_path / "rules.yaml"
    path.write_text("constitution: readme\nrules:\n" + re.sub(r"^", "  ", block, flags=re.MULTILINE), encoding="utf-8")
    (rule,) = load(path).constitution
    assert rule.examples.breaks
    assert rule.examples.keeps


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_links_only_to_what_is_there(page: Path) -> None:
    targets = LINK.findall(CODE.sub("code", page.read_text(encoding="utf-8")))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_folder_of_the_readmes_tree_is_there() -> None:
    rows = re.findall(r"^\| `([a-z]+/)` \|", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert rows
    assert [name for name in rows if not (ROOT / name).is_dir()] == []


@pytest.mark.parametrize("picture", sorted((ROOT / "docs" / "pictures").glob("*.svg")), ids=lambda path: path.name)
def test_a_picture_asks_nobody_for_anything_and_is_made_by_a_script_that_is_there(picture: Path) -> None:
    text = picture.read_text(encoding="utf-8")
    assert set(re.findall(r"https?://[^\s\"']+", text)) == {"http://www.w3.org/2000/svg"}
    assert "<script" not in text
    assert picture.with_name(picture.stem.replace("-", "_") + ".py").is_file()
