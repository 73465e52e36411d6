"""A provider's rate, held against its callers in a sliding window, in this process only."""

from collections import deque
from datetime import datetime, timedelta

from liushui.instant import to_us
from liushui.provider import Key, Rate

_MICROSECOND = timedelta(microseconds=1)


class Admission:
    """The times of each key's last calls. A call that is refused is not counted, or nobody who waits would get in."""

    def __init__(self) -> None:
        self._calls_us: dict[tuple[str, str, Rate], deque[int]] = {}

    def admit(self, key: Key, rate: Rate, now: datetime) -> bool:
        """Count a call, unless it is one too many, or too soon after the last."""
        calls_us = self._calls_us.setdefault((key.dialect, key.public, rate), deque(maxlen=rate.calls))
        now_us = to_us(now)
        if calls_us and calls_us[-1] > now_us:  # the clock was set back
            calls_us.clear()
        if calls_us and now_us - calls_us[-1] < rate.spacing // _MICROSECOND:
            return False
        if len(calls_us) == rate.calls and now_us - calls_us[0] < rate.per // _MICROSECOND:
            return False
        calls_us.append(now_us)
        return True
