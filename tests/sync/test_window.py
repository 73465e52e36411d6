"""Long ranges are believed once the service has answered them whole. The next sync uses this observation."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.source_state import list_observations
from liushui.provider import Page, PageRequest
from liushui.providers.longbridge import codec
from liushui.providers.longbridge.rules import RULES
from liushui.sync.events import SyncStatus
from liushui.sync.options import Options
from liushui.testing.provider_client_double import ClientDouble
from tests.sync.rows import BEGIN, NOW, hourly, new_ledger, row, source
from tests.sync.running import World, amounts, amounts_of, clock_of, synced
from tests.sync.services import FirstDay, NewestPart, UpToMonday

KEPT = RULES.observations_kept
LONG_AGO = datetime(2015, 1, 1, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return new_ledger(tmp_path)


def observed(ledger: Ledger) -> dict[str, str]:
    return {observation.name: observation.value for observation in list_observations(ledger, "a")}


def test_a_service_that_cuts_long_ranges_loses_nothing_and_is_remembered(ledger: Ledger) -> None:
    rows = hourly(10)
    assert synced(ledger, NewestPart(codec, rows)).status is SyncStatus.DONE
    assert amounts(ledger) == amounts_of(rows)
    limit = timedelta(seconds=int(observed(ledger)["range_limit_s"]))
    assert timedelta(days=1) < limit <= NewestPart.window
    again = NewestPart(codec, rows)
    synced(ledger, again, Options(everything=True))
    assert max(asked.until - asked.since for asked, _, _ in again.calls) <= limit + timedelta(seconds=2)


def test_years_without_rows_cost_few_calls_where_rows_show_the_window(ledger: Ledger) -> None:
    client = ClientDouble(codec, hourly(10))
    (result,) = World(clock_of(ledger), {"a": client}).sync(ledger, source(since=LONG_AGO))
    assert result.status is SyncStatus.DONE
    assert amounts(ledger) == amounts_of(client.rows)
    weeks = (NOW - LONG_AGO) / timedelta(weeks=1)
    assert len(client.calls) < weeks / 1.2


def test_an_account_without_rows_is_read_week_by_week_once(ledger: Ledger) -> None:
    """Nothing shows how long a range the service answers."""
    client = ClientDouble(codec, [])
    (result,) = World(clock_of(ledger), {"a": client}).sync(ledger, source(since=LONG_AGO))
    weeks = -(-(NOW - LONG_AGO) // timedelta(weeks=1))
    assert result.status is SyncStatus.DONE
    assert weeks < len(client.calls) < 1.1 * weeks
    again = ClientDouble(codec, [])
    World(clock_of(ledger), {"a": again}).sync(ledger, source(since=LONG_AGO))
    assert len(again.calls) <= 8, "no row shows that the ends of a range are answered, so these are requested alone"


def test_years_that_were_answered_completely_cost_few_calls_from_then_on(ledger: Ledger) -> None:
    """The first sync shows the longest range, and not yet that ranges of that length are answered up to their ends."""
    rows = hourly(10, begin=NOW - timedelta(days=1500))
    counts = []
    for _ in range(3):
        client = ClientDouble(codec, rows)
        world = World(clock_of(ledger), {"a": client})
        (result,) = world.sync(ledger, source(since=LONG_AGO), options=Options(everything=True))
        assert result.status is SyncStatus.DONE
        assert amounts(ledger) == amounts_of(rows)
        counts.append(len(client.calls))
    assert counts[2] < counts[0], "what it lacked was shown by the second one"


def test_rows_of_one_week_among_years_are_found(ledger: Ledger) -> None:
    """The newest days of every long range are empty."""
    rows = [row(BEGIN - timedelta(days=900) + timedelta(hours=hour), f"-{hour}.00") for hour in range(1, 100)]
    service = NewestPart(codec, rows)
    service.window = timedelta(days=7, seconds=2)
    (result,) = World(clock_of(ledger), {"a": service}).sync(ledger, source(since=LONG_AGO))
    assert result.status is SyncStatus.DONE
    assert amounts(ledger) == amounts_of(rows)


@pytest.mark.parametrize("service", [UpToMonday, FirstDay])
@pytest.mark.parametrize("days", [2, 7])
def test_a_service_that_answers_a_week_loses_none_of_few_rows(
    ledger: Ledger, service: type[ClientDouble], days: int
) -> None:
    """Also the requests that show that weeks are whole, which are a step longer at each end, must not be cut."""
    rows = [row(BEGIN + timedelta(days=days, hours=5, minutes=7))]
    (result,) = World(clock_of(ledger), {"a": service(codec, rows)}).sync(ledger, source(since=LONG_AGO))
    assert result.status is SyncStatus.DONE
    assert amounts(ledger) == amounts_of(rows)


def test_a_second_sync_starts_from_what_the_first_one_saw(ledger: Ledger) -> None:
    synced(ledger, ClientDouble(codec, hourly(10, begin=BEGIN + timedelta(minutes=7))))
    assert timedelta(seconds=int(observed(ledger)["whole_range_s"])) > timedelta(days=7)
    again = ClientDouble(codec, hourly(10, begin=BEGIN + timedelta(minutes=7)))
    synced(ledger, again)
    assert len(again.calls) == 5, "a page, the empty ones after it, and the parts before and after its rows"


def test_a_page_cap_is_remembered_and_lifted(ledger: Ledger) -> None:
    rows = hourly(10, begin=BEGIN + timedelta(minutes=7))
    synced(ledger, ClientDouble(codec, rows, cap=20), Options(size=100))
    assert observed(ledger)["page_cap"] == "20"
    again = ClientDouble(codec, rows, cap=20)
    synced(ledger, again, Options(size=100, everything=True))
    pages = [asked for asked, number, _ in again.calls if number == 1]
    assert len(pages) < 1.5 * len(rows) / (0.7 * 20)
    for _ in range(3):
        synced(ledger, ClientDouble(codec, rows), Options(size=100, everything=True))
    assert amounts(ledger) == amounts_of(rows)


# ---------------------------------------------------------------- tested again


def longest_slice(client: ClientDouble) -> timedelta:
    """The longest range that was asked for among the rows."""
    end = BEGIN + timedelta(days=10)
    return max(asked.until - asked.since for asked, _, _ in client.calls if asked.since >= BEGIN and asked.until < end)


def test_a_cap_that_a_service_has_lifted_is_forgotten_when_it_is_tested_again(ledger: Ledger) -> None:
    rows = hourly(10)
    whole = Options(size=100, everything=True)
    synced(ledger, ClientDouble(codec, rows, cap=20), whole)
    clock_of(ledger).move(KEPT / 2)
    capped = ClientDouble(codec, rows, cap=20)
    synced(ledger, capped, whole)
    assert observed(ledger)["page_cap"] == "20", "it is believed for some time"
    clock_of(ledger).move(KEPT / 2)
    lifted = ClientDouble(codec, rows)
    synced(ledger, lifted, whole)
    assert "page_cap" not in observed(ledger)
    clock_of(ledger).move(timedelta(hours=1))
    again = ClientDouble(codec, rows)
    synced(ledger, again, whole)
    assert longest_slice(again) > 2 * longest_slice(capped)


def test_a_window_that_has_become_shorter_is_found_when_it_is_tested_again(ledger: Ledger) -> None:
    rows = hourly(10)
    synced(ledger, ClientDouble(codec, rows))
    assert timedelta(seconds=int(observed(ledger)["whole_range_s"])) > NewestPart.window
    clock_of(ledger).move(KEPT)
    late = [row(BEGIN + timedelta(hours=hour, minutes=30), f"-{hour}.50") for hour in range(240)]
    result = synced(ledger, NewestPart(codec, rows + late), Options(everything=True))
    assert result.status is SyncStatus.DONE
    assert amounts(ledger) == amounts_of(rows + late)
    assert timedelta(seconds=int(observed(ledger)["range_limit_s"])) <= NewestPart.window


def test_a_test_costs_about_as_much_as_the_first_one_and_holds_as_long(ledger: Ledger) -> None:
    first = ClientDouble(codec, hourly(10))
    synced(ledger, first)
    clock_of(ledger).move(KEPT)
    again = ClientDouble(codec, hourly(10))
    synced(ledger, again, Options(everything=True))
    assert len(again.calls) <= 2 * len(first.calls), "it also reads the days that have passed"
    (window,) = [known for known in list_observations(ledger, "a") if known.name == "whole_range_s"]
    assert window.observed_at == ledger.clock()


class Miscounting(ClientDouble):
    """Counts a row in every ninth range that has none."""

    async def fetch_page(self, request: PageRequest) -> Page:
        page = await super().fetch_page(request)
        return page if page.rows or len(self.calls) % 9 else page._replace(total=1)


def test_wrong_totals_of_empty_ranges_do_not_make_the_proof_begin_again_and_again(ledger: Ledger) -> None:
    """All rows are so new that nothing shows how far back the service answers."""
    days = 200
    client = Miscounting(codec, [row(NOW - timedelta(hours=3), "-1.00")])
    (result,) = World(clock_of(ledger), {"a": client}).sync(ledger, source(since=NOW - timedelta(days=days)))
    assert result.status is SyncStatus.DONE
    assert amounts(ledger) == amounts_of(client.rows)
    assert len(client.calls) < 4 * days
