"""The pages, at /."""
