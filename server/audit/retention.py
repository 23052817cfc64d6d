"""Deleting what is older than it may be, in small steps, so that no writer waits long."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from server.audit.database import Database

STEP = 500
"""Decisions deleted in one transaction."""

_LOST_S = 24 * 3600
"""A stream that is still open after this will not be ended by anyone: its worker's folder is gone too."""


def prune_some(database: Database, before: float, most: int = STEP) -> int:
    """Delete the oldest decisions from before a time, with their rules, feedback and what candidates said to them.

    Args:
        before: seconds since the epoch.
        most: decisions at most.

    Returns:
        how many were deleted; fewer than `most`: none is left.
    """
    from sqlalchemy import delete, select

    from server.audit.tables import DECISION_RULES, DECISIONS, FEEDBACK, SHADOWS

    with database.begin() as connection:
        oldest = select(DECISIONS.c.id).where(DECISIONS.c.at < before).order_by(DECISIONS.c.at, DECISIONS.c.id)
        ids = list(connection.execute(oldest.limit(most)).scalars())
        if ids:
            connection.execute(delete(DECISION_RULES).where(DECISION_RULES.c.decision.in_(ids)))
            connection.execute(delete(FEEDBACK).where(FEEDBACK.c.decision.in_(ids)))
            connection.execute(delete(SHADOWS).where(SHADOWS.c.decision.in_(ids)))
            connection.execute(delete(DECISIONS).where(DECISIONS.c.id.in_(ids)))
        if len(ids) < most:  # those whose decision could not be kept
            connection.execute(delete(SHADOWS).where(SHADOWS.c.at < before))
    return len(ids)


def end_lost_streams(database: Database) -> None:
    """Mark as cut what has been open for a day."""
    from sqlalchemy import text

    with database.begin() as connection:
        connection.execute(
            text("update decisions set state = 'cut' where state = 'open' and at < :before"),
            {"before": time.time() - _LOST_S},
        )
