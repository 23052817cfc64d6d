"""What a rule file may say at its top, and what a rule in it may say beyond `Rule`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator

from rules.schema import Closed, Defaults, NonEmpty, Rule, RuleId, Text


class RuleFile(Closed):
    """The head of a rule file; its `rules` are read one by one."""

    constitution: RuleId
    """Name of this file's set: lower case words joined by hyphens."""

    title: Text | None = None
    """A short name for people; the name of the set where it is left out."""

    extends: tuple[NonEmpty, ...] = ()
    """Packs by name, and files by path from this file, as `./company.yaml`: a list, or one name, as `extends: base`.
    Later ones win, rule by rule."""

    defaults: Defaults = Defaults()
    """What holds for the rules that this file is the first to define, where they do not say."""

    rules: Annotated[tuple[Any, ...], Field(exclude=True)] = ()
    """The rules. One with an id that an extended file has replaces the fields it names."""

    @field_validator("extends", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value


RULE_KEYS = (*Rule.model_fields, "disabled")
"""`disabled: true` drops a rule of an extended file."""
