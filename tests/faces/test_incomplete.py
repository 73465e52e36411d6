"""Ledgers that lack flows: no face calls any of their sums complete, and each face gives the reason."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from liushui.errors import ConfigError
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.sources import add_source
from liushui.ledger.write.commit import commit_gap, make_account
from liushui.ledger.write.stated_balances import Statement, state_balance
from liushui.provider import Slice
from liushui.providers.wecom.rules import RULES as WECOM
from liushui.testing.clock import NOON
from tests.engines import LedgerStore, store_of
from tests.faces.faces import Faces, open_faces
from tests.ledger.ledgers import commit_read, import_page, make_row, new_ledger, rejected_row

SHANGHAI = ZoneInfo("Asia/Shanghai")
VIEWS = ("balances", "summary", "status", "coverage", "flows")


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LedgerStore]:
    yield from store_of(request, tmp_path)


@pytest.fixture
def ledger(ledger_store: LedgerStore) -> Iterator[Ledger]:
    ledger = new_ledger(ledger_store, "broker")
    yield ledger
    ledger.close()


@pytest.fixture
def faces(ledger: Ledger) -> Iterator[Faces]:
    with open_faces(ledger) as faces:
        yield faces


def begin_source(ledger: Ledger, account: str, since: datetime) -> None:
    add_source(ledger, account=account, base_url="http://127.0.0.1:1", credentials={}, since=since, paced=True)


def causes(faces: Faces) -> set[str]:
    """Why the API says that balances are not complete."""
    return {gap["cause"] for gap in faces.caller.get("/balances")["gaps"]}


def assert_incomplete(faces: Faces) -> None:
    """Ask everything, and find nothing complete."""
    for view in VIEWS:
        code, _ = faces.run(view)
        assert code == 3, view
    _, rows = faces.run("balances")
    assert not any(row["complete"] or row["proven"] for row in rows)
    assert all(row["reason"] for row in rows)
    for path in ("/balances", "/summary", "/coverage", "/flows"):
        assert not faces.caller.get(path)["complete"], path
    assert not faces.caller.get("/balances")["covered"]
    assert not any(account["complete"] for account in faces.caller.get("/accounts")["accounts"])
    assert not any(balance.is_complete for balance in faces.page_balances().values())
    assert "All is well" not in faces.visitor.get("/").text
    assert "tag good" not in faces.visitor.get("/page/flows/totals").text


def test_a_sync_that_begins_later_than_its_source(ledger: Ledger, faces: Faces) -> None:
    begin_source(ledger, "broker", datetime(2021, 1, 1, tzinfo=UTC))
    begin = datetime(2023, 6, 1, tzinfo=UTC)
    commit_read(ledger, Slice(begin, NOON), make_row("1", begin, "5.00"), account="broker", read_at=NOON)
    assert_incomplete(faces)
    assert causes(faces) == {"not_read"}
    (row,) = faces.caller.get("/balances")["balances"]
    assert (row["measure"], row["since"]) == ("net_change", "2023-06-01T00:00:00Z")
    assert "Net change since Jun 1, 2023" in faces.visitor.get("/").text


def test_a_shop_that_is_synced_after_its_provider_deleted_rows(ledger: Ledger, faces: Faces) -> None:
    make_account(ledger, "shop", "wecom", "Asia/Shanghai")
    begin_source(ledger, "shop", datetime(2022, 12, 1, tzinfo=SHANGHAI))
    kept = datetime(2023, 1, 2, tzinfo=SHANGHAI)
    row = make_row("1", kept + timedelta(days=9), "-25.00", currency="CNY")
    commit_read(ledger, Slice(kept, NOON - timedelta(days=1)), row, account="shop", read_at=NOON)
    begin_source(ledger, "broker", NOON)
    assert_incomplete(faces)
    assert "not_kept" in causes(faces)
    (balance,) = faces.caller.get("/balances", account="shop")["balances"]
    assert (balance["amount"], balance["measure"], balance["since"]) == (
        "-25.00",
        "net_change",
        "2023-01-01T16:00:00Z",
    ), "a negative sum of a part is no balance"
    assert "older than what the provider keeps" in faces.visitor.get("/").text


@pytest.mark.parametrize("balance_after", [None, "75.00"])
def test_a_month_before_the_floor_that_nobody_can_read(ledger: Ledger, faces: Faces, balance_after: str | None) -> None:
    """The provider refuses requests before its floor. That says nothing about rows before it."""
    floor = datetime(2022, 12, 1, tzinfo=SHANGHAI)
    make_account(ledger, "shop", "wecom", "Asia/Shanghai")
    begin_source(ledger, "shop", floor)
    row = make_row("1", floor + timedelta(days=9), "-25.00", currency="CNY", balance=balance_after)
    commit_read(ledger, Slice(floor, NOON), row, account="shop", read_at=NOON)
    for view in ("flows", "summary"):
        assert faces.run(view, "shop", "--since", "2022-12-01", "--until", "2023-01-01")[0] == 0
        code, _ = faces.run(view, "shop", "--since", "2022-11-01", "--until", "2022-12-01")
        assert code == 3, view
    assert faces.run("balances", "shop", "--at", "2022-11-30")[0] == 3
    ranges: dict[str, dict[str, str]] = {
        "/flows": {"since": "2022-11-01", "until": "2022-12-01"},
        "/summary": {"first_day": "2022-11-01", "last_day": "2022-11-30"},
        "/balances": {"at": "2022-11-30"},
    }
    for path, params in ranges.items():
        answer = faces.caller.get(path, account="shop", **params)
        assert not answer["complete"], path
        assert {gap["cause"] for gap in answer["gaps"]} == {"before_floor"}, path
    page = faces.visitor.get("/page/flows/totals?account=shop&since=2022-11-01&until=2022-12-01").text
    assert "older than what the provider&#39;s API answers" in page
    (shown,) = faces.caller.get("/balances", account="shop")["balances"]
    if balance_after is None:
        assert (shown["amount"], shown["measure"], shown["since"]) == ("-25.00", "net_change", "2022-11-30T16:00:00Z")
    else:
        assert (shown["amount"], shown["measure"], shown["opening"]) == ("75.00", "balance", "100.00")
    assert shown["complete"], "all flows since then are known"
    with pytest.raises(ConfigError, match="answers nothing before"):
        state_balance(ledger, Statement("shop", date(2022, 11, 30), "CNY", Decimal(1)), WECOM)


@pytest.mark.parametrize("accepted", [270, 0])
def test_a_read_with_rejected_rows(ledger: Ledger, faces: Faces, accepted: int) -> None:
    begin = datetime(2025, 12, 1, tzinfo=UTC)
    begin_source(ledger, "broker", begin)
    rows = [make_row(f"{number}", begin + timedelta(minutes=number), "1.00") for number in range(accepted)]
    rejected = [rejected_row(f"{number}") for number in range(300 - accepted)]
    commit_read(ledger, Slice(begin, NOON), *rows, rejected=rejected, account="broker", read_at=NOON)
    assert_incomplete(faces)
    assert causes(faces) == {"rejected_rows"}
    (gap,) = faces.caller.get("/balances")["gaps"]
    assert gap["reason"] == f"{300 - accepted} rejected rows"
    commit_read(ledger, Slice(begin, NOON), *rows, account="broker", read_at=NOON)
    assert faces.run("balances")[0] == 0, "a read without them has resolved them"
    assert faces.caller.get("/balances")["complete"]


def test_a_read_that_failed(ledger: Ledger, faces: Faces) -> None:
    begin = datetime(2025, 12, 1, tzinfo=UTC)
    begin_source(ledger, "broker", begin)
    commit_read(ledger, Slice(begin, begin + timedelta(days=9)), make_row("1", begin), account="broker", read_at=NOON)
    commit_gap(ledger, "broker", Slice(begin + timedelta(days=9), NOON), tried_at=NOON, reason="HTTP 502")
    assert_incomplete(faces)
    (gap,) = faces.caller.get("/balances")["gaps"]
    assert gap["reason"] == "read failed: HTTP 502"


def test_imported_rows_prove_nothing(ledger: Ledger, faces: Faces) -> None:
    import_page(ledger, make_row("1", NOON - timedelta(days=3), "5.00"), account="broker")
    code, (row,) = faces.run("balances")
    assert (code, row["complete"], row["measure"]) == (3, False, "net_change")
    code, (row,) = faces.run("summary")
    assert (code, row["complete"]) == (3, False)
    assert [faces.run(view)[0] for view in ("flows", "coverage", "status")] == [0, 0, 0], "no gap is known of"
    assert causes(faces) == {"no_source"}


def test_a_flow_after_the_newest_read_is_not_covered_by_it(ledger: Ledger, faces: Faces) -> None:
    begin = datetime(2025, 12, 1, tzinfo=UTC)
    begin_source(ledger, "broker", begin)
    commit_read(ledger, Slice(begin, begin + timedelta(days=9)), make_row("1", begin), account="broker", read_at=NOON)
    assert faces.run("balances")[0] == 0
    import_page(ledger, make_row("2", begin + timedelta(days=12), "5.00"), account="broker")
    assert_incomplete(faces)
