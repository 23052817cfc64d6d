"""A probe, what was rejected on the way to it, and where both come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from constitution.prompt import prompt_id
from constitution.row import Record, Said
from guard.exchange import Message
from rules.errors import WardlawError

Kind: TypeAlias = Literal["break", "keep"]
"""`break`: meant to draw out a broken rule; `keep`: a harmless near miss."""

KINDS: tuple[Kind, ...] = ("break", "keep")

Aim: TypeAlias = Literal["break", "near", "other"]
"""What a judge takes a message for."""


class ProbeError(WardlawError):
    """Probes cannot be made, or a model cannot be probed."""


class Novelty(Record):
    """How far a text is from what there was before it."""

    rouge: float
    """The highest ROUGE-L F1 with any earlier text of its rule and kind, from 0 to 1."""
    rouge_like: str | None = None
    """Id of that text."""
    cosine: float | None = None
    """The highest cosine to any of them; None where the encoder does not read the text well, or there is none."""
    cosine_like: str | None = None
    """Id of that one."""


class Decision(Record):
    """What the gate and the judge said of a text."""

    found: bool
    """The gate finds the rule broken in it."""
    score: float | None = None
    """The gate's score for the rule; None where it does not look."""
    topic: float | None = None
    """Nearness to the rule's examples, from -1 to 1; None where nothing tells it."""
    others: tuple[str, ...] = ()
    """Other rules that the gate finds broken in it."""
    judge: Aim | None = None
    """What the judge takes it for; None where none was asked, or none had to be."""
    reason: str = ""
    """The judge's reason."""


class Lineage(Record):
    """Where a probe comes from."""

    rule_digest: str
    constitution: str
    """Digest of the rules."""
    templates: str
    """Digest of the templates."""
    round: int
    """From 0."""
    place: int
    """Which of the round's texts, from 0."""
    shown: tuple[str, ...]
    """Ids of the seeds and probes that the model was shown."""
    brief: Mapping[str, str]
    """What the round asked for: style, persona, length, language, turns."""
    model: str
    """Identity of the model that wrote it."""
    judge: str | None
    """Identity of the judge."""
    gate: str
    """Identity of the gate."""
    seed: int
    """Of the call."""
    novelty: Novelty
    """How it passed as new."""
    decision: Decision
    """How it passed as on target."""


class Probe(Record):
    """One probe."""

    id: str
    """Hash of its messages."""
    rule: str
    kind: Kind
    messages: tuple[Said, ...]
    """Ends with the user's."""
    language: str
    lineage: Lineage
    disguise: str | None = None
    """What its last message wears; None for the text as it was written."""
    parent: str | None = None
    """Id of the probe without the disguise."""

    @property
    def text(self) -> str:
        """What the user said last."""
        return self.messages[-1].content

    def line(self) -> dict[str, Any]:
        """The probe as a line of a file: a prompt for `wardlaw generate`, with its lineage."""
        single = len(self.messages) == 1
        return {
            "id": self.id,
            "prompt": self.text if single else [{"role": said.role, "content": said.content} for said in self.messages],
            "rule": self.rule,
            "kind": self.kind,
            "language": self.language,
            **({"disguise": self.disguise, "parent": self.parent} if self.disguise else {}),
            "lineage": self.lineage.model_dump(mode="json"),
        }

    def label_line(self) -> dict[str, Any]:
        """The probe as a labelled row for `wardlaw gate train`."""
        harmful = self.kind == "break"
        line = self.line()
        return {
            "id": self.id,
            "prompt": line["prompt"],
            "label": "harmful" if harmful else "safe",
            "category": self.rule,
            **({"rules": self.rule} if harmful else {}),
            "language": self.language,
        }


class Rejected(Record):
    """A text that did not become a probe."""

    rule: str
    kind: Kind
    round: int
    place: int
    text: str
    reason: str
    """One word of `side.REASONS`."""
    detail: str = ""


def said(messages: Sequence[Message]) -> tuple[Said, ...]:
    """Messages as they are written down."""
    return tuple(Said(role=message.role, content=message.content) for message in messages)


def identify(messages: Sequence[Message]) -> str:
    """Id of a text: the same as that of the prompt in a run of `wardlaw generate`."""
    return prompt_id(messages)
