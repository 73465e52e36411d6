"""Saying what does not hold: checks of an installed package, where pytest explains no `assert`."""

from collections import Counter
from collections.abc import Iterable

from liushui.errors import short_repr

SHOWN_MAX = 3
"""How many of the rows that differ are shown."""


def ensure(holds: bool, otherwise: str) -> None:
    """Raises AssertionError with `otherwise` where something does not hold."""
    if not holds:
        raise AssertionError(otherwise)


def ensure_equal(what: str, got: object, expected: object) -> None:
    """Raises AssertionError where the two differ."""
    ensure(got == expected, f"{what}: expected {_long(expected)}, got {_long(got)}")


def ensure_same_rows(what: str, got: Iterable[bytes], expected: Iterable[bytes]) -> None:
    """Raises AssertionError where a row is missing, is not expected, or is there more or less often."""
    found, wanted = Counter(got), Counter(expected)
    missing, extra = wanted - found, found - wanted
    ensure(
        not missing and not extra,
        f"{what}: of {wanted.total()} rows {missing.total()} are missing {_some(missing)}, "
        f"{extra.total()} are too many {_some(extra)}",
    )


def _some(rows: Counter[bytes]) -> str:
    return f"({', '.join(row.decode(errors='replace') for row in list(rows)[:SHOWN_MAX])})" if rows else ""


def _long(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 2_000 else short_repr(value)
