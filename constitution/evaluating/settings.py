"""Everything a person chooses for an evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from constitution.row import Record
from guard.models.base import Sampling


class Settings(Record):
    """One run of `wardlaw evaluate`."""

    model: str
    """The model under test: any models scheme, or an http address."""
    out: Path
    judge: str | None = None
    criteria: tuple[str, ...] = ("all",)
    data: Path | None = None
    """Folder of labelled sets, as `xstest.jsonl.gz`."""
    prompts: Path | None = None
    """JSONL of prompts that are to draw out broken rules: `prompt` and `rule` in each line."""
    limit: Annotated[int, Field(ge=1)] | None = None
    """Most items a criterion."""
    seed: int = 0
    samples: Annotated[int, Field(ge=2, le=64)] = 4
    """Answers a prompt where a criterion draws several."""
    temperature: Annotated[float, Field(ge=0, le=5)] = 0.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    max_tokens: Annotated[int, Field(ge=1)] = 400
    system: str = ""
    """System message of every question; empty for none."""
    questions: Path | None = None
    """Folder of what judges are asked; None for the questions that ship."""
    encoder: str | None = "default"
    """Of the gate; None leaves meaning out."""
    max_tokens_total: Annotated[int, Field(ge=1)] | None = None
    concurrency: Annotated[int, Field(ge=1, le=4096)] | None = None
    parquet: bool = False
    compare: Path | None = None
    """Folder of an earlier evaluation."""
    anew: bool = False
    """Write the report of a folder anew that was made otherwise."""

    @property
    def target(self) -> str:
        """The model under test as the models know it: an http address is an OpenAI-compatible endpoint."""
        return f"openai:{self.model}" if self.model.startswith(("http://", "https://")) else self.model

    @property
    def drawn(self) -> Sampling:
        """How answers are drawn."""
        return Sampling(self.temperature, self.top_p, self.max_tokens)
