"""Everything a person chooses for a comparison."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from constitution.preference.labels import Join
from constitution.preference.sources import Of
from constitution.preference.templates import PROMPTS
from constitution.row import ModelRole, Record
from guard.models.base import Sampling

Form = Literal["pairwise", "pointwise"]
"""Both answers in one question, in both orders; or each graded alone under the rule's text."""

CLAMP = (0.4, 0.6)
"""Bai et al. 2022 keep labels that follow reasons between these: after reasons, models are too sure of themselves."""


class Settings(Record):
    """One run of `wardlaw prefer`."""

    sources: tuple[str, ...]
    """Files of answers or prompts, and folders of `wardlaw generate`."""
    out: Path
    models: dict[ModelRole, str]
    """`judge`, and `answerer` where answers are drawn."""
    of: Of = "revision"
    """What of a row is compared."""
    column: str | None = None
    samples: Annotated[int, Field(ge=2, le=16)] | None = None
    """Answers drawn a prompt; None where they are given."""
    temperature: Annotated[float, Field(ge=0, le=5)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.95
    max_tokens: Annotated[int, Field(ge=1)] = 400
    """Of a drawn answer."""
    form: Form = "pairwise"
    principles: Annotated[int, Field(ge=1)] = 1
    """Principles a pair; in the form `pointwise` a prompt."""
    cot: bool = False
    """Reasons first."""
    cot_tokens: Annotated[int, Field(ge=16)] = 300
    clamp: tuple[float, float] | None = None
    """Bounds of a principle's label; None for `CLAMP` with `cot`, and for no bounds without."""
    votes: Annotated[int, Field(ge=2, le=256)] = 8
    """Times a model without log-probabilities is asked an order."""
    join: Join = "mean"
    scale: Annotated[float, Field(gt=0, le=1000)] = 1.0
    """By what the log-odds of each principle's label are multiplied."""
    min_margin: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """A pair whose probabilities lie nearer together is left out."""
    templates: Path = PROMPTS
    seed: int = 0
    limit: Annotated[int, Field(ge=1)] | None = None
    max_tokens_total: Annotated[int, Field(ge=1)] | None = None
    concurrency: Annotated[int, Field(ge=1)] | None = None
    skip_bad: bool = False
    parquet: bool = False
    licence: str = "other"

    @model_validator(mode="after")
    def _bounds_hold_a_half(self) -> Self:
        if self.clamp is not None and not 0 <= self.clamp[0] <= 0.5 <= self.clamp[1] <= 1:
            # bounds on one side of a half would decide every pair
            raise ValueError("a lower bound from 0 to 0.5 and an upper one from 0.5 to 1 are needed")
        return self

    @property
    def bounds(self) -> tuple[float, float]:
        """The bounds in force."""
        if self.clamp is not None:
            return self.clamp
        return CLAMP if self.cot else (0.0, 1.0)

    @property
    def drawn(self) -> Sampling:
        """How answers are drawn."""
        return Sampling(self.temperature, self.top_p, self.max_tokens)
