"""The revision: what a reviser is asked, and how its reply is read."""

from __future__ import annotations

import re
from collections.abc import Sequence

from constitution.cases import case
from constitution.templates import Templates
from guard.exchange import Message
from rules.schema import Critique, Demonstration, Rule

_WRAPPED = re.compile(r"^\s*<answer>\s*(.*?)\s*(?:</answer>\s*)?$", re.DOTALL)
_LABEL = re.compile(
    r"^\s*(?:\*\*)?(?:(?:revised|new|rewritten) (?:answer|response)|(?:修改|改写)后的(?:回答|答复)|新的?回答)"
    r"(?:\*\*)?\s*[:：]\s*(?:\*\*)?\s*",
    re.IGNORECASE,
)


def revision_messages(
    templates: Templates, rule: Rule, conversation: Sequence[Message], answer: str, critique: Critique
) -> tuple[Message, ...]:
    """The messages that ask for a revision: system, few shots, then the case."""
    return case(templates, "revision", rule, conversation, answer, _revision_of, critique=critique, breaking=True)


def _revision_of(shot: Demonstration) -> str:
    return shot.revision or shot.answer


def read_revision(text: str) -> str:
    """The new answer in a reviser's reply: without the tags, label or quotation marks that models put round it."""
    text = _LABEL.sub("", text.strip(), count=1)
    wrapped = _WRAPPED.match(text)
    if wrapped:
        text = wrapped.group(1)
    text = text.strip()
    if len(text) > 1 and text[0] == '"' == text[-1] and text.count('"') == 2:
        text = text[1:-1].strip()
    return text
