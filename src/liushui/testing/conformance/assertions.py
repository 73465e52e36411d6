"""Assertions with their own messages, because pytest does not rewrite `assert` in installed packages."""

from collections import Counter
from collections.abc import Iterable

from liushui.errors import short_repr

ROWS_SHOWN = 3
"""The most rows that a message shows."""


def ensure(condition: bool, message: str) -> None:
    """Raise AssertionError with the message if the condition is false."""
    if not condition:
        raise AssertionError(message)


def ensure_equal(what: str, got: object, expected: object) -> None:
    """Raise AssertionError if the two differ."""
    ensure(got == expected, f"{what}: expected {_long_repr(expected)}, got {_long_repr(got)}")


def ensure_same_rows(what: str, got: Iterable[bytes], expected: Iterable[bytes]) -> None:
    """Raise AssertionError if the two differ as multisets."""
    actual, wanted = Counter(got), Counter(expected)
    missing, surplus = wanted - actual, actual - wanted
    ensure(
        not missing and not surplus,
        f"{what}: of {wanted.total()} rows {missing.total()} are missing {_some(missing)}, "
        f"{surplus.total()} are too many {_some(surplus)}",
    )


def _some(rows: Counter[bytes]) -> str:
    return f"({', '.join(row.decode(errors='replace') for row in list(rows)[:ROWS_SHOWN])})" if rows else ""


def _long_repr(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 2_000 else short_repr(value)
