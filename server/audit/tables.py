"""The tables of the server's database. Migrations build them; this says what code may rely on.

JSON stands in text columns: PostgreSQL's own JSON types refuse the character U+0000, which a client may send.
Times are seconds since the epoch.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Double, Index, Integer, MetaData, Table, Text, text

METADATA = MetaData()

DECISIONS = Table(
    "decisions",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("at", Double, nullable=False),
    Column("key", Text, nullable=False),
    Column("api", Text, nullable=False),
    Column("constitution", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("would", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("streamed", Boolean, nullable=False),
    Column("fault", Text, nullable=False),
    Column("degraded", Boolean, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("first_s", Double),
    Column("upstream_s", Double, nullable=False),
    Column("rounds", Integer, nullable=False),
    Column("drawn", Integer, nullable=False),
    Column("amend", Text, nullable=False, server_default=""),
    Column("rules", Text, nullable=False),
    Column("findings", Text, nullable=False),
    Column("coverage", Text, nullable=False),
    Column("unscannable", Text, nullable=False),
    Column("withheld", Text, nullable=False),
    Column("ms", Text, nullable=False),
    Column("content", Text),
    Column("owner", Text, nullable=False),
    Index("decisions_at", "at", "id"),
    Index("decisions_action", "action", "at", "id"),
    Index("decisions_would", "would", "at", "id"),
    Index("decisions_key", "key", "at", "id"),
    Index("decisions_api", "api", "at", "id"),
    Index("decisions_constitution", "constitution", "at", "id"),
    Index("decisions_digest", "digest", "at", "id"),
    Index("decisions_degraded", "at", "id", sqlite_where=text("degraded"), postgresql_where=text("degraded")),
    Index(
        "decisions_open", "owner", "at", sqlite_where=text("state = 'open'"), postgresql_where=text("state = 'open'")
    ),
)
"""One row a decision. `state`: `complete`; `open` while a stream goes on; `cut` where its worker died before its end.
`owner`: the journal that it came by."""

DECISION_RULES = Table(
    "decision_rules",
    METADATA,
    Column("decision", Text, primary_key=True),
    Column("rule", Text, primary_key=True),
    Column("at", Double, nullable=False),
    Column("enforced", Boolean, nullable=False),
    Index("decision_rules_rule", "rule", "at", "decision"),
)
"""Which rules were found broken in which decision: what filtering by rule reads."""

_FLIPS = text("flip <> ''")

SHADOWS = Table(
    "shadows",
    METADATA,
    Column("decision", Text, primary_key=True),
    Column("at", Double, nullable=False),
    Column("constitution", Text, nullable=False),
    Column("base", Text, nullable=False),
    Column("candidate", Text, nullable=False),
    Column("enforced", Text, nullable=False),
    Column("base_action", Text, nullable=False),
    Column("base_rules", Text, nullable=False),
    Column("candidate_action", Text, nullable=False),
    Column("candidate_rules", Text, nullable=False),
    Column("flip", Text, nullable=False),
    Column("places", Text, nullable=False),
    Column("degraded", Boolean, nullable=False),
    Index("shadows_candidate", "candidate", "at", "decision"),
    Index("shadows_at", "at", "decision"),
    Index("shadows_flips", "at", "decision", sqlite_where=_FLIPS, postgresql_where=_FLIPS),
    Index("shadows_flip", "flip", "at", "decision", sqlite_where=_FLIPS, postgresql_where=_FLIPS),
    Index("shadows_flips_of", "candidate", "at", "decision", sqlite_where=_FLIPS, postgresql_where=_FLIPS),
)
"""What a candidate constitution said to a decision's texts, beside the rules in force: see `server.audit.shadow`."""

FEEDBACK = Table(
    "feedback",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("at", Double, nullable=False),
    Column("decision", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("part", Text),
    Column("rule", Text),
    Column("comment", Text),
    Column("reviewer", Text),
    Index("feedback_decision", "decision"),
    Index("feedback_at", "at", "id"),
)
"""What people said of decisions."""

KEYS = Table(
    "keys",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("digest", Text, nullable=False, unique=True),
    Column("constitution", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("requests_per_minute", Integer),
    Column("concurrent", Integer),
    Column("created", Double, nullable=False),
    Column("expires", Double),
    Column("revoked", Double),
)
"""Clients' keys, hashed."""
