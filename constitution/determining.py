"""What determines the rows of a run, said once models and gate are open."""

from __future__ import annotations

from collections.abc import Mapping

from constitution.choice import default_rounds
from constitution.loop import LoopSettings
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
        rounds=default_rounds(settings.choice, len(constitution.rules)) if settings.rounds is None else settings.rounds,
        choice=settings.choice.value,
        samples=settings.samples,
        min_helpful=settings.min_helpful,
        seed=settings.seed,
    )


def loop_settings(settings: Settings, run: Determined) -> LoopSettings:
    """How the loop goes round, by what was asked for and what that came to."""
    return LoopSettings(
        rounds=run.rounds,
        choice=settings.choice,
        samples=settings.samples,
        min_helpful=settings.min_helpful,
        seed=settings.seed,
    )
