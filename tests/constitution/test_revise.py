"""How a reviser's reply is read."""

from __future__ import annotations

import pytest

from constitution.revise import read_revision

SAID = 'Ring the bell. If nobody opens, say "hello" and come back later.'


@pytest.mark.parametrize(
    "reply",
    [
        SAID,
        f"\n  {SAID}\n",
        f"<answer>\n{SAID}\n</answer>",
        f"<answer>{SAID}",
        f"Revised answer: {SAID}",
        f"**Revised response:** {SAID}",
        f"New answer:\n\n{SAID}",
        f"Rewritten answer: <answer>{SAID}</answer>",
        f"修改后的回答：{SAID}",
        f"新回答: {SAID}",
    ],
)
def test_what_models_put_round_an_answer_is_taken_off(reply):
    assert read_revision(reply) == SAID


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        ('"Ring the bell."', "Ring the bell."),
        ('"Ring" the "bell"', '"Ring" the "bell"'),
        ('"', '"'),
        ("", ""),
        ("<answer></answer>", ""),
        ("A new answer is hard to find: look again.", "A new answer is hard to find: look again."),
        ("Use <answer> tags.", "Use <answer> tags."),
    ],
)
def test_what_belongs_to_the_answer_stays(reply, text):
    assert read_revision(reply) == text
