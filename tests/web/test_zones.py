"""The time zone of times: one for each view, named once, chosen by the reader."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, expect

from liushui.ledger.write.commit import make_account
from liushui.provider import Slice
from liushui.testing.clock import NOON
from tests.ledger.ledgers import commit_read, new_ledger
from tests.web.bridge import browsing_as
from tests.web.ledgers import BEGIN, fill, reading, row
from tests.web.test_flows import ROWS, fetch
from tests.web.visitor import Visitor, visiting

PAGES: Final = ("/", "/flows", "/flows/quarantine", "/accounts/a", "/sources/a", "/reconcile/a/2025-11")
FIRST: Final = "?symbol=AAPL.US"
"""The filter of one flow, at 02:00 on November 1, 2025 in the account's zone."""


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Visitor]:
    """A visitor to two accounts of one zone."""
    with reading(tmp_path) as visitor:
        yield visitor


def choose(visitor: Visitor, zone: str) -> None:
    assert visitor.post("/preferences", {"zone": zone, "next": "/"}).status_code == 303


def time_of_row(visitor: Visitor) -> str:
    (line,) = fetch(visitor, f"{ROWS}{FIRST}")["rows"]
    return str(line[1])


def named_zones(visitor: Visitor, path: str) -> list[str]:
    """The zones that a page names, without those of the settings and of the filter, where one is chosen."""
    html = visitor.get(path).text
    shown = re.sub(
        r"<form[^>]*/preferences.*?</form>|<select.*?</select>|<script.*?</script>|<[^>]*>", " ", html, flags=re.DOTALL
    )
    return re.findall(r"Asia/\w+|America/\w+|UTC", shown)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_names_one_zone(reader: Visitor, path: str) -> None:
    assert set(named_zones(reader, path)) == {"Asia/Hong_Kong"}
    choose(reader, "America/New_York")
    others = {"Asia/Hong_Kong"} if path in ("/flows", "/accounts/a", "/sources/a", "/reconcile/a/2025-11") else set()
    assert set(named_zones(reader, path)) == {"America/New_York", *others}, "days stay those of the account"


def test_times_are_in_the_zone_that_was_chosen(reader: Visitor) -> None:
    key = fetch(reader, f"{ROWS}{FIRST}")["rows"][0][0]
    assert time_of_row(reader) == "2025-11-01 02:00:00"
    assert "Nov 1, 2025, 02:00:00" in reader.get(f"/page/flows/flow?key={key}").text
    choose(reader, "UTC")
    assert time_of_row(reader) == "2025-10-31 18:00:00"
    assert "Oct 31, 2025, 18:00:00" in reader.get(f"/page/flows/flow?key={key}").text
    choose(reader, "Nowhere/Else")
    assert time_of_row(reader) == "2025-10-31 18:00:00", "a zone that does not exist changes nothing"
    choose(reader, "account")
    assert time_of_row(reader) == "2025-11-01 02:00:00"


def test_going_to_a_day_means_the_day_that_is_shown(reader: Visitor) -> None:
    choose(reader, "UTC")
    assert fetch(reader, f"{ROWS}?at=2025-10-31&account=a")["rows"][0][1].startswith("2025-10-31 18:00:00")


def test_accounts_of_several_zones_are_shown_in_utc(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path, "a", "b")
    make_account(ledger, "c", "longbridge", "America/New_York")
    fill(ledger)
    commit_read(ledger, Slice(BEGIN, NOON), row("c1", timedelta(), "1.00"), account="c", read_at=NOON)
    with visiting(ledger) as visitor:
        visitor.log_in()
        html = visitor.get("/flows").text
        assert 'data-zone="UTC"' in html and "Dates are days in the zone of each account." in html
        assert time_of_row(visitor) == "2025-10-31 18:00:00"
        assert set(named_zones(visitor, "/")) == {"UTC"}
    ledger.close()


def test_the_list_and_the_drawer_have_one_clock(reader: Visitor, browser: Browser) -> None:
    with browsing_as(reader, browser, timezone_id="America/New_York") as page:
        page.goto(f"/flows{FIRST}")
        page.locator("details[data-menu] > summary", has_text="Display settings").click()
        page.get_by_role("button", name="This browser's").click()
        page.goto(f"/flows{FIRST}")
        first = page.locator("#ledger [data-key]").first
        expect(first.locator(".time")).to_have_text("2025-10-31 14:00:00")
        first.click()
        expect(page.locator("#drawer time").first).to_have_text("Oct 31, 2025, 14:00:00")
