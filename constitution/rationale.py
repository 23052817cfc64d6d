"""The rationale: first-person reasoning that justifies the final answer, written with the rule in sight.

It is not the critique: a critique speaks of an answer from outside, and an assistant that is trained to reason in a
critic's voice talks about drafts that its reader never saw.
"""

from __future__ import annotations

from collections.abc import Sequence

from constitution.templates import Templates
from guard.exchange import Message
from rules.schema import Rule


def rationale_messages(
    templates: Templates, rule: Rule, conversation: Sequence[Message], answer: str, problem: str | None
) -> tuple[Message, ...]:
    """The messages that ask for a rationale.

    Args:
        templates: in the language of the conversation.
        rule: the rule that shaped the answer, or lay nearest where none did.
        conversation: up to the user's last message.
        answer: the final answer.
        problem: what the critic found in the first answer; None where nothing had to change.
    """
    stage = "rationale" if problem is None else "rationale of a change"
    before = templates.prefix(stage, rule, lambda: _shown(templates, harmless=problem is None))
    ask = templates.render(
        "rationale",
        conversation=templates.conversation(conversation),
        answer=answer,
        rule=templates.rule(rule),
        problem=problem,
    )
    return (*before, Message("user", ask))


def _shown(templates: Templates, *, harmless: bool) -> list[Message]:
    """System message and few shots."""
    messages = [Message("system", templates.rationale.system)] if templates.rationale.system else []
    # The shots of the same kind come last, next to the case: small models follow the nearest one.
    shots = sorted(templates.rationales, key=lambda shot: (shot.problem is None) == harmless)
    for shot in shots[-templates.rationale.shots :] if templates.rationale.shots else ():
        ask = templates.render(
            "rationale",
            conversation=templates.conversation(shot.prompt),
            answer=shot.answer,
            rule={"title": shot.title, "rule": shot.rule, "why": shot.why},
            problem=shot.problem,
        )
        messages += [Message("user", ask), Message("assistant", shot.rationale)]
    return messages


def read_rationale(text: str) -> str:
    """The rationale in a reply: without quotation marks or think tags round it, in one paragraph."""
    text = text.strip().removeprefix("<think>").removesuffix("</think>").strip()
    if len(text) > 1 and text[0] == '"' == text[-1]:
        text = text[1:-1]
    return " ".join(text.split()) if "```" not in text else text.strip()
