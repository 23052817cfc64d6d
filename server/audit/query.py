"""Decisions found again."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import orjson

from server.audit import shadow
from server.audit.database import Database
from server.audit.errors import AuditError
from server.audit.row import JSON

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row, Select

Cursor = tuple[float, str]
"""Time and id of the last decision of a page."""

_PAGE = 500
_DIGEST = re.compile(r"[0-9a-f]{6,16}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which decisions; what is None does not count."""

    since: float | None = None
    """Seconds since the epoch; from then on."""
    until: float | None = None
    """Before then."""
    action: str | None = None
    would: str | None = None
    rule: str | None = None
    """A rule that was found broken in it, enforced or only recorded."""
    key: str | None = None
    """Id of a key; empty: without one."""
    api: str | None = None
    constitution: str | None = None
    """Its name, or its digest or six letters and more that the digest begins with."""
    degraded: bool = False
    """Only those in which a detector failed."""
    flips: Literal["any", "stricter", "milder", "other"] | None = None
    """Only those that a candidate judges otherwise than the rules in force: at all, or in this way."""


@dataclass(frozen=True, slots=True)
class Found:
    """A decision as it is kept."""

    id: str
    at: float
    key: str
    api: str
    constitution: str
    digest: str
    model: str
    action: str
    would: str
    mode: str
    state: Literal["complete", "open", "cut"]
    status: int
    streamed: bool
    fault: str
    degraded: bool
    seconds: float
    first_s: float | None
    upstream_s: float
    rounds: int
    drawn: int
    amend: str
    rules: list[str]
    findings: list[dict[str, Any]]
    coverage: dict[str, Any]
    unscannable: list[dict[str, str]]
    withheld: list[str]
    ms: dict[str, float]
    content: dict[str, Any] | None
    shadow: dict[str, Any] | None = None
    """What a candidate said beside the rules in force, and they to the same texts: `server.audit.shadow.as_json`."""

    @property
    def cursor(self) -> Cursor:
        """Where it stands in the order."""
        return self.at, self.id


FIELDS = tuple(Found.__slots__)
_PARTS = (*JSON, "shadow")
"""Fields that are told as JSON text in a table."""


class Decisions:
    """Reads decisions from a database."""

    def __init__(self, database: Database) -> None:
        """Args: database: stays its owner's to close."""
        self._database = database

    def one(self, decision: str) -> Found | None:
        """The decision of an id.

        Raises:
            AuditError: the database cannot be used.
        """
        from sqlalchemy import select

        from server.audit.tables import DECISIONS

        with self._database.read() as connection:
            asked = select(*_columns()).select_from(_with_shadows()).where(DECISIONS.c.id == decision)
            row = connection.execute(asked).first()
        return None if row is None else _found(row)

    def near(self, beginning: str, most: int = 3) -> list[str]:
        """Ids that begin so, oldest first."""
        from sqlalchemy import select

        from server.audit.tables import DECISIONS

        column = DECISIONS.c.id
        asked = select(column).where(column.startswith(beginning, autoescape=True)).order_by(column).limit(most)
        with self._database.read() as connection:
            return list(connection.execute(asked).scalars())

    def find(
        self, filters: Filters, limit: int, after: Cursor | None = None, *, oldest_first: bool = False
    ) -> list[Found]:
        """A page of decisions, newest first.

        Args:
            filters: which.
            limit: how many at most.
            after: the cursor of the last one of the page before.
            oldest_first: the other way round.

        Raises:
            AuditError: the database cannot be used.
        """
        with self._database.read() as connection:
            digests: list[str] | None = None
            if filters.constitution is not None and _DIGEST.fullmatch(filters.constitution):
                digests = _digests(connection, filters.constitution)
            return [_found(row) for row in connection.execute(_page(filters, digests, limit, after, oldest_first))]

    def all(self, filters: Filters) -> Iterator[Found]:
        """Every decision, oldest first, read page by page: as long as it takes, no lock is held and no list grows."""
        after: Cursor | None = None
        while page := self.find(filters, _PAGE, after, oldest_first=True):
            yield from page
            after = page[-1].cursor


def _columns() -> list[Any]:
    from server.audit.tables import DECISIONS, SHADOWS

    return [
        *(DECISIONS.c[name] for name in FIELDS if name != "shadow"),
        *(SHADOWS.c[name].label(f"shadow_{name}") for name in shadow.COLUMNS),
    ]


def _with_shadows(*, only: bool = False) -> Any:
    """Decisions with what a candidate said; Args: only: those of which one said something."""
    from server.audit.tables import DECISIONS, SHADOWS

    return DECISIONS.join(SHADOWS, SHADOWS.c.decision == DECISIONS.c.id, isouter=not only)


def _page(
    filters: Filters, digests: list[str] | None, limit: int, after: Cursor | None, oldest_first: bool
) -> Select[Any]:
    """The query of a page. Each filter alone is answered by an index that has the order too."""
    from sqlalchemy import select, text, tuple_

    from server.audit.tables import DECISION_RULES, DECISIONS, SHADOWS

    joined = _with_shadows(only=filters.flips is not None)
    at, id_ = DECISIONS.c.at, DECISIONS.c.id
    # Ordered by the side table's own columns, else its index would find the rows and not their order.
    if filters.rule is not None:
        joined = joined.join(DECISION_RULES, DECISION_RULES.c.decision == DECISIONS.c.id)
        at, id_ = DECISION_RULES.c.at, DECISION_RULES.c.decision
    elif filters.flips is not None:
        at, id_ = SHADOWS.c.at, SHADOWS.c.decision
    asked = select(*_columns()).select_from(joined)
    if filters.rule is not None:
        asked = asked.where(DECISION_RULES.c.rule == filters.rule)
    if filters.flips is not None:
        asked = asked.where(text("shadows.flip <> ''"))  # in the words of its partial index
        if filters.flips != "any":
            asked = asked.where(SHADOWS.c.flip == filters.flips)
    if filters.since is not None:
        asked = asked.where(at >= filters.since)
    if filters.until is not None:
        asked = asked.where(at < filters.until)
    for name in ("action", "would", "key", "api"):
        value = getattr(filters, name)
        if value is not None:
            asked = asked.where(DECISIONS.c[name] == value)
    if digests:
        asked = asked.where(DECISIONS.c.digest == digests[0] if len(digests) == 1 else DECISIONS.c.digest.in_(digests))
    elif filters.constitution is not None:
        asked = asked.where(DECISIONS.c.constitution == filters.constitution)
    if filters.degraded:
        asked = asked.where(text("decisions.degraded"))  # in the words of its partial index
    if after is not None:
        place = tuple_(at, id_)
        asked = asked.where(place > tuple_(*after) if oldest_first else place < tuple_(*after))
    order = (at.asc(), id_.asc()) if oldest_first else (at.desc(), id_.desc())
    return asked.order_by(*order).limit(limit)


def _digests(connection: Connection, beginning: str) -> list[str]:
    """The digests that begin so. A database has few, so each next one is sought in the index."""
    from sqlalchemy import func, select

    from server.audit.tables import DECISIONS

    found: list[str] = []
    last: str | None = ""
    while last := connection.execute(select(func.min(DECISIONS.c.digest)).where(DECISIONS.c.digest > last)).scalar():
        found.append(last)
    return [digest for digest in found if digest.startswith(beginning)]


def _found(row: Row[Any]) -> Found:
    values: dict[str, Any] = dict(row._mapping)
    for name in JSON:
        if values[name] is not None:
            values[name] = orjson.loads(values[name])
    beside = {name: values.pop(f"shadow_{name}") for name in shadow.COLUMNS}
    values["shadow"] = None if beside["decision"] is None else shadow.as_json(shadow.read(beside))
    return Found(**values)


def as_json(found: Found) -> dict[str, Any]:
    """A decision as the API and `--json` tell it: ISO time, and its parts as JSON."""
    from datetime import UTC, datetime

    told = {name: getattr(found, name) for name in FIELDS}
    told["time"] = datetime.fromtimestamp(found.at, UTC).isoformat(timespec="milliseconds")
    return told


def flat(found: Found) -> Mapping[str, Any]:
    """A decision as one row of a table: what has parts becomes JSON text."""
    told = as_json(found)
    for name in _PARTS:
        told[name] = None if told[name] is None else orjson.dumps(told[name]).decode()
    return told


class UnknownDecision(AuditError):
    """No decision has the id."""

    def __init__(self, decision: str, near: list[str]) -> None:
        if near:
            hint = f"ids that begin so: {', '.join(f'`{each}`' for each in near)}"
        else:
            hint = "`wardlaw audit list` shows what there is; older ones may have been deleted"
        super().__init__(f"no decision `{decision}`", hint)
