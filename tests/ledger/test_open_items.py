"""Outstanding items: transfers and refunds whose other side is unknown, equal to the list of a certificate."""

from datetime import UTC, datetime

import pytest

from liushui.certificate.keys import create_signing_key, load_signing_key
from liushui.certificate.make import make_certificate
from liushui.flow import Kind
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.sources import add_source
from liushui.ledger.read import open_items
from liushui.ledger.read.month_calendar import month_of, read_month
from liushui.ledger.read.open_items import OpenItems, list_open_items
from liushui.ledger.write.link_decisions import decide_link
from liushui.provider import DecodedRow, Slice
from liushui.providers import load_providers
from liushui.reconcile.links import LinkState
from tests.engines import LedgerStore
from tests.ledger.ledgers import commit_read, hour, make_row, new_ledger
from tests.ledger.reading import model_of
from tests.ledger.test_link_decisions import links_in

BEGIN, END = datetime(2018, 1, 1, tzinfo=UTC), datetime(2024, 5, 1, tzinfo=UTC)


@pytest.fixture
def ledger(ledger_store: LedgerStore) -> Ledger:
    """A transfer that may be either of two, one to nobody, a refund without a receipt, and a deposit from outside."""
    ledger = new_ledger(ledger_store, "a", "b")
    add_source(ledger, account="a", base_url="http://h", credentials={}, since=BEGIN, paced=True)
    rows = [
        make_row("left", 1, "-5000", kind=Kind.TRANSFER),
        make_row("lost", 40, "-17.25", kind=Kind.TRANSFER),
        make_row("back", 50, "-3.00", kind=Kind.REFUND),
        make_row("outside", 60, "9", kind=Kind.DEPOSIT),
    ]
    commit_read(ledger, Slice(BEGIN, END), *rows)
    arrived = [make_row(id_, at, "5000", kind=Kind.TRANSFER) for id_, at in (("near", 2), ("far", 5))]
    commit_read(ledger, Slice(BEGIN, END), *arrived, account="b")
    return ledger


def listed(ledger: Ledger, period: str = "2024-03") -> OpenItems:
    """The outstanding items of `a`."""
    model = model_of(ledger)
    with model.reading(("a",)) as reading:
        account = reading.accounts["a"]
        return list_open_items(reading, model.rules, account, month_of(read_month(period), account.name))


def ids(ledger: Ledger) -> list[str]:
    return [item.id for item in listed(ledger).items]


def test_what_has_no_other_side_is_outstanding_until_a_person_confirms_one(ledger: Ledger) -> None:
    assert ids(ledger) == ["left", "lost", "back"]
    (first, *_) = listed(ledger).items
    assert (first.kind, first.currency, str(first.amount)) == ("transfer", "USD", "-5000")
    assert first.age_days == (ledger.clock() - hour(1)).days
    model = model_of(ledger)
    decide_link(ledger, model.rules, links_in(ledger)["near"].id, LinkState.CONFIRMED, decided_by="li")
    assert ids(ledger) == ["lost", "back"]


def test_a_fee_of_an_order_that_the_ledger_does_not_have_is_outstanding(ledger: Ledger) -> None:
    def numbered(id_: str, at: float, amount: str, kind: Kind, order: str | None) -> DecodedRow:
        made = make_row(id_, at, amount, kind=kind, currency="CNY")
        return made._replace(flow=made.flow._replace(order_ref=order))

    rows = [
        numbered("receipt", 70, "10.00", Kind.RECEIPT, "A"),
        numbered("its fee", 71, "-0.06", Kind.FEE, "A"),
        numbered("fee of nothing", 72, "-0.03", Kind.FEE, "B"),
        numbered("monthly fee", 73, "-5.00", Kind.FEE, None),
    ]
    commit_read(ledger, Slice(hour(66), hour(80)), *rows)
    assert ids(ledger) == ["left", "lost", "back", "fee of nothing"]
    create_signing_key(ledger, "example.com/ledger")
    _, document = make_certificate(model_of(ledger), "a", "2024-03", load_signing_key(ledger), load_providers())
    assert [item["id"] for item in document.open_items.items] == ids(ledger)


def test_a_side_in_a_hidden_account_is_not_shown(ledger: Ledger) -> None:
    decide_link(ledger, model_of(ledger).rules, links_in(ledger)["near"].id, LinkState.CONFIRMED, decided_by="li")
    model = model_of(ledger).restricted_to(frozenset({"a"}))
    with model.reading(("a",)) as reading:
        account = reading.accounts["a"]
        found = list_open_items(reading, model.rules, account, month_of(read_month("2024-03"), account.name))
    assert [item.id for item in found.items] == ["left", "lost", "back"]
    create_signing_key(ledger, "example.com/ledger")
    _, document = make_certificate(model, "a", "2024-03", load_signing_key(ledger), load_providers())
    assert [item["id"] for item in document.open_items.items] == ["left", "lost", "back"]
    assert document.open_items.reason.endswith("as far as the maker of this certificate may see accounts")


def test_certificates_list_the_same(ledger: Ledger) -> None:
    decide_link(ledger, model_of(ledger).rules, links_in(ledger)["near"].id, LinkState.CONFIRMED, decided_by="li")
    create_signing_key(ledger, "example.com/ledger")
    _, document = make_certificate(model_of(ledger), "a", "2024-03", load_signing_key(ledger), load_providers())
    assert [(item["id"], item["age_days"]) for item in document.open_items.items] == [
        (item.id, str(item.age_days)) for item in listed(ledger).items
    ]


def test_an_incomplete_month_may_have_further_open_items(ledger: Ledger) -> None:
    assert listed(ledger, "2024-04") == OpenItems((), "")
    assert listed(ledger, "2024-06") == OpenItems((), "the period is not complete: not read yet")


def test_too_many_are_not_searched(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_items, "ROWS_MAX", 2)
    assert listed(ledger) == OpenItems((), "3 transfers and refunds: more than 2")
