"""The revision: what a reviser is asked, and how its reply is read."""

from __future__ import annotations

import re
from collections.abc import Sequence

from constitution.templates import Templates
from guard.exchange import Message
from rules.schema import Critique, Rule

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
    before = templates.prefix("revision", rule, lambda: _shown(templates, rule))
    seen = templates.rule(rule)
    ask = templates.render(
        "revision",
        conversation=templates.conversation(conversation),
        answer=answer,
        rule=seen,
        critique=critique,
        again=templates.ends_with_own_shot(rule, templates.revision.shots, breaking=True),
    )
    return (*before, Message("user", ask))


def _shown(templates: Templates, rule: Rule) -> list[Message]:
    """System message and few shots."""
    messages = [Message("system", templates.revision.system)] if templates.revision.system else []
    said = None
    for shot, seen in templates.shots(rule, templates.revision.shots, breaking=True):
        prompt = shot.prompt if isinstance(shot.prompt, str) else [Message(t.role, t.content) for t in shot.prompt]
        ask = templates.render(
            "revision",
            conversation=templates.conversation(prompt),
            answer=shot.answer,
            rule=seen,
            critique=shot.critique,
            again=seen["rule"] == said,
        )
        said = seen["rule"]
        messages += [Message("user", ask), Message("assistant", shot.revision or shot.answer)]
    return messages


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
