"""Decides which of many backups to keep: the newest one of each recent day, week, month and year that has one."""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from liushui.errors import ConfigError, short_repr

_DURATION = re.compile(r"([1-9][0-9]{0,4})(min|h|d|w)")
_UNITS: Final = {
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_COUNT = re.compile(r"([1-9][0-9]{0,3})([hdwmy])")


class Retention(NamedTuple):
    """How many hours, days, weeks, months and years keep a backup. Periods without a backup do not count. All are in
    UTC."""

    hours: int = 0
    days: int = 0
    weeks: int = 0
    months: int = 0
    years: int = 0

    def kept(self, moments: Iterable[datetime]) -> set[datetime]:
        """The moments of the backups to keep. The newest one is always among them."""
        newest_first = sorted(moments, reverse=True)
        kept = set(newest_first[:1])
        for count, period in zip(self, _PERIODS, strict=True):
            newest_of: dict[object, datetime] = {}
            for moment in newest_first:
                newest_of.setdefault(period(moment.astimezone(UTC)), moment)
            kept.update(list(newest_of.values())[:count])
        return kept


_PERIODS: Final[tuple[Callable[[datetime], object], ...]] = (
    lambda at: (at.date(), at.hour),
    lambda at: at.date(),
    lambda at: at.isocalendar()[:2],
    lambda at: (at.year, at.month),
    lambda at: at.year,
)


def parse_retention(name: str, text: str) -> Retention:
    """Parse `7d,4w,12m`, given as option `name`: hours (h), days, weeks, months, years (y). Raises ConfigError."""
    counts: dict[str, int] = {}
    for part in text.split(","):
        match = _COUNT.fullmatch(part.strip())
        if match is None or match[2] in counts:
            expected = "numbers of hours, days, weeks, months or years, each once, such as 7d,4w,12m"
            raise ConfigError(f"{name}: expected {expected}, got {short_repr(text)}")
        counts[match[2]] = int(match[1])
    return Retention(*(counts.get(unit, 0) for unit in "hdwmy"))


def parse_duration(name: str, text: str) -> timedelta:
    """Parse `30min`, `6h`, `2d` or `1w`, given as option `name`. Raises ConfigError."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ConfigError(f"{name}: expected a duration such as 30min, 6h, 2d or 1w, got {short_repr(text)}")
    return int(match[1]) * _UNITS[match[2]]
