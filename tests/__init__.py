"""The tests, as a package: they share a few helpers."""
