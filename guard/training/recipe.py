"""What heads are made from: which source counts how much, and which of its categories mean which rules."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from guard.training.rows import LabelError

RECIPES = Path(__file__).parent / "recipes"


class Source(BaseModel):
    """One labelled file, by its name without endings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    origin: str = ""
    """Where the data come from."""
    licence: str = ""
    weight: float = Field(default=1.0, gt=0)
    """What one of its rows counts, beside a row of the twin bank."""
    harmful: int | None = Field(default=None, ge=0)
    """At most so many harmful rows, drawn by the seed."""
    safe: int | None = Field(default=None, ge=0)
    """At most so many safe rows."""
    prompts_too: bool = False
    """Whether the prompts of its answers are rows as well: for sources without any harm."""
    categories: dict[str, tuple[str, ...]] = {}
    """Its category -> rules that a harmful row of it may break; `*` for all others. Left out: any rule."""


class Recipe(BaseModel):
    """The sources of heads, and how long they are taught."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sources: dict[str, Source] = {}
    only_named: bool = True
    """Whether labelled files that the recipe does not name are left out."""
    prompts: float = Field(default=3.0, gt=0)
    """Passes over the prompts."""

    @classmethod
    def load(cls, path: Path) -> Self:
        """A recipe from YAML.

        Raises:
            LabelError: it cannot be read, or has unknown keys.
        """
        try:
            return cls.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise LabelError(f"recipe `{path}` cannot be read: {error}", "give a YAML file with `sources`") from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise LabelError(f"recipe `{path}`: `{where}`: {first['msg']}", "see guard/training/recipes") from error

    def source(self, name: str) -> Source | None:
        """How to take a source; None where it is to be left out."""
        return self.sources.get(name) or (None if self.only_named else Source())
