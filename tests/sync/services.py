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


class UpToMidnight(ClientDouble):
    """Answers a range of more than a day only up to the last midnight before its end."""

    async def fetch_page(self, request: PageRequest) -> Page:
        since, until = request.slice_
        if until - since > timedelta(days=1):
            until = max(since, until.replace(hour=0, minute=0, second=0, microsecond=0))
        return await super().fetch_page(request._replace(slice_=Slice(since, until)))


class UpToMonday(ClientDouble):
    """Answers a range of more than a week only up to the last Monday before its end."""

    async def fetch_page(self, request: PageRequest) -> Page:
        since, until = request.slice_
        if until - since > timedelta(days=7):
            monday = until - timedelta(days=until.weekday())
            until = max(since, monday.replace(hour=0, minute=0, second=0, microsecond=0))
        return await super().fetch_page(request._replace(slice_=Slice(since, until)))


class FirstDay(ClientDouble):
    """Answers only the first day of a range of more than a week."""

    async def fetch_page(self, request: PageRequest) -> Page:
        since, until = request.slice_
        if until - since > timedelta(days=7):
            until = since + timedelta(days=1)
        return await super().fetch_page(request._replace(slice_=Slice(since, until)))


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


class FirstPageOnly(ClientDouble):
    """Gives at most 10 rows of a range, whichever page is asked for."""

    async def fetch_page(self, request: PageRequest) -> Page:
        page = await super().fetch_page(request)
        return Page([]) if request.page_token else page._replace(rows=page.rows[:10])


class FilteredAfterCut(ClientDouble):
    """Cuts its pages from the rows of all times, newest first, and then leaves out those outside the range."""

    async def fetch_page(self, request: PageRequest) -> Page:
        since, until = request.slice_
        number = int(request.page_token or 1)
        self.calls.append((request.slice_, number, request.size))
        page = self._dated()[(number - 1) * request.size : number * request.size]
        rows = [row for at, row in page if since <= at < until]
        return Page(rows, next_token=str(number + 1) if rows else None)


class CutByChance(ClientDouble):
    """Cuts each page at another number of rows, and counts pages by the number of rows that was asked for."""

    cuts = (11, 5, 8)

    async def fetch_page(self, request: PageRequest) -> Page:
        page = await super().fetch_page(request)
        rows = page.rows[: self.cuts[len(self.calls) % len(self.cuts)]]
        return Page(rows, next_token=page.next_token if rows else None)


class TotalSoFar(CutByChance):
    """Also states as the total the number of rows up to the end of the page."""

    async def fetch_page(self, request: PageRequest) -> Page:
        page = await super().fetch_page(request)
        number = int(request.page_token or 1)
        return page._replace(total=(number - 1) * request.size + len(page.rows))


class EmptyAnswerAgain(ClientDouble):
    """Returns an older, empty answer once, as a proxy may: for a range within one that has just filled a page."""

    full: Slice | None = None
    has_repeated = False

    async def fetch_page(self, request: PageRequest) -> Page:
        full, asked = self.full, request.slice_
        if full is not None and full.since <= asked.since < asked.until < full.until and not self.has_repeated:
            self.has_repeated = True
            return Page(())
        page = await super().fetch_page(request)
        if len(page.rows) >= request.size:
            self.full = asked
        return page


class Reach(ClientDouble):
    """Gives at most 30 rows of a question on all of its pages."""

    async def fetch_page(self, request: PageRequest) -> Page:
        page = await super().fetch_page(request)
        left = max(0, 30 - (int(request.page_token or 1) - 1) * request.size)
        rows = page.rows[:left]
        return Page(rows, next_token=page.next_token if rows else None)
