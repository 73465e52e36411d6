"""A clock that tests move. It stands still until then."""

from datetime import UTC, datetime, timedelta
from typing import Final

NOON: Final = datetime(2026, 1, 2, 12, tzinfo=UTC)
"""Where a clock stands when nobody says."""


class MovableClock:
    """An instant.Clock that says `at`."""

    def __init__(self, at: datetime = NOON) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def move(self, by: timedelta) -> None:
        """Let time pass; less than nothing sets the clock back."""
        self.at += by
