"""Importing: rows and answers that a user has saved as JSON."""
