"""Rows to look at: chosen by hash, so that the same run shows the same ones, and in turn over the rules."""

from __future__ import annotations

import hashlib
from bisect import insort
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from constitution.row import Round, Row

PER_KIND = 3
"""Rows kept of one rule or one reason while the rows stream by."""
LONGEST = 4000
"""Characters shown of one text."""


@dataclass(frozen=True)
class Samples:
    """The rows that a report shows."""

    changed: tuple[Row, ...] = ()
    """Accepted, and changed by a rule."""
    unchanged: tuple[Row, ...] = ()
    """Accepted as first answered."""
    rejected: tuple[Row, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.changed or self.unchanged or self.rejected)


@dataclass
class _Kept:
    by_kind: dict[str, list[tuple[str, Row]]] = field(default_factory=lambda: defaultdict(list))

    def offer(self, kind: str, row: Row) -> None:
        kept = self.by_kind[kind]
        insort(kept, (_lot(row), row), key=lambda pair: pair[0])
        del kept[PER_KIND:]

    def in_turn(self, limit: int) -> tuple[Row, ...]:
        """One of each kind, then a second of each ... A row is taken once."""
        taken: dict[str, Row] = {}
        for place in range(PER_KIND):
            for _, kept in sorted(self.by_kind.items()):
                if place < len(kept) and len(taken) < limit:
                    taken.setdefault(kept[place][1].id, kept[place][1])
        return tuple(taken.values())


def choose(rows: Iterable[Row], *, changed: int = 12, unchanged: int = 3, rejected: int = 8) -> Samples:
    """Choose rows in one pass, holding a few for each rule and each reason.

    Args:
        rows: all rows.
        changed: most accepted and changed rows, in turn over the rule that changed them first.
        unchanged: most rows accepted as they were, benign ones and others in turn.
        rejected: most rejected rows, in turn over their reasons.
    """
    by_rule, as_were, by_reason = _Kept(), _Kept(), _Kept()
    for row in rows:
        if row.rejection is not None or row.status == "rejected":
            by_reason.offer(row.rejection.reason if row.rejection else "", row)
        elif row.shaped_by:
            by_rule.offer(row.shaped_by[0], row)
        else:
            as_were.offer("benign" if row.benign else "", row)
    return Samples(by_rule.in_turn(changed), as_were.in_turn(unchanged), by_reason.in_turn(rejected))


def _lot(row: Row) -> str:
    # Not the id itself: ids that count up would always show the head of the prompt file.
    return hashlib.blake2b(row.id.encode(), digest_size=8).hexdigest()


def mark(text: str, quotes: Sequence[str]) -> list[tuple[str, bool]]:
    """`text` in pieces, each with whether a quote covers it. Every place where a quote stands counts."""
    covered: list[tuple[int, int]] = []
    for quote in filter(None, quotes):
        at = text.find(quote)
        while at >= 0:
            covered.append((at, at + len(quote)))
            at = text.find(quote, at + len(quote))
    pieces: list[tuple[str, bool]] = []
    done = 0
    for start, end in _joined(covered):
        if start > done:
            pieces.append((text[done:start], False))
        pieces.append((text[start:end], True))
        done = end
    if done < len(text):
        pieces.append((text[done:], False))
    return pieces


def _joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def cut(text: str) -> tuple[str, int]:
    """The beginning of a text, and how many characters are left out."""
    return (text, 0) if len(text) <= LONGEST else (text[:LONGEST], len(text) - LONGEST)


def picture(row: Row) -> dict[str, Any]:
    """A row as the page shows it."""
    quotes = [quote for round_ in row.rounds for quote in round_.critique.quotes]
    spoken = [said for said in row.prompt if said.content.strip()]
    asked = spoken[-1].content if spoken else ""
    return {
        "id": row.id,
        "language": row.language,
        "benign": row.benign,
        "asked": " ".join(asked.split())[:140],
        "turns": [{"role": said.role, "text": cut(said.content)} for said in row.prompt],
        "first": _marked(row.answer, quotes),
        "final": _marked(row.final if row.final != row.answer else None, ()),
        "same": row.final is not None and row.final == row.answer,
        "rounds": _rounds(row),
        "rules": list(dict.fromkeys(round_.rule for round_ in row.rounds)),
        "shaped_by": list(row.shaped_by),
        "rationale": cut(row.rationale) if row.rationale else None,
        "rejection": row.rejection,
        "from": row.score_answer,
        "to": row.score_final,
        "source": f"{row.source.file}:{row.source.line}",
    }


def _rounds(row: Row) -> list[dict[str, Any]]:
    shown, answer = [], row.answer or ""
    for at, round_ in enumerate(row.rounds, start=1):
        between = round_.revision is not None and round_.revision != row.final
        shown.append(
            {
                "number": at,
                "rule": round_.rule,
                "breaks": round_.critique.verdict == "breaks",
                "problem": cut(round_.critique.problem),
                "missing": [quote for quote in round_.critique.quotes if quote not in answer],
                "between": _marked(round_.revision, _later_quotes(row.rounds[at:])) if between else None,
                "tried": len(round_.candidates),
                "score": round_.score_after,
            }
        )
        answer = answer if round_.revision is None else round_.revision
    return shown


def _later_quotes(rounds: Sequence[Round]) -> list[str]:
    return list(rounds[0].critique.quotes) if rounds else []


def _marked(text: str | None, quotes: Sequence[str]) -> dict[str, Any] | None:
    if text is None:
        return None
    shown, left = cut(text)
    return {"pieces": mark(shown, quotes), "left": left}
