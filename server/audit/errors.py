"""What can go wrong with the audit, and a person can mend.

AuditError          the database or the folder cannot be used as it is
  Unreachable       the database does not answer: it may later
"""

from __future__ import annotations

from rules.errors import WardlawError


class AuditError(WardlawError):
    """The database or the folder of the audit cannot be used."""


class Unreachable(AuditError):
    """The database does not answer."""
