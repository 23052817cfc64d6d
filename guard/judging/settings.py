"""What a person may set about asking a model. The defaults are for a judge on one's own machine."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from rules.schema import Closed


class AskLimits(Closed):
    """Bounds on what is asked of one model."""

    deadline_s: float = Field(default=10.0, gt=0)
    """Seconds one ask may take, the wait for its turn included. What takes longer counts as not answered."""

    concurrency: int = Field(default=8, ge=1)
    """Asks at once."""

    asks_per_minute: int | None = Field(default=None, ge=1)
    """Asks in a minute; as many may be made at once after a quiet minute. None: no limit."""

    tokens_per_day: int | None = Field(default=None, ge=1)
    """Tokens, read and written, from one midnight UTC to the next. None: no limit."""

    failures: int = Field(default=5, ge=1)
    """Failures in a row after which the model is left alone for a while."""

    rest_s: float = Field(default=30.0, gt=0)
    """Seconds it is left alone; then one ask tries it."""

    remembered: int = Field(default=8192, ge=0)
    """Answers kept, so that the same question is asked once. 0: none."""

    window: int = Field(default=12_000, ge=200)
    """Characters of the judged text in one ask; a longer text is asked about in overlapping pieces."""

    most_windows: int = Field(default=6, ge=1)
    """Pieces of one text that are asked about. A longer text fails, so that it cannot empty the budget."""

    context: int = Field(default=4000, ge=0)
    """Characters of the turns before it that go along; the oldest are left out first."""


class JudgeSettings(AskLimits):
    """How the judge works."""

    mode: Literal["quote", "logprobs"] = "quote"
    """`quote`: it gives reason, quote and verdict as JSON. `logprobs`: it answers in one word, and the score is how
    likely it would have said yes; quicker, and for models and servers that give log-probabilities."""

    threshold: float = Field(default=0.5, gt=0, le=1)
    """The score from which an answer is a finding. In the mode `quote` scores are 0 or 1."""

    shots: int = Field(default=2, ge=0, le=8)
    """Examples of the rule shown to the judge, of those that break it and of those that keep it, each."""

    max_tokens: int = Field(default=512, ge=16)
    """Tokens of one answer in the mode `quote`, a reasoning model's thoughts included."""
