"""The texts that people write to show a rule, as cases that a gate can be tried on."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from guard.exchange import Exchange
from rules.examples import Example
from rules.schema import Constitution, Part

Kind: TypeAlias = Literal["breaks", "keeps"]
Origin: TypeAlias = Literal["examples", "tests"]

ORIGINS: tuple[Origin, ...] = ("examples", "tests")
KINDS: tuple[Kind, ...] = ("breaks", "keeps")


@dataclass(frozen=True, slots=True)
class Case:
    """One text of one rule."""

    rule: str
    kind: Kind
    origin: Origin
    index: int
    """Its place in its list, from 0."""
    example: Example
    disguise: str = ""
    """The name of the disguise it wears; empty for the text as it was written."""
    disguised: str = ""
    """The text in that disguise."""

    @property
    def text(self) -> str:
        """The text under judgement, as the gate sees it."""
        return self.disguised if self.disguise else self.example.text

    @property
    def part(self) -> Part:
        """The part under judgement."""
        return self.example.part

    @property
    def exchange(self) -> Exchange:
        """What the gate is asked to judge."""
        exchange = Exchange.of_example(self.example)
        if not self.disguise:
            return exchange
        *before, last = exchange.messages
        return Exchange((*before, replace(last, content=self.disguised)))

    @property
    def keys(self) -> tuple[str | int, ...]:
        """The way to it from its rule, for `Loaded.locate`."""
        return self.origin, self.kind, self.index

    @property
    def key(self) -> tuple[str, str, object]:
        """What makes it the same case in another constitution: neither its place nor a note beside it counts."""
        return self.rule, self.kind, self.example.messages


def cases_of(
    constitution: Constitution, origins: Sequence[Origin] = ORIGINS, only: Collection[str] | None = None
) -> Iterator[Case]:
    """All cases of all rules that the gate looks for.

    Args:
        constitution: the rules.
        origins: which lists of a rule.
        only: ids of the rules; all where it is None.
    """
    for rule in constitution:
        if rule.detect is None or (only is not None and rule.id not in only):
            continue
        for origin in origins:
            for kind in KINDS:
                for index, example in enumerate(getattr(getattr(rule, origin), kind)):
                    yield Case(rule.id, kind, origin, index, example)
