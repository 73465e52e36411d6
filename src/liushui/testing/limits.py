"""Limits in memory: windows that slide and sessions that end by a clock that a test moves."""

from collections import defaultdict
from datetime import datetime, timedelta

from liushui.instant import Clock, system_clock
from liushui.provider import RateCheck
from liushui.rules import Rate


class MemoryLimits:
    """A provider.Limits of one process, one thread. `names` are those that were counted, in their order."""

    def __init__(self, clock: Clock = system_clock) -> None:
        self.names: list[str] = []
        self._clock = clock
        self._calls: defaultdict[str, list[datetime]] = defaultdict(list)
        self._sessions: dict[str, datetime] = {}

    def admit(self, name: str, rate: Rate) -> RateCheck:
        """Count one call."""
        self.names.append(name)
        now = self._clock()
        calls = self._calls[name] = [at for at in self._calls[name] if now - rate.per < at <= now]
        if len(calls) >= rate.calls:
            return RateCheck(admitted=False, used=len(calls))
        calls.append(now)
        return RateCheck(admitted=True, used=len(calls))

    def session_start(self, name: str, life: timedelta) -> datetime:
        """When the session of that name began."""
        now = self._clock()
        began = self._sessions.get(name)
        if began is None or not began <= now < began + life:
            began = self._sessions[name] = now
        return began
