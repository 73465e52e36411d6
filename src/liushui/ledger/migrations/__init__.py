"""Alembic's environment of the ledger."""
