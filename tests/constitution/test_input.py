"""The prompts of a run: files in their order, patterns, harmless ones among them, a limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from constitution.input import Input, expanded
from constitution.prompt import PromptError
from constitution.row import ROLES
from constitution.settings import Settings


def given(tmp_path: Path, *prompts: str, **more: object) -> Input:
    return Input(Settings(prompts=prompts, out=tmp_path / "out", models=dict.fromkeys(ROLES[:3], "x"), **more))


def said(found: Input) -> list[str]:
    return [prompt.messages[-1].content for prompt in found.prompts()]


@pytest.fixture
def three(tmp_path: Path) -> Path:
    for name in ("c", "a", "b"):
        (tmp_path / f"{name}.txt").write_text(f"{name} one\n{name} two\n")
    (tmp_path / "d.txt").mkdir()
    return tmp_path


def test_a_pattern_stands_for_its_files_by_name_and_for_no_folder(three):
    assert said(given(three, str(three / "*.txt"))) == ["a one", "a two", "b one", "b two", "c one", "c two"]


def test_a_file_whose_name_looks_like_a_pattern_is_itself(tmp_path):
    odd = tmp_path / "what[1].txt"
    odd.write_text("one\n")
    assert expanded((str(odd),)) == [str(odd)]


def test_a_pattern_that_stands_for_nothing_is_told(tmp_path):
    with pytest.raises(PromptError, match=r"no prompt file is called like .*\*\.jsonl"):
        given(tmp_path, str(tmp_path / "*.jsonl"))


def test_it_can_be_gone_through_again_and_counts_anew(three):
    found = given(three, str(three / "a.txt"), str(three / "b.txt"), benign=(str(three / "c.txt"),), benign_share=0.5)
    first = said(found)
    assert first == said(found) == ["a one", "c one", "a two", "c two", "b one", "b two"]
    assert (found.mixture.prompts, found.mixture.benign, found.mixture.ran_out) == (6, 2, True)
    assert found.count() == 6


def test_a_limit_holds_for_what_comes_and_for_what_is_counted(three):
    found = given(three, str(three / "*.txt"), limit=4)
    assert len(said(found)) == found.count() == 4


def test_input_of_many_bytes_is_not_read_through_before_the_first_call(three, monkeypatch):
    monkeypatch.setattr("constitution.input.LARGE", 10)
    assert given(three, str(three / "*.txt")).count() is None
    assert given(three, str(three / "*.txt"), limit=5).count() == 5


def test_files_without_a_prompt_are_told(tmp_path):
    (tmp_path / "empty.txt").write_text("\n\n")
    with pytest.raises(PromptError, match="no prompts in"):
        given(tmp_path, str(tmp_path / "empty.txt")).count()
