"""What alembic runs to migrate: on the connection it is handed, inside that connection's transaction."""

from __future__ import annotations

from alembic import context

from server.audit.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA, render_as_batch=True)
context.run_migrations()
