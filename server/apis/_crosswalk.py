"""The table from rules and hazards to OpenAI's moderation categories."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import yaml

from rules.base import Closed
from rules.schema import Rule


class Crosswalk(Closed):
    """What `moderation_categories.yaml` says."""

    categories: tuple[str, ...]
    """OpenAI's, in its order."""
    rules: Mapping[str, tuple[str, ...]]
    """Rule id -> categories."""
    hazards: Mapping[str, tuple[str, ...]]
    """Hazard -> categories."""

    def counts_for(self, rule: Rule) -> tuple[str, ...]:
        """The categories that a break of a rule counts for: OpenAI's, then the rule's own hazards; `rule:ID` where it
        has neither, since what is flagged must show in some category."""
        known = self.rules.get(rule.id)
        if known is None:
            known = tuple(name for hazard in rule.hazards for name in self.hazards.get(hazard, ()))
        return tuple(dict.fromkeys([*known, *rule.hazards])) or (f"rule:{rule.id}",)


@cache
def read_crosswalk() -> Crosswalk:
    """The table, read once a process."""
    path = Path(__file__).with_name("moderation_categories.yaml")
    return Crosswalk.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
