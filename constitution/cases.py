"""A case put to a critic or reviser: system message, few shots of the rule, then the conversation and its answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from constitution.spoken import fenced
from constitution.templates import Templates
from guard.exchange import Message
from rules.schema import Critique, Demonstration, Rule


def case(
    templates: Templates,
    stage: Literal["critique", "revision"],
    rule: Rule,
    conversation: Sequence[Message],
    answer: str,
    say: Callable[[Demonstration], str],
    *,
    critique: Critique | None = None,
    breaking: bool = False,
) -> tuple[Message, ...]:
    """The messages that put a case.

    Args:
        templates: in the language of the conversation.
        stage: which of the templates.
        rule: the rule in sight.
        conversation: up to the user's last message.
        answer: the answer as it stands.
        say: what the model says in a shot.
        critique: what the critic said of the answer, for the reviser.
        breaking: show only shots that have a revision.
    """
    count = getattr(templates, stage).shots
    before = templates.prefix(stage, rule, lambda: _shown(templates, stage, rule, count, say, breaking))
    ask = templates.render(
        stage,
        conversation=templates.conversation(conversation),
        answer=fenced(answer),
        rule=templates.rule(rule),
        critique=critique,
        again=templates.ends_with_own_shot(rule, count, breaking=breaking),
    )
    return (*before, Message("user", ask))


def _shown(
    templates: Templates, stage: str, rule: Rule, count: int, say: Callable[[Demonstration], str], breaking: bool
) -> list[Message]:
    """System message and few shots: the same for every case of the rule."""
    system = getattr(templates, stage).system
    messages = [Message("system", system)] if system else []
    said = None
    for shot, seen in templates.shots(rule, count, breaking=breaking):
        prompt = shot.prompt if isinstance(shot.prompt, str) else [Message(t.role, t.content) for t in shot.prompt]
        ask = templates.render(
            stage,
            conversation=templates.conversation(prompt),
            answer=shot.answer,
            rule=seen,
            critique=shot.critique,
            again=seen["rule"] == said,
        )
        said = seen["rule"]
        messages += [Message("user", ask), Message("assistant", say(shot))]
    return messages
