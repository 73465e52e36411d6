"""Instants and business days.

An instant is a timezone-aware UTC datetime in code and an integer of microseconds since the Unix epoch in storage. A
business day is a date in an account's own time zone.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from liushui.errors import ConfigError, WireError, short_repr

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MIN_INSTANT = datetime.min.replace(tzinfo=UTC)
MAX_INSTANT = datetime.max.replace(tzinfo=UTC)
"""The first and the last instant that a datetime can hold."""
SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US

UNIX_SECONDS_MIN = -62_135_596_800
"""0001-01-01T00:00:00Z, the first second that a datetime can hold."""
UNIX_SECONDS_MAX = 253_402_300_799
"""9999-12-31T23:59:59Z, the last."""

Clock = Callable[[], datetime]
"""Returns the current time, as an aware UTC datetime. Tests pass a clock that they can move."""


def system_clock() -> datetime:
    """The machine's clock."""
    return datetime.now(UTC)


def to_us(at: datetime) -> int:
    """Microseconds since the Unix epoch, exactly."""
    since_epoch = at - EPOCH
    return (since_epoch.days * 86_400 + since_epoch.seconds) * SECOND_US + since_epoch.microseconds


def from_us(at_us: int) -> datetime:
    """Return the instant this number of microseconds after the Unix epoch."""
    return EPOCH + timedelta(microseconds=at_us)


def to_utc(at: datetime) -> datetime:
    """The same instant, in UTC."""
    return at.astimezone(UTC)


def parse_unix_seconds(field: str, text: object) -> datetime:
    """Parse text of whole Unix seconds, `1621507957`. Raises WireError naming `field`."""
    if type(text) is not str or len(text) > 12 or not text.removeprefix("-").isdecimal() or str(int(text)) != text:
        raise WireError(field, f"expected text of whole Unix seconds such as 1621507957, got {short_repr(text)}")
    seconds = int(text)
    if not UNIX_SECONDS_MIN <= seconds <= UNIX_SECONDS_MAX:
        raise WireError(field, f"expected Unix seconds of the years 1 to 9999, got {text}")
    return datetime.fromtimestamp(seconds, UTC)


def to_iso(at: datetime) -> str:
    """ISO 8601 in UTC, `2021-05-20T10:52:37Z`, with a fraction of a second only if it is not zero."""
    text = at.astimezone(UTC).isoformat(timespec="microseconds" if at.microsecond else "seconds")
    return text.replace("+00:00", "Z")


def us_to_iso(at_us: int) -> str:
    """`to_iso` of microseconds since the Unix epoch."""
    return to_iso(from_us(at_us))


def instants_of(local: datetime, zone: tzinfo) -> tuple[datetime, ...]:
    """Return the instants, in UTC, at which a zone's clocks show a local time: one, two where clocks are set back, or
    none where they are set forward.

    Raises OverflowError for a local time whose instant is outside the calendar.
    """
    found = []
    for fold in (0, 1):
        at = local.replace(tzinfo=zone, fold=fold).astimezone(UTC)
        # The fold changes nothing, except at times that clocks skip or show twice.
        is_shown = at.astimezone(zone).replace(tzinfo=None, fold=0) == local.replace(fold=0)
        if is_shown and at not in found:
            found.append(at)
    return tuple(found)


def instant_of(local: datetime, zone: tzinfo) -> datetime:
    """Return the instant, in UTC, of a local time that a person or a file gives without an offset.

    Where clocks are set forward at midnight, midnight is the first instant of the day. Raises NotOneInstant for any
    other time that clocks skip, and for a time that they show twice; OverflowError as `instants_of`.
    """
    found = instants_of(local, zone)
    if len(found) == 1:
        return found[0]
    if not found and local.time() == time.min:
        return datetime.combine(local.date(), time.min, tzinfo=zone).astimezone(UTC)
    raise NotOneInstant(local, zone, found)


class NotOneInstant(ConfigError):
    """The clocks of a zone skip a local time, or show it twice. `first`: the first instant at which they show it; None:
    they skip it."""

    def __init__(self, local: datetime, zone: tzinfo, instants: Sequence[datetime], name: str = "time") -> None:
        self.local, self.zone, self.instants = local, zone, instants
        self.first = instants[0] if instants else None
        # With the offset before or after the change, the text is an instant.
        self.examples = tuple(local.replace(tzinfo=zone, fold=fold).isoformat() for fold in (0, 1))
        what = "show twice" if instants else "skip"
        super().__init__(
            f"{name}: expected a time that clocks in {zone} show once, got {local.isoformat()}, which they {what}: "
            f"give its offset, as in {' or '.join(self.examples)}"
        )


def parse_instant(name: str, text: str, zone: ZoneInfo | None = None) -> datetime:
    """Parse a date or an ISO 8601 time from a user. Text without an offset is in `zone`, UTC if None.

    A day is its first instant. Raises ConfigError naming the option `name`, also for a time that the zone's clocks skip
    or show twice.
    """
    zone = zone or ZoneInfo("UTC")
    day = parse_day(text.strip())
    if day is not None:
        return datetime.combine(day, time.min, tzinfo=zone).astimezone(UTC)
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError as error:
        examples = "2024-01-31 or 2024-01-31T09:30:00Z"
        raise ConfigError(
            f"{name}: expected a date or ISO 8601 time such as {examples}, got {short_repr(text)}"
        ) from error
    try:
        return at.astimezone(UTC) if at.tzinfo else instant_of(at, zone)
    except NotOneInstant as error:
        raise NotOneInstant(error.local, error.zone, error.instants, name) from error


def parse_day(text: str) -> date | None:
    """Return the day of an ISO date such as `2024-01-31`; None for any other text, including other spellings of ISO
    8601."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if day.isoformat() == text else None


def add_days(day: date, days: int) -> date:
    """Return the day this number of days later, or earlier if `days` is negative; limited to the calendar's first and
    last day."""
    try:
        return day + timedelta(days=days)
    except OverflowError:
        return date.max if days > 0 else date.min


def to_local(at: datetime, zone: ZoneInfo) -> datetime:
    """Return the instant in a zone's local time; in UTC if the local time would be outside the calendar."""
    try:
        return at.astimezone(zone)
    except OverflowError:
        return at.astimezone(UTC)


def load_zone(name: str) -> ZoneInfo:
    """The IANA time zone of that name. Raises ConfigError."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(f"zone: expected an IANA time zone such as Asia/Hong_Kong, got {short_repr(name)}") from error


def is_zone(name: str) -> bool:
    """Whether there is a time zone of this name."""
    try:
        load_zone(name)
    except ConfigError:
        return False
    return True


# Local midnights of the calendar's first and last days may be outside the range of datetime. Instants before _FIRST_US
# count as the first day, and instants from _LAST_US on as the last.
_FIRST_US = (datetime(1, 1, 3, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
_LAST_US = (datetime(9999, 12, 29, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)


@lru_cache(maxsize=16_384)
def _begin_us(zone: ZoneInfo, day: date) -> int:
    """The instant at which a local day begins. Cached, because a page asks for each day of a year, once for every
    account."""
    return to_us(datetime.combine(day, time.min, tzinfo=zone).astimezone(UTC))


class BusinessDays:
    """Converts between instants, in microseconds since the Unix epoch, and local dates of one time zone.

    It caches the last day, so it is fast for sorted instants.
    """

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._begin_us = self._end_us = 0
        self._day = ""

    def day_of(self, at_us: int) -> str:
        """The local date of an instant, `2021-05-20`."""
        if not self._begin_us <= at_us < self._end_us:
            if not _FIRST_US <= at_us < _LAST_US:
                return (date.min if at_us < _FIRST_US else date.max).isoformat()
            day = from_us(at_us).astimezone(self._zone).date()
            # Where clocks are set back across midnight, a date occurs twice. The second time belongs to the next day.
            if at_us >= self.begin_us(day + timedelta(days=1)):
                day += timedelta(days=1)
            self._begin_us, self._end_us = self.begin_us(day), self.begin_us(day + timedelta(days=1))
            self._day = day.isoformat()
        return self._day

    def span_of(self, at_us: int) -> tuple[str, int, int]:
        """The local date of an instant, and the instants at which that day begins and ends.

        For the calendar's first and last day both instants are 0.
        """
        day = self.day_of(at_us)
        return (day, self._begin_us, self._end_us) if self._begin_us <= at_us < self._end_us else (day, 0, 0)

    def begin_us(self, day: date) -> int:
        """The instant at which a local day begins."""
        return _begin_us(self._zone, day)

    def range_us(self, day: str) -> tuple[int, int]:
        """The instants [begin, end) of a local date."""
        local = date.fromisoformat(day)
        if local in (date.min, date.max):
            return (-(2**63), _FIRST_US) if local == date.min else (_LAST_US, 2**63 - 1)
        begin_us, end_us = self.begin_us(local), self.begin_us(local + timedelta(days=1))
        return max(begin_us, _FIRST_US), min(end_us, _LAST_US)

    def whole_between(self, since_us: int, until_us: int) -> tuple[str, str, int, int]:
        """Split a range into whole days and the partial days at its ends.

        Return the local dates of the range's two ends, the instant at which the first date ends, and the instant at
        which the last date begins. Every day strictly between these dates is completely in the range.
        """
        first, last = self.day_of(since_us), self.day_of(until_us)
        begin_us = _FIRST_US if since_us < _FIRST_US else self.begin_us(date.fromisoformat(first) + timedelta(days=1))
        end_us = _LAST_US if until_us >= _LAST_US else self.begin_us(date.fromisoformat(last))
        return first, last, begin_us, end_us
