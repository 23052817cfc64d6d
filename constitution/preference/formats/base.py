"""What an output format of comparisons is, and the pieces that several share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

from constitution.formats.base import bare, message_type, turns
from constitution.preference.contest import Duel, Outcome


@runtime_checkable
class Format(Protocol):
    """What the module of a format offers."""

    NAME: str
    """The file is called so."""
    ABOUT: str
    """One line for the card."""
    HOW: str
    """Markdown for the card: how a trainer is pointed at the file."""

    def project(self, outcome: Outcome, options: object) -> Iterator[dict[str, Any]]:
        """The lines of an outcome, their keys always in the same order.

        Raises:
            Unfit: it cannot be said in this format.
        """

    def schema(self, options: object) -> Any:
        """The columns as a pyarrow schema, in the order of the keys."""


def pair(outcome: Outcome, duel: Duel) -> dict[str, Any]:
    """Prompt, better and worse answer of a pair, as messages.

    Raises:
        Unfit: an answer holds a think tag, at which chat templates would cut.
    """
    return {
        "prompt": turns(outcome.prompt),
        "chosen": [bare(outcome.answers[duel.winner])],
        "rejected": [bare(outcome.answers[duel.loser])],
    }


def margin(duel: Duel) -> float:
    """How far the probabilities of the two lie apart, from 0 to 1."""
    return round(2 * duel.certainty - 1, 6)


def origin(outcome: Outcome, duel: Duel | None = None) -> dict[str, str]:
    """Where a line comes from: the one extra column, which the trainers drop. Lists are joined by a space, as in the
    loop's own files."""
    duels = outcome.duels if duel is None else (duel,)
    rules = dict.fromkeys(look.rule for each in duels for look in each.read)
    return {
        "id": outcome.id,
        "source": outcome.source.id or f"{outcome.source.file}:{outcome.source.line}",
        "kind": outcome.kind,
        "rules": " ".join(rules),
        "constitution": outcome.constitution,
        "made": outcome.made,
        "language": outcome.language,
    }


def origin_type() -> Any:
    """pyarrow type of what `origin` makes."""
    import pyarrow as pa

    keys = ("id", "source", "kind", "rules", "constitution", "made", "language")
    return pa.struct([(key, pa.string()) for key in keys])


def pair_fields() -> list[tuple[str, Any]]:
    """pyarrow fields of what `pair` makes."""
    import pyarrow as pa

    return [(key, pa.list_(message_type())) for key in ("prompt", "chosen", "rejected")]
