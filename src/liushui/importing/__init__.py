"""Imports rows and answers that a user saved as JSON files."""
