"""Runs migrations on the connection that the caller holds, in the caller's transaction."""

from alembic import context

from liushui.ledger.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=False)
context.run_migrations()
