"""How the OKX client goes from page to page."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from liushui.errors import WireError
from liushui.provider import Page, PageRequest, Slice
from liushui.providers.okx import PROVIDER

DAY = Slice(datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 6, tzinfo=UTC))
CREDENTIALS = {"api_key": "k", "api_secret": "s", "passphrase": "p"}


def fetch(monkeypatch: pytest.MonkeyPatch, size: int, *ids: str) -> Page:
    """The page that the client makes of an answer with bills of these ids."""
    bills = [{"billId": id_, "ts": str(int((DAY.since + timedelta(hours=1)).timestamp()) * 1000)} for id_ in ids]
    answer = json.dumps({"code": "0", "msg": "", "data": bills})
    real = httpx2.AsyncClient
    transport = httpx2.MockTransport(lambda _request: httpx2.Response(200, text=answer))
    monkeypatch.setattr(httpx2, "AsyncClient", lambda **given: real(**{**given, "transport": transport}))

    async def call() -> Page:
        client = PROVIDER.connect(base_url="https://p.test", credentials=CREDENTIALS, rate=None, timeout_s=5)
        try:
            return await client.fetch_page(PageRequest(DAY, size))
        finally:
            await client.close()

    return asyncio.run(call())


def test_the_next_page_begins_after_the_last_readable_id(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fetch(monkeypatch, 3, "9", "8", "x").next_token == "8"


def test_a_short_page_without_a_readable_id_is_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """One broken bill on a quiet day does not keep the day from being complete."""
    page = fetch(monkeypatch, 3, "x", "y")
    assert (len(page.rows), page.next_token) == (2, None)


def test_a_full_page_without_a_readable_id_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WireError, match="billId: expected ids of digits on a page of 2 bills, got none"):
        fetch(monkeypatch, 2, "x", "y")
