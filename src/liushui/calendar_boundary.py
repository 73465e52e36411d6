"""The boundaries of a calendar at which a service may cut a range. Pure."""

from datetime import datetime, timedelta
from enum import Enum
from zoneinfo import ZoneInfo


class Boundary(Enum):
    """A boundary of a calendar. Its value is the longest time between two of them."""

    HOUR = timedelta(hours=1)
    DAY = timedelta(days=1)
    WEEK = timedelta(days=7)
    MONTH = timedelta(days=31)

    @property
    def length(self) -> timedelta:
        """The longest time between two boundaries, where clocks do not change."""
        return self.value

    def last_before(self, at: datetime, zone: ZoneInfo) -> datetime:
        """Return the last boundary at an instant or before it."""
        local = at.astimezone(zone).replace(minute=0, second=0, microsecond=0)
        match self:
            case Boundary.DAY:
                local = local.replace(hour=0)
            case Boundary.WEEK:
                local = local.replace(hour=0) - timedelta(days=local.weekday())
            case Boundary.MONTH:
                local = local.replace(hour=0, day=1)
            case _:
                pass
        return local.astimezone(at.tzinfo)

    def first_after(self, at: datetime, zone: ZoneInfo) -> datetime:
        """Return the first boundary at an instant or after it."""
        last = self.last_before(at, zone)
        if last == at:
            return last
        if self is Boundary.HOUR:
            return last + self.length
        return self.last_before(last + self.length + timedelta(hours=2), zone)  # a day may have 25 hours
