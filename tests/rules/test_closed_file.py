from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import Field, model_validator

from rules.base import Closed, refusal
from rules.closed_file import read_closed
from rules.errors import RuleErrors


class Part(Closed):
    size: Annotated[int, Field(ge=1)] = 1
    """How large it is."""
    names: tuple[str, ...] = ()


class Whole(Closed):
    title: str
    """What it is called."""
    part: Part = Part()
    parts: tuple[Part, ...] = ()
    sizes: tuple[int, ...] = Field(default=(1,), min_length=1)

    @model_validator(mode="after")
    def _no_giants(self) -> Whole:
        if self.part.size > 100:
            raise refusal([(("part", "size"), "no giants", "take 100")])
        return self


def read(tmp_path, text: str):
    path = tmp_path / "whole.yaml"
    path.write_text(text)
    return read_closed(path, Whole, "the whole")


def faults(tmp_path, text: str) -> list[str]:
    with pytest.raises(RuleErrors) as told:
        read(tmp_path, text)
    return [str(error).replace(f"{tmp_path}/", "") for error in told.value.errors]


def test_a_file_becomes_a_model_that_knows_where_each_part_was_written(tmp_path):
    placed = read(tmp_path, "title: T\npart:\n  size: 3\n  names: [a, b]\n")
    assert (placed.model.part.size, placed.model.part.names) == (3, ("a", "b"))
    where = placed.locate("part", "names", 1)
    assert (where.line, where.column) == (4, 14)
    assert placed.locate("part", "gone").line == 3


def test_faults_stand_at_their_place_with_what_the_key_is_for(tmp_path):
    assert faults(tmp_path, "title: T\nparts: [{size: 0}, {sise: 2}]\n") == [
        "whole.yaml:2:16: `parts.size` should be greater than or equal to 1, not `0`\n  hint: how large it is",
        "whole.yaml:2:21: unknown key `sise` in `parts.1`\n  hint: did you mean `size`?",
    ]
    assert faults(tmp_path, "part: {size: 200}\ntitle: T\n") == ["whole.yaml:1:14: no giants\n  hint: take 100"]
    assert faults(tmp_path, "part: {}\n") == [
        "whole.yaml:1:1: the whole has no `title`\n  hint: add `title:`, what it is called"
    ]


def test_a_list_of_wrong_items_is_not_told_to_be_too_short_as_well(tmp_path):
    (told,) = faults(tmp_path, "title: T\nsizes: [many]\n")
    assert told.startswith("whole.yaml:2:9: `sizes` should be a whole number, not `many`")
    (told,) = faults(tmp_path, "title: T\nsizes: []\n")
    assert "at least 1 item" in told


def test_a_key_without_a_value_is_not_taken_for_null(tmp_path):
    (told,) = faults(tmp_path, "title: T\npart:\n")
    assert told.startswith("whole.yaml:2:6: `part` is empty")


def test_a_list_in_the_place_of_a_map_and_an_empty_file_are_told(tmp_path):
    assert faults(tmp_path, "[1]\n") == ["whole.yaml:1:1: the whole is a map of keys\n  hint: as `title:`"]
    assert "the file is empty" in faults(tmp_path, "\n")[0]
