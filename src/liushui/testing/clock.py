"""A clock that stands still until a test moves it."""

from datetime import UTC, datetime, timedelta
from typing import Final

NOON: Final = datetime(2026, 1, 2, 12, tzinfo=UTC)
"""The default time of a clock."""


class MovableClock:
    """An instant.Clock. Tests may set `at` directly."""

    def __init__(self, at: datetime = NOON) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def move(self, by: timedelta) -> None:
        """Let time pass. A negative duration sets the clock back."""
        self.at += by
