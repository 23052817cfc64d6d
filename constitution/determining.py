"""What determines the rows of a run, said once models and gate are open."""

from __future__ import annotations

from collections.abc import Mapping

from constitution.choice import Choice
from constitution.row import ROLES, ModelRole
from constitution.run import Determined
from constitution.settings import Settings
from constitution.templates import TemplateSet
from guard.gate import Gate
from guard.models.base import ChatModel
from rules.digest import constitution_digest, rule_digest
from rules.schema import Constitution


def determined(
    settings: Settings,
    constitution: Constitution,
    templates: TemplateSet,
    models: Mapping[ModelRole, ChatModel],
    gate: Gate,
) -> Determined:
    """All that determines the rows, beside the prompts."""
    turns = len(constitution.rules) if settings.choice is Choice.TURN else 2
    return Determined(
        constitution=constitution_digest(constitution),
        constitution_name=constitution.name,
        rules={rule.id: rule_digest(rule) for rule in constitution},
        templates=templates.digest,
        gate=gate.identity,
        models={role: model.identity for role, model in models.items()},
        sampling={
            role: {"temperature": drawn.temperature, "top_p": drawn.top_p, "max_tokens": drawn.max_tokens}
            for role, drawn in ((role, settings.drawn(role)) for role in ROLES if role in models)
        },
        rounds=turns if settings.rounds is None else settings.rounds,
        choice=settings.choice.value,
        samples=settings.samples,
        seed=settings.seed,
    )
