"""What the guard rules: whether a prompt goes on, and what becomes of each choice of the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from guard.guarding.incoming import Answer
from guard.window.outcomes import Channel
from rules.schema import Action

Place: TypeAlias = tuple[int, Channel]
"""A message, counted from 0, and which of its texts: `text`, `reasoning`, or `tool` with the call's index."""

Redraw: TypeAlias = Callable[[int], Awaitable[Sequence[Answer]]]
"""Asks the model the same thing again, so many times; may come back with fewer."""


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether a prompt goes on to the model."""

    action: Action
    """`block`: it does not, and `reply` is the answer. Anything else: it does, with the edits."""
    edits: Mapping[Place, str] = field(default_factory=dict)
    """Texts that are to be replaced before the model sees them: redacted ones, and old turns that are withheld."""
    reply: str = ""
    """What the user reads in place of an answer, in the user's language."""
    rules: tuple[str, ...] = ()
    """Ids of the rules that led to it, worst first."""
    whole: bool = False
    """Whether the answer has to be had whole and ruled on before any of it leaves: a rule on the prompt wants it mended
    (`revise`, `resample`), and a stream could not be."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """What becomes of one choice: at most one of `edits`, `text` and `answer` is set; none: it leaves as it came."""

    action: Action
    """What was done: `revise` only where a revision stands in the answer's place, `block` where the reply does."""
    edits: Mapping[Channel, str] = field(default_factory=dict)
    """The texts with masks in them."""
    text: str | None = None
    """A text that takes the place of the whole choice, tool calls and reasoning too: a revision, or the reply."""
    answer: Answer | None = None
    """Another draw that takes its place."""
    rules: tuple[str, ...] = ()
    """Ids of the rules that led to it, worst first."""

    @property
    def filtered(self) -> bool:
        """Whether the choice ends as its API says a filtered one ends."""
        return self.action is Action.BLOCK

    @property
    def untouched(self) -> bool:
        """Whether the choice leaves as it came."""
        return self.text is None and self.answer is None and not self.edits
