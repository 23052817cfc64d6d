"""What candidates said, counted and found again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from guard.flips import Direction
from server.audit.database import Database
from server.audit.shadow import COLUMNS, Compared, as_flip, read

_PAGE = 500


@dataclass(slots=True)
class Counted:
    """What a candidate's verdicts beside some rules come to."""

    judged: int = 0
    """Decisions that both judged and in which no detector failed."""
    degraded: int = 0
    """Those in which one did; they are in none of the other counts."""
    first: float | None = None
    """When the first of all of them came, seconds since the epoch."""
    last: float | None = None
    flips: dict[Direction, int] = field(default_factory=dict)
    rules: dict[tuple[str, Direction], int] = field(default_factory=dict)
    """Rule and direction -> flips that the rule has a part in."""
    worst: list[Compared] = field(default_factory=list)
    """The gravest flips, those that block more or less before those that only flag."""


class Shadows:
    """Reads what candidates said from a database."""

    def __init__(self, database: Database) -> None:
        """Args: database: stays its owner's to close."""
        self._database = database

    def bases(self, candidate: str, since: float | None = None) -> Mapping[str, int]:
        """Digest of rules in force -> decisions in which a candidate was judged beside them.

        Raises:
            AuditError: the database cannot be used.
        """
        from sqlalchemy import func, select

        from server.audit.tables import SHADOWS

        asked = select(SHADOWS.c.base, func.count()).where(SHADOWS.c.candidate == candidate).group_by(SHADOWS.c.base)
        if since is not None:
            asked = asked.where(SHADOWS.c.at >= since)
        with self._database.read() as connection:
            return {row[0]: row[1] for row in connection.execute(asked)}

    def count(self, base: str, candidate: str, since: float | None = None, worst: int = 10) -> Counted:
        """What a candidate said beside some rules.

        Args:
            base: digest of the rules in force.
            candidate: digest of the candidate.
            since: seconds since the epoch; from then on.
            worst: how many of the gravest flips to keep.

        Raises:
            AuditError: the database cannot be used.
        """
        from sqlalchemy import func, select

        from server.audit.tables import SHADOWS

        asked = (
            select(SHADOWS.c.degraded, func.count(), func.min(SHADOWS.c.at), func.max(SHADOWS.c.at))
            .where(SHADOWS.c.candidate == candidate, SHADOWS.c.base == base)
            .group_by(SHADOWS.c.degraded)
        )
        if since is not None:
            asked = asked.where(SHADOWS.c.at >= since)
        counted = Counted()
        with self._database.read() as connection:
            for degraded, count, first, last in connection.execute(asked):
                if degraded:
                    counted.degraded = count
                else:
                    counted.judged = count
                counted.first = first if counted.first is None else min(first, counted.first)
                counted.last = last if counted.last is None else max(last, counted.last)
        for each in self.flips(base, candidate, since):
            flip = as_flip(each)
            direction = flip.direction
            counted.flips[direction] = counted.flips.get(direction, 0) + 1
            for rule in rules_of(each):
                counted.rules[rule, direction] = counted.rules.get((rule, direction), 0) + 1
            counted.worst.append(each)
            if len(counted.worst) > 4 * worst + 100:
                counted.worst = _gravest(counted.worst, worst)
        counted.worst = _gravest(counted.worst, worst)
        return counted

    def flips(self, base: str, candidate: str, since: float | None = None) -> Iterator[Compared]:
        """Every decision that the two judge otherwise, oldest first, read page by page."""
        from sqlalchemy import select, text, tuple_

        from server.audit.tables import SHADOWS

        place = tuple_(SHADOWS.c.at, SHADOWS.c.decision)
        asked = select(*(SHADOWS.c[name] for name in COLUMNS)).where(
            SHADOWS.c.candidate == candidate, SHADOWS.c.base == base, text("shadows.flip <> ''")
        )
        if since is not None:
            asked = asked.where(SHADOWS.c.at >= since)
        asked = asked.order_by(SHADOWS.c.at, SHADOWS.c.decision).limit(_PAGE)
        last: tuple[float, str] | None = None
        while True:
            page = asked if last is None else asked.where(place > tuple_(*last))
            with self._database.read() as connection:
                rows = [read(dict(row._mapping)) for row in connection.execute(page)]
            yield from rows
            if len(rows) < _PAGE:
                return
            last = rows[-1].at, rows[-1].decision


def rules_of(compared: Compared) -> tuple[str, ...]:
    """The rules that have a part in a flip: those that one of the two alone finds broken; where there are none, as when
    an action has changed, all that are."""
    flip = as_flip(compared)
    differ = [*flip.gained, *flip.lost]
    for place in compared.places:
        differ += set(place.old.rules) ^ set(place.new.rules)
    return tuple(dict.fromkeys(differ or [*flip.new.rules, *flip.old.rules]))


def _gravest(found: list[Compared], most: int) -> list[Compared]:
    from rules.schema import Action

    ranks = {action: rank for rank, action in enumerate(Action)}

    def grave(each: Compared) -> tuple[int, int, float]:
        old, new = ranks[each.old.action], ranks[each.new.action]
        return abs(new - old), max(new, old), each.at

    return sorted(found, key=grave, reverse=True)[:most]
