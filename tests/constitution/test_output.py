"""What was chosen for the files of a folder is kept, and what is given now goes before it."""

from __future__ import annotations

import pytest

from constitution.output import OUTPUT_FILE, Output, keep_output, read_output
from constitution.run import RunError


def test_what_is_given_goes_before_what_was_chosen_and_that_before_the_default(tmp_path):
    assert read_output(tmp_path) == Output()
    keep_output(tmp_path, Output(licence="mit", reasoning="think", preference_reasoning=True))
    now = read_output(tmp_path, {"reasoning": "none"})
    assert now == Output(licence="mit", reasoning="none", preference_reasoning=True)
    assert read_output(tmp_path).reasoning == "think", "reading keeps nothing"


@pytest.mark.parametrize("text", ["", "[]", '{"sft": "sideways"}', '{"unknown": 1}'])
def test_a_damaged_file_is_said_to_be_one(tmp_path, text):
    (tmp_path / OUTPUT_FILE).write_text(text)
    with pytest.raises(RunError, match=r"output\.json` is damaged"):
        read_output(tmp_path)


def test_a_choice_that_is_none_is_named(tmp_path):
    with pytest.raises(RunError, match="`sft`"):
        read_output(tmp_path, {"sft": "sideways"})
