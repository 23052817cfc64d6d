"""What a rule file may say at its top, and what a rule in it may say beyond `Rule`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from rules.base import refusal
from rules.schema import Closed, Defaults, NonEmpty, Rule, RuleId, Text


class Extended(Closed):
    """What a file builds on: a pack by name, or a file by path from this one. In YAML a bare string takes all of it."""

    pack: NonEmpty
    """Name of a pack that ships with the project, or path of a file, as `./company.yaml`."""

    only: Annotated[tuple[NonEmpty, ...], Field(min_length=1)] | None = None
    """The rules to take; all of them where this is left out."""

    @model_validator(mode="before")
    @classmethod
    def _from_a_name(cls, value: Any) -> Any:
        return {"pack": value} if isinstance(value, str) else value

    @field_validator("only", mode="before")
    @classmethod
    def _left_out_or_named(cls, value: Any) -> Any:
        if value is None:  # a default is not validated: somebody wrote the key, and no rule after it
            raise refusal([((), "`only` names no rule", "name the rules to take, as `only: [defamation]`")])
        return value


class RuleFile(Closed):
    """The head of a rule file; its `rules` are read one by one."""

    constitution: RuleId
    """Name of this file's set: lower case words joined by hyphens."""

    title: Text | None = None
    """A short name for people; the name of the set where it is left out."""

    extends: tuple[Extended, ...] = ()
    """Packs by name, and files by path from this file, as `./company.yaml`: a list, or one name, as `extends: base`.
    Later ones win, rule by rule. `{pack: base, only: [defamation]}` takes some of the rules alone."""

    defaults: Defaults = Defaults()
    """What holds for the rules that this file is the first to define, where they do not say."""

    rules: Annotated[tuple[Any, ...], Field(exclude=True)] = ()
    """The rules. One with an id that an extended file has replaces the fields it names."""

    @field_validator("extends", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, str | dict) else value


RULE_KEYS = (*Rule.model_fields, "disabled")
"""`disabled: true` drops a rule of an extended file."""
