"""What Alembic runs for `mediacvae db init` and `db upgrade`; the connection comes from the caller."""

from __future__ import annotations

from alembic import context

from mediacvae.db.schema import Base

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
context.run_migrations()
