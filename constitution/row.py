"""The one canonical row: what the loop made of one prompt, and all that shaped it. Formats are projections of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict

from rules.schema import Critique

ModelRole = Literal["answerer", "critic", "reviser", "judge"]
"""The parts that models play in the loop."""

ROLES: tuple[ModelRole, ...] = get_args(ModelRole)
"""All of them, in the order in which they speak; every run needs the first three."""

Stage = Literal["answer", "critique", "revision", "rationale", "checks", "duplicates"]
"""Where a row is, or where it was given up."""


class Record(BaseModel):
    """Base of what is written down: frozen and closed."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Said(Record):
    """One message of a prompt or of the final conversation."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    reasoning: str | None = None
    """The rationale, on the last assistant message of an accepted row; apart from what is said."""


class Tokens(Record):
    """Tokens that went in and came out."""

    prompt: int = 0
    completion: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(prompt=self.prompt + other.prompt, completion=self.completion + other.completion)


class Candidate(Record):
    """One revision drawn with `--samples`."""

    text: str
    score: float | None
    """The gate's highest score for it, from 0 to 1; None where no gate looked."""
    failed: str | None = None
    """Reason of the first check it failed; None where it passed all."""


class Round(Record):
    """One round of rule -> critique -> revision."""

    rule: str
    """Id of the rule."""
    rule_digest: str
    chosen: Literal["evidence", "nearest", "random", "turn"]
    """How the rule came up."""
    critique: Critique
    """What the critic said of the answer as it stood: quotes, problem, verdict."""
    revision: str | None
    """The new answer; None where the answer stands: the critic saw no violation, or no revision was worth taking."""
    candidates: tuple[Candidate, ...] = ()
    """All revisions drawn, where `--samples` asked for several or none was worth taking."""
    score_before: float | None = None
    """The gate's highest score of the answer before this round, from 0 to 1."""
    score_after: float | None = None
    """The same after it."""


class Rejection(Record):
    """Why a row was not accepted."""

    stage: Stage
    """Where it was given up."""
    reason: str
    """One word to group by, as `still_broken`, `evasive`, `quote_not_found`."""
    detail: str = ""
    """A sentence for a person."""


class Source(Record):
    """Where a prompt came from."""

    file: str
    """Name of the file or data set, as given."""
    line: int
    """Its line or row there, from 1."""
    id: str | None = None
    """The id it had there, if any."""
    category: str | None = None
    """The category it had there, if any."""


class Call(Record):
    """What one model call cost."""

    role: ModelRole
    stage: str
    tokens: Tokens
    ms: float
    """Wall time of the call, milliseconds; 0 where it was taken from an earlier run."""


class Row(Record):
    """What the loop made of one prompt."""

    id: str
    """Hash of the prompt: the same prompt has the same id in every run."""
    source: Source
    benign: bool
    """Whether the prompt was mixed in as a harmless one."""
    language: str
    """Language tag of the prompt: `en` or `zh` choose the templates."""
    prompt: tuple[Said, ...]
    """The conversation up to the user's last message."""
    answer: str | None
    """The first answer; None where the row ended before there was one."""
    rounds: tuple[Round, ...] = ()
    rationale: str | None = None
    """First-person reasoning that justifies the final answer by the rule; in a rejected row perhaps a faulty one."""
    final: str | None = None
    """The final answer; equals `answer` where nothing had to change. None in rows that ended before."""
    status: Literal["accepted", "rejected"]
    rejection: Rejection | None = None
    score_prompt: float | None = None
    """The gate's highest score of the prompt, from 0 to 1."""
    score_answer: float | None = None
    """The same of the first answer, judged with its prompt."""
    score_final: float | None = None
    """The same of the final answer."""
    judged: Mapping[str, bool | int | str] = {}
    """What the judge said of the final answer, where there was one."""
    constitution: str
    """Digest of the constitution."""
    templates: str
    """Digest of the loop's templates."""
    models: Mapping[str, str]
    """Role -> identity of the model."""
    seed: int
    """The row's own seed, derived from the run's seed and the id."""
    sampling: Mapping[str, Mapping[str, float | int]]
    """Role -> temperature, top_p, max_tokens."""
    calls: tuple[Call, ...] = ()
    started: float
    """Unix time, seconds."""
    finished: float

    @property
    def tokens(self) -> Tokens:
        """Tokens of all calls."""
        total = Tokens()
        for call in self.calls:
            total += call.tokens
        return total

    @property
    def changed(self) -> bool:
        """Whether any round revised the answer."""
        return any(round_.revision is not None for round_ in self.rounds)

    @property
    def shaped_by(self) -> tuple[str, ...]:
        """Ids of the rules whose revision changed the answer, in order, each once."""
        return tuple(dict.fromkeys(round_.rule for round_ in self.rounds if round_.revision is not None))

    @property
    def messages(self) -> tuple[Said, ...]:
        """The final conversation: prompt, then the final answer with the rationale as its reasoning.

        Raises:
            ValueError: the row has no final answer.
        """
        if self.final is None:
            raise ValueError(f"row {self.id} has no final answer")
        return (*self.prompt, Said(role="assistant", content=self.final, reasoning=self.rationale))
