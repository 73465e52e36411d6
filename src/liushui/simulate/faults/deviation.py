"""A Deviation: a legal or common way in which a real service differs from its document, and from liushui's own server.

A Deviation is data. It changes what a provider's own server reads, or the server's answer, and names no provider. Every
provider with a suitable way of paging therefore has every deviation, and a new provider needs no code for them. Pure.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from liushui.http import Response
from liushui.provider import FlowQuery, Provider
from liushui.simulate.faults.fault import Endless

NO_OFFSET: Final = timedelta(0)
MARKED_ONE_IN: Final = 40
"""One row in this number is marked. Marked rows are corrupted or repeated."""


class Scenario(StrEnum):
    """The situation in which a deviation has an effect."""

    ALWAYS = "always"
    """The service deviates all the time."""
    OUTAGE = "outage"
    """The service deviates for a while, after a correct sync."""
    OTHER_ACCOUNT = "other account"
    """After a correct sync, the source gets the credentials of another account."""
    CLOCK = "clock"
    """The service's clock differs from ours, until our clock is corrected."""
    WAIT = "wait"
    """The service refuses every call until the time that it states."""


Rows = list[bytes]


class RowsPage(NamedTuple):
    """The rows of one page, and the cursor after them."""

    rows: Rows
    end_cursor: str | None


class Reading(NamedTuple):
    """The circumstances of one request: the service's time, and the finest step and the zone of its clock."""

    now: datetime
    step: timedelta
    zone: str
    """The time zone of the provider's days."""


@dataclass(frozen=True, kw_only=True)
class Deviation:
    """One way in which a service differs from its document. It sets one or two hooks. The other hooks change
    nothing."""

    name: str
    description: str
    """One line: the behaviour of the service."""
    reason: str = ""
    """A case-insensitive regular expression. It matches the reason that a sync gives when it gives up a range because
    of the deviation. Empty: the deviation is not a reason to give up a range."""
    applies_to: Callable[[Provider], bool] = lambda _provider: True
    scenario: Scenario = Scenario.ALWAYS
    group: str = ""
    """Two deviations of one group contradict each other. Empty: it contradicts none."""
    is_drawn: bool = True
    """Whether seeds select it, for a run of the soak or for a pair. New deviations are not selected: existing seeds
    would otherwise change their meaning."""
    needs_crowd: bool = False
    """Whether it has an effect only if an instant has more rows than a page."""
    page_cap: int | None = None
    """The most rows of a page, whatever size was requested."""
    page_min: int | None = None
    """The fewest rows at which it cuts a page, if that number is not fixed."""
    range_max: timedelta | None = None
    """The longest range that it answers completely, if longer ones have to be read in parts."""
    calls_max: int | None = None
    """The most calls until a sync notices it, if every answer shows it. None: the number depends on the rows."""

    change_query: Callable[[FlowQuery, Reading], FlowQuery] | None = None
    """Returns the query that the service reads, instead of the requested one."""
    change_by_count: Callable[[FlowQuery, int], FlowQuery] | None = None
    """Returns the query that the service reads, from the requested one and the number of rows that it matches."""
    change_page: Callable[[RowsPage, FlowQuery], RowsPage] | None = None
    """Returns the content of a page. It replaces the page that the service read for the original query."""
    change_total: Callable[[int, int], int] | None = None
    """Returns the total that the service states, from the right total and the number of rows on the page."""
    change_stored: Callable[[Rows, Provider], Rows] | None = None
    """Returns the rows that the service stores, instead of these rows. It is not part of a request: the code that
    stores the rows applies it."""
    corrupt: Callable[[bytes, Provider], bytes] | None = None
    """Returns the bytes that the service sends instead of a marked row."""
    repeats_marked: bool = False
    """Whether marked rows are listed twice."""
    omits: Callable[[datetime, FlowQuery], bool] | None = None
    """Returns whether a row of this time is left out of the answer to a query."""
    hides: Callable[[bytes], bool] | None = None
    """Returns which rows a permission filter removes from a page after it was read."""
    clock_offset: timedelta = NO_OFFSET
    """How far the service's clock is ahead of ours."""
    retry_after: timedelta | None = None
    retry_as_date: bool = False
    change_body: Callable[[bytes], bytes] | None = None
    """Returns the body of an answer with rows."""
    change_document: Callable[[bytes], bytes] | None = None
    """Returns the document that the service sends. The stated digest is that of the returned document."""
    change_response: Callable[[Response], Response | Endless] | None = None
    """Returns the response that is sent instead of an answer with rows."""

    @property
    def works_per_request(self) -> bool:
        """Whether it changes only answers to requests, not the stored rows or the account of the credentials."""
        return self.change_stored is None and self.scenario is not Scenario.OTHER_ACCOUNT

    def __str__(self) -> str:
        return self.name


def is_marked(row: bytes) -> bool:
    """Whether a row is marked; its bytes decide."""
    return zlib.crc32(row) % MARKED_ONE_IN == 0
