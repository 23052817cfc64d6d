"""What a candidate said beside the rules in force."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table and its indices."""
    op.create_table(
        "shadows",
        sa.Column("decision", sa.Text, primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("constitution", sa.Text, nullable=False),
        sa.Column("base", sa.Text, nullable=False),
        sa.Column("candidate", sa.Text, nullable=False),
        sa.Column("enforced", sa.Text, nullable=False),
        sa.Column("base_action", sa.Text, nullable=False),
        sa.Column("base_rules", sa.Text, nullable=False),
        sa.Column("candidate_action", sa.Text, nullable=False),
        sa.Column("candidate_rules", sa.Text, nullable=False),
        sa.Column("flip", sa.Text, nullable=False),
        sa.Column("places", sa.Text, nullable=False),
        sa.Column("degraded", sa.Boolean, nullable=False),
    )
    op.create_index("shadows_candidate", "shadows", ["candidate", "at", "decision"])
    op.create_index("shadows_at", "shadows", ["at", "decision"])
    flips = sa.text("flip <> ''")
    op.create_index("shadows_flips", "shadows", ["at", "decision"], sqlite_where=flips, postgresql_where=flips)
    op.create_index("shadows_flip", "shadows", ["flip", "at", "decision"], sqlite_where=flips, postgresql_where=flips)
    op.create_index(
        "shadows_flips_of", "shadows", ["candidate", "at", "decision"], sqlite_where=flips, postgresql_where=flips
    )


def downgrade() -> None:
    """Take the table away."""
    op.drop_table("shadows")
