"""One find: a text that passed and should not have, or a harmless one that was stopped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from guard.exchange import Exchange, Message, Role
from rules.actions import Severity
from rules.base import Closed, RuleId

Kind: TypeAlias = Literal["break", "false-alarm"]
KINDS: tuple[Kind, ...] = get_args(Kind)

Source: TypeAlias = Literal["person", "audit", "probe", "evaluation", "other"]
SOURCES: tuple[Source, ...] = get_args(Source)

How: TypeAlias = Literal["text", "ask"]
HOWS: tuple[How, ...] = get_args(How)

_ID = r"^rt_[0-9a-f]{16}$"
FindId = Annotated[str, StringConstraints(pattern=_ID)]


class Said(Closed):
    """One turn of a conversation."""

    role: Role
    content: str


class Lineage(Closed):
    """Where a find comes from, by the names that the project gives such things."""

    decision: str | None = None
    """Id of the audit's decision."""
    feedback: str | None = None
    """What the audit's feedback said."""
    probe: str | None = None
    """Id of the probe."""
    file: str | None = None
    """`file:line` that it was imported from."""
    constitution: str | None = None
    """Digest of the rules that were in force."""


class Find(Closed):
    """What was found, as it was found; nothing of it is ever rewritten."""

    id: FindId
    """Made of kind, conversation and answer: the same find has the same id on every branch."""
    kind: Kind
    """`break`: it broke a rule and passed. `false-alarm`: it is harmless and was stopped."""
    messages: Annotated[tuple[Said, ...], Field(min_length=1)]
    """The conversation up to the answer."""
    response: str | None = None
    """The answer that is under judgement; without one, it is the last message."""
    by: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    """Who or what found it."""
    source: Source
    found: AwareDatetime
    """When."""
    model: str | None = None
    """Whose answer it is, or which model was asked."""
    rules: tuple[RuleId, ...] = ()
    """The rules that it breaks, or that were taken to be broken."""
    why: str = ""
    """Why it is a break or a false alarm, in a person's words."""
    severity: Severity = Severity.MEDIUM
    status: Literal["open", "accepted"] = "open"
    """What it was entered as; events say what became of it."""
    lineage: Lineage = Lineage()
    how: How = "text"
    """How it is reproduced. `text`: the text is given to the gate as it stands. `ask`: the model is asked anew, and its
    answer is judged."""
    steps: str = ""
    """What else somebody needs to reproduce it: sampling, a system prompt's place, tools."""

    @model_validator(mode="after")
    def _has_its_id(self) -> Find:
        if self.id != find_id(self.kind, self.messages, self.response):
            raise ValueError("the id is not that of this kind, conversation and answer")
        return self

    @property
    def exchange(self) -> Exchange:
        """What is under judgement, with what came before."""
        turns = tuple(Message(turn.role, turn.content) for turn in self.messages)
        return Exchange.of(turns, self.response)

    @property
    def asked(self) -> tuple[Message, ...]:
        """What a model is asked to reproduce it."""
        return tuple(Message(turn.role, turn.content) for turn in self.messages)

    @property
    def text(self) -> str:
        """The text under judgement."""
        return self.messages[-1].content if self.response is None else self.response


def find_id(kind: Kind, messages: Iterable[Said], response: str | None) -> str:
    """The id of a find of this kind, conversation and answer."""
    told = json.dumps([kind, [[turn.role, turn.content] for turn in messages], response])
    return f"rt_{hashlib.blake2b(told.encode(), digest_size=8).hexdigest()}"


def make_find(kind: Kind, messages: Iterable[Message], response: str | None, *, found: datetime, **rest: Any) -> Find:
    """A find with its id.

    Args:
        kind: of the find.
        messages: the conversation up to the answer.
        response: the answer under judgement.
        found: when, with its zone.
        rest: other fields of `Find`.

    Raises:
        pydantic.ValidationError: a field is of another form.
    """
    turns = tuple(Said(role=message.role, content=clean(message.content)) for message in messages)
    answer = None if response is None else clean(response)
    words = {name: clean(value) if isinstance(value, str) else value for name, value in rest.items()}
    name = find_id(kind, turns, answer)
    return Find(id=name, kind=kind, messages=turns, response=answer, found=found, **words)


def clean(text: str) -> str:
    """Half a surrogate pair cannot be written as UTF-8: it becomes the replacement character."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def held_out(name: str, share: float) -> bool:
    """Whether a find is kept from teaching, by its id alone: the same ones on every machine and at every time."""
    drawn = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8, person=b"held out").digest())
    return drawn < share * 2**64
