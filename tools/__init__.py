"""Programs for working on the project itself."""
