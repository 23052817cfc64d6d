"""The audit: every decision kept, found again and exported."""

from __future__ import annotations

from typing import Protocol

from server.record import Record


class Audit(Protocol):
    """Keeps records."""

    async def keep(self, record: Record) -> None:
        """Keep a record so that it survives kill -9 when this returns; a later one of the same decision replaces it.

        Raises:
            AuditFailed: it cannot be kept, and the settings say that the request fails then.
        """
