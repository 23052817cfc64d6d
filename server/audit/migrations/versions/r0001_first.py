"""The first tables: decisions, the rules found in them, feedback, keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables and their indices."""
    op.create_table(
        "decisions",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("api", sa.Text, nullable=False),
        sa.Column("constitution", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("would", sa.Text, nullable=False),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("streamed", sa.Boolean, nullable=False),
        sa.Column("fault", sa.Text, nullable=False),
        sa.Column("degraded", sa.Boolean, nullable=False),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.Column("first_s", sa.Double),
        sa.Column("upstream_s", sa.Double, nullable=False),
        sa.Column("rounds", sa.Integer, nullable=False),
        sa.Column("drawn", sa.Integer, nullable=False),
        sa.Column("rules", sa.Text, nullable=False),
        sa.Column("findings", sa.Text, nullable=False),
        sa.Column("coverage", sa.Text, nullable=False),
        sa.Column("unscannable", sa.Text, nullable=False),
        sa.Column("withheld", sa.Text, nullable=False),
        sa.Column("ms", sa.Text, nullable=False),
        sa.Column("content", sa.Text),
        sa.Column("owner", sa.Text, nullable=False),
    )
    op.create_index("decisions_at", "decisions", ["at", "id"])
    for name in ("action", "would", "key", "api", "constitution", "digest"):
        op.create_index(f"decisions_{name}", "decisions", [name, "at", "id"])
    _partial("decisions_degraded", ["at", "id"], "degraded")
    _partial("decisions_open", ["owner", "at"], "state = 'open'")
    op.create_table(
        "decision_rules",
        sa.Column("decision", sa.Text, primary_key=True),
        sa.Column("rule", sa.Text, primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("enforced", sa.Boolean, nullable=False),
    )
    op.create_index("decision_rules_rule", "decision_rules", ["rule", "at", "decision"])
    op.create_table(
        "feedback",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("decision", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("part", sa.Text),
        sa.Column("rule", sa.Text),
        sa.Column("comment", sa.Text),
        sa.Column("reviewer", sa.Text),
    )
    op.create_index("feedback_decision", "feedback", ["decision"])
    op.create_index("feedback_at", "feedback", ["at", "id"])
    op.create_table(
        "keys",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False, unique=True),
        sa.Column("constitution", sa.Text, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("requests_per_minute", sa.Integer),
        sa.Column("concurrent", sa.Integer),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("expires", sa.Double),
        sa.Column("revoked", sa.Double),
    )


def downgrade() -> None:
    """Take the tables away."""
    for name in ("keys", "feedback", "decision_rules", "decisions"):
        op.drop_table(name)


def _partial(name: str, columns: list[str], where: str) -> None:
    op.create_index(name, "decisions", columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
