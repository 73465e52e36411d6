"""Services that deviate, as doubles of a client."""

from datetime import timedelta

from liushui.provider import Page, PageRequest, Slice
from liushui.testing.provider_client_double import ClientDouble


class NewestPart(ClientDouble):
    """Answers only the newest two days of a longer range, and says nothing of it."""

    window = timedelta(days=2)

    async def fetch_page(self, request: PageRequest) -> Page:
        since, until = request.slice_
        return await super().fetch_page(request._replace(slice_=Slice(max(since, until - self.window), until)))


class StartExclusive(ClientDouble):
    """Leaves out the rows of the first second of a range."""

    async def fetch_page(self, request: PageRequest) -> Page:
        since, until = request.slice_
        return await super().fetch_page(request._replace(slice_=Slice(since + timedelta(seconds=1), until)))


class SlowClock(ClientDouble):
    """Has a clock that is a day behind ours."""

    clock_offset = timedelta(days=-1)


class BySizeAsked(ClientDouble):
    """Holds 10 rows a page at most, and counts pages by the size asked for: the rows between are on no page."""

    async def fetch_page(self, request: PageRequest) -> Page:
        page = await super().fetch_page(request)
        return page._replace(rows=page.rows[:10])


class TimeKeyset(ClientDouble):
    """The second page begins after the time of the first one's last row, and so leaves out the others of that time."""

    async def fetch_page(self, request: PageRequest) -> Page:
        page = await super().fetch_page(request)
        return page._replace(rows=[], next_token=None) if request.page_token else page
