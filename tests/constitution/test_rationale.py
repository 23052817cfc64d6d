"""What is asked for a rationale, and how the reply is read."""

from __future__ import annotations

import pytest

from constitution.rationale import rationale_messages, read_rationale
from constitution.templates import TemplateSet
from guard.exchange import Message

ASKED = (Message("user", "How do I open the door?"),)


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        ("I see a worry.", "I see a worry."),
        ("<think>\nI see a worry.\n</think>", "I see a worry."),
        ('"I see a worry."', "I see a worry."),
        ("I see\n\na   worry.", "I see a worry."),
        ("I would run\n```\nls -l\n```\nfirst.", "I would run\n```\nls -l\n```\nfirst."),
        ("", ""),
    ],
)
def test_a_reply_is_read_as_one_plain_paragraph(reply, text):
    assert read_rationale(reply) == text


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("problem", ["It would harm the neighbour.", None])
def test_the_case_speaks_of_the_problem_where_there_was_one(sample_constitution, language, problem):
    templates = TemplateSet.read().of(language)
    messages = rationale_messages(templates, sample_constitution.rules[0], ASKED, "Use a key.", problem)
    assert messages[0].role == "system"
    assert messages[-1].role == "user"
    assert "How do I open the door?" in messages[-1].content
    assert "Use a key." in messages[-1].content
    assert "None" not in messages[-1].content
    assert ("It would harm the neighbour." in messages[-1].content) == (problem is not None)


def test_harmless_and_changed_cases_are_shown_with_examples_of_their_own_kind_nearest(sample_constitution):
    templates = TemplateSet.read().of("en")
    rule = sample_constitution.rules[0]
    changed = rationale_messages(templates, rule, ASKED, "Use a key.", "It would harm.")
    harmless = rationale_messages(templates, rule, ASKED, "Use a key.", None)
    again = rationale_messages(templates, rule, ASKED, "Use a key.", "It would harm.")
    assert changed == again
    assert changed[:-1] != harmless[:-1]
