"""A record as one line of the journal, and a line as the values of a row.

A line's payload is JSON values with a tab between them, which JSON text itself never holds: first a list of the plain
columns, then each JSON column by itself. So the thread that fills the database reads the short list alone and hands
the rest on as text; nothing is encoded twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from guard.guarding.decision import Decision, Placed
from server.audit.content import Keeping, content
from server.record import Record

PLAIN = (
    "id",
    "at",
    "key",
    "api",
    "constitution",
    "digest",
    "model",
    "action",
    "would",
    "mode",
    "state",
    "status",
    "streamed",
    "fault",
    "degraded",
    "seconds",
    "first_s",
    "upstream_s",
    "rounds",
    "drawn",
    "amend",
)
"""Columns in the list that a line begins with; after them, the ids of the rules that were only recorded."""

JSON = ("rules", "findings", "coverage", "unscannable", "withheld", "ms", "content")
"""Columns that follow, each as JSON."""

COLUMNS = (*PLAIN, *JSON, "owner")

_NUMBER = (int, float)
_TYPES: tuple[type | tuple[type, ...], ...] = (
    str,
    _NUMBER,
    *(str,) * 9,
    int,
    bool,
    str,
    bool,
    _NUMBER,
    (int, float, type(None)),
    _NUMBER,
    int,
    int,
    str,
)
"""Of the plain columns. A value of another type would make a driver fail as if the database were at fault."""

_LONGEST = 200
"""Characters of a name that a client gave; longer ones would let it fill the indices."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the journal, read."""

    values: tuple[Any, ...]
    """In the order of `COLUMNS`."""
    rules: tuple[tuple[str, str, float, bool], ...]
    """Rows of the table of rules: decision, rule, time, enforced."""


def encode(record: Record, keep: Keeping, key: bytes = b"") -> bytes:
    """The payload of a record's line."""
    try:
        return _encoded(record, keep, key)
    except orjson.JSONEncodeError:  # half a surrogate pair, which JSON in UTF-8 cannot hold
        return _encoded(record, keep, key, mend=True)


def _encoded(record: Record, keep: Keeping, key: bytes, *, mend: bool = False) -> bytes:
    decision, caller = record.decision, record.caller
    coverage = decision.coverage
    findings = decision.findings
    broken = set(decision.rules)
    recorded = (
        list(dict.fromkeys(each.finding.rule for each in findings if each.finding.rule not in broken))
        if findings
        else []
    )
    plain = [
        decision.id,
        decision.at,
        caller.key,
        record.api,
        caller.constitution,
        decision.constitution,
        _name(record.model),
        decision.action,
        decision.would,
        decision.mode,
        "complete" if decision.complete else "open",
        record.status,
        record.streamed,
        record.fault,
        bool(coverage.degraded),
        record.seconds,
        record.first_s,
        record.upstream_s,
        decision.rounds,
        decision.drawn,
        decision.amend,
        recorded,
    ]
    covered = {
        "scanned": coverage.scanned,
        "not_scanned": coverage.not_scanned,
        "degraded": coverage.degraded,
        "partial": coverage.partial,
    }
    parts: list[Any] = [
        plain,
        decision.rules,
        [_finding(each, keep) for each in findings],
        covered,
        _unscannable(decision),
        decision.withheld,
        decision.ms,
        content(record, keep, key),
    ]
    if mend:
        parts = [_mended(part) for part in parts]
    return b"\t".join([orjson.dumps(part, default=_plain) for part in parts])


def decode(payload: bytes, owner: str) -> Line:
    """A line's values.

    Raises:
        ValueError: it is no line of this version.
    """
    first, *parts = payload.split(b"\t")
    plain = orjson.loads(first)
    if not isinstance(plain, list) or len(plain) not in (len(PLAIN), len(PLAIN) + 1) or len(parts) != len(JSON):
        raise ValueError("not a line of this version's journal")
    recorded = plain.pop()
    if len(plain) < len(PLAIN):
        plain.append("")  # a line from before `amend` was kept
    if not all(map(isinstance, plain, _TYPES)):
        raise ValueError("a value is of another type than its column")
    texts: list[str | None] = [part.decode() for part in parts]
    if texts[-1] == "null":
        texts[-1] = None
    rules: tuple[tuple[str, str, float, bool], ...] = ()
    if recorded or parts[0] != b"[]":
        enforced = orjson.loads(parts[0])
        rules = (
            *((plain[0], rule, plain[1], True) for rule in dict.fromkeys(enforced)),
            *((plain[0], rule, plain[1], False) for rule in recorded),
        )
    return Line((*plain, *texts, owner), rules)


def _finding(placed: Placed, keep: Keeping) -> dict[str, Any]:
    finding = placed.finding
    told = {
        "rule": finding.rule,
        "part": finding.part,
        "where": placed.where,
        "span": finding.span,
        "detector": finding.detector,
        "score": finding.score,
        "threshold": finding.threshold,
        "view": finding.view,
        "calibrated": finding.calibrated,
        "enforced": placed.enforced,
    }
    if keep == "full":  # a reason is written by a model that had read the text: it may quote it
        told |= {"excerpt": finding.excerpt, "reason": finding.reason}
    return told


def _unscannable(decision: Decision) -> list[dict[str, str]]:
    return [{"where": _name(each.where), "what": _name(each.what)} for each in decision.unscannable]


def _name(text: str) -> str:
    """A client's own name for something, made fit for a column: PostgreSQL has no U+0000 in text."""
    text = text[:_LONGEST]
    return text.replace("\0", "\ufffd") if "\0" in text else text


def _plain(value: object) -> object:
    """What orjson does not know by itself: mappings other than dict, sets, numbers of numpy."""
    if hasattr(value, "items"):
        return dict(value.items())
    if hasattr(value, "item"):
        return value.item()
    if isinstance(value, frozenset | set):
        return sorted(value)
    raise TypeError(f"no JSON of a `{type(value).__name__}`")


def _mended(value: Any) -> Any:
    """The value with halves of surrogate pairs replaced."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list | tuple):
        return [_mended(each) for each in value]
    if hasattr(value, "items"):
        return {_mended(name): _mended(each) for name, each in value.items()}
    return value
