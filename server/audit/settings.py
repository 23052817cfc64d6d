"""What may be set about the audit."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SecretStr

from rules.base import Closed


class AuditSettings(Closed):
    """What is kept of each decision, how surely, and for how long."""

    content: Literal["none", "hash", "redacted", "full"] = "none"
    """What is kept of the texts: nothing; a hash a text; the texts with all that was found masked; the texts."""

    hash_key: SecretStr | None = None
    """Key of the hashes. Without one, whoever reads the audit can find out a short text by trying."""

    write: Literal["journal", "database"] = "journal"
    """When a decision counts as kept: once it is in the worker's journal, or once the database has committed it."""

    on_failure: Literal["block", "allow"] = "block"
    """What becomes of a request whose decision cannot be kept: it fails, or it goes on and the loss is logged."""

    journal_bytes: Annotated[int, Field(ge=65536)] = 256 * 2**20
    """Bytes that a worker's journal may grow to while the database is away; then `on_failure` holds."""

    fsync: bool = False
    """Outlast a power cut too, not only a killed process: a decision is kept once the disk has it."""

    commit_s: Annotated[float, Field(gt=0)] = 10.0
    """Seconds that a request waits for the database with `write: database`; then `on_failure` holds."""

    retention_days: Annotated[float, Field(gt=0)] | None = None
    """Days after which decisions and their feedback are deleted; without it, they stay."""
