"""Labelled rows for the gate's classifier: the first answer that a rule changed is harmful, the final one safe.

The label of a first answer is the critic's word, borne out by a revision that passed the checks; it is not a
person's. Keep a set judged by people to measure on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from constitution.formats.base import Options, finished, message_type, turns
from constitution.row import Row

NAME = "gate"
ABOUT = "First answers that broke a rule and final answers, labelled, to teach the gate's classifier."
HOW = """`label` is `harmful` or `safe`; `rules` names the rules broken (of a safe line: those it was mended by), joined
by a space; `source` and `category` are the prompt's. Both lines of a row share its prompt, so split into training
and test by `row`, never by line."""


def project(row: Row, options: Options) -> Iterator[dict[str, Any]]:
    """A safe line an accepted row, and before it a harmful one where the first answer was changed."""
    pair = finished(row)
    if pair is None:
        return
    first, final = pair
    if row.changed and first != final:
        yield _line(row, "first", first, "harmful", broken_by(row, first))
    yield _line(row, "final", final, "safe", row.shaped_by)


def schema(options: Options) -> Any:
    """Columns of a line."""
    import pyarrow as pa

    texts = [(name, pa.string()) for name in ("response", "label", "category", "rules", "source", "language", "row")]
    return pa.schema([("id", pa.string()), ("prompt", pa.list_(message_type())), *texts])


def broken_by(row: Row, first: str) -> tuple[str, ...]:
    """Ids of the rules that the first answer broke: that of the first revision, and every later one whose critique
    quotes words that already stood there. A later critique speaks of a revised answer otherwise."""
    revising = [round_ for round_ in row.rounds if round_.revision is not None]
    broken = [
        round_.rule
        for at, round_ in enumerate(revising)
        if at == 0 or (round_.critique.quotes and all(quote in first for quote in round_.critique.quotes))
    ]
    return tuple(dict.fromkeys(broken))


def _line(row: Row, which: str, response: str, label: str, rules: tuple[str, ...]) -> dict[str, Any]:
    # Strings all through, empty where unknown: a null in the first block of a file fixes the column as null.
    return {
        "id": f"{row.id}-{which}",
        "prompt": turns(row.prompt),
        "response": response,
        "label": label,
        "category": row.source.category or "",
        "rules": " ".join(rules),
        "source": row.source.file,
        "language": row.language,
        "row": row.id,
    }
