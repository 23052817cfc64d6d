"""Everything a run of `generate` can be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from constitution.choice import Choice
from constitution.output import Output
from constitution.row import ROLES, ModelRole
from constitution.templates import PROMPTS
from guard.models.base import Sampling
from rules.schema import Closed

SAMPLING: Mapping[ModelRole, Sampling] = {
    # Bai et al. 2022 draw at T = 1 with nothing cut off; small models fall apart there, so the tail is cut.
    "answerer": Sampling(temperature=0.8, top_p=0.9, max_tokens=400),
    # A critic that is asked for exact quotes does better near the mode.
    "critic": Sampling(temperature=0.2, top_p=0.9, max_tokens=300),
    "reviser": Sampling(temperature=0.7, top_p=0.9, max_tokens=500),
    "judge": Sampling(temperature=0.0, max_tokens=200),
}
"""How each role's answers are drawn, where settings do not say otherwise."""


class Drawn(Closed):
    """What a run says of how a role's answers are drawn; None where `SAMPLING` holds."""

    temperature: float | None = Field(default=None, ge=0, le=5, allow_inf_nan=False)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1, le=1_000_000)


class Settings(Closed):
    """Everything a run can be told."""

    prompts: tuple[str, ...] = Field(min_length=1)
    """Files of prompts, `-` for standard input, or `hf:ID`."""

    out: Path
    """The output folder."""

    rules: tuple[str, ...] = ()
    """Where the rules were read from: packs and files. A run is given the rules themselves; this is written down."""

    models: Mapping[ModelRole, str]
    """Role -> name of the model. `judge` may be left out."""

    rounds: int | None = Field(default=None, ge=1, le=1000)
    """Most rounds; by default 2, 3 where the nearest rules are asked, or as many as there are where all are in turn."""

    choice: Choice = Choice.EVIDENCE
    """How the rule of a round is chosen."""

    samples: int = Field(default=1, ge=1, le=64)
    """Revisions drawn a round; the best that passes is kept."""

    min_helpful: int | None = Field(default=None, ge=1, le=5)
    """The judge's grade of helpfulness below which a final answer is rejected; needs a judge."""

    seed: int = 0
    """All randomness of a run comes from it."""

    sampling: Mapping[ModelRole, Drawn] = {}
    """Role -> what differs from `SAMPLING`."""

    encoder: str | None = "default"
    """The gate's encoder; None leaves the meaning detector out."""

    templates: Path = PROMPTS
    """Folder of the loop's templates."""

    column: str | None = None
    """Column of the prompt files in which the prompt stands."""

    template: str | None = None
    """Jinja template that makes a prompt of a file's columns."""

    benign: tuple[str, ...] = ()
    """Files of harmless prompts to mix in."""

    benign_share: float = Field(default=0.3, ge=0, lt=1)
    """Of all prompts, the part that is harmless, where `benign` names files."""

    limit: int | None = Field(default=None, ge=1)
    """Most prompts to take from the input."""

    max_tokens_total: int | None = Field(default=None, ge=1)
    """Most tokens, in and out, that the folder may cost in its whole life."""

    concurrency: int | None = Field(default=None, ge=1, le=4096)
    """Rows at work at once; by default 64, or 8 where every model is a local one."""

    skip_bad: bool = False
    """Pass over lines that hold no prompt, and count them."""

    mixed: bool = False
    """Go on in a folder whose rows were made otherwise."""

    formats: tuple[str, ...] = ()
    """What to write; everything by default."""

    parquet: bool = False
    """Parquet files instead of JSON lines."""

    reasoning: Literal["reasoning_content", "thinking", "think", "none"] = "reasoning_content"
    """Where the rationale stands in the files."""

    preference_reasoning: bool = False
    """Whether `preference` and `kto` carry the rationale too."""

    sft: Literal["completion", "messages"] = "completion"
    """Form of the `sft` file."""

    licence: str = "other"
    """Licence of the data, for its card."""

    @model_validator(mode="after")
    def _models_there(self) -> Settings:
        missing = [role for role in ROLES[:3] if role not in self.models]
        if missing:
            raise ValueError(f"no model for {', '.join(missing)}")
        if self.min_helpful is not None and "judge" not in self.models:
            raise ValueError("min_helpful needs a judge: name one")
        return self

    @property
    def output(self) -> dict[str, object]:
        """What was said of the files; the rest is as it was chosen for the folder before."""
        return self.model_dump(include=set(Output.model_fields), exclude_unset=True)

    def drawn(self, role: ModelRole) -> Sampling:
        """How this role's answers are drawn."""
        own = self.sampling.get(role, Drawn()).model_dump(exclude_none=True)
        return replace(SAMPLING[role], **own)
