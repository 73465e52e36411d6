"""Importing the same pages in any split and order, any number of times, gives the same ledger."""

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from liushui.importing.merge import Position, position_of
from liushui.instant import to_us
from liushui.ledger.engine import Ledger
from liushui.ledger.flow_row import read_rows
from liushui.ledger.maintenance.verify import Verified, verify
from liushui.ledger.read.filters import FlowFilter
from liushui.ledger.read.flows import list_flows
from liushui.ledger.write.commit import commit_slice
from liushui.provider import Slice
from liushui.providers._longbridge.codec import BUSINESS_TYPE
from liushui.providers.longbridge import codec
from tests.importing.flows_digest import flows_digest
from tests.importing.inputs import SECOND, envelope, import_texts, new_ledger, row
from tests.ledger.reading import statuses

DOCUMENT_SAMPLE = """
{
  "code": 0,
  "data": {
    "list": [
      {
        "transaction_flow_name": "股票買入成交",
        "direction": 1,
        "balance": "-248.60",
        "currency": "USD",
        "business_time": "1621507957",
        "symbol": "AAPL.US",
        "description": "AAPL"
      },
      {
        "transaction_flow_name": "股票買入成交",
        "direction": 1,
        "balance": "-125.16",
        "currency": "USD",
        "business_time": "1621504824",
        "symbol": "AAPL.US",
        "description": "AAPL"
      }
    ]
  }
}
"""

ROWS = st.lists(
    st.builds(row, st.integers(0, 6), st.sampled_from(["-1.00", "-2.00"]), label=st.sampled_from(["x", "y"])),
    min_size=1,
    max_size=30,
)
"""Few seconds, amounts and names: equal rows, and rows that differ by their name alone, are common."""


@contextmanager
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def newest_first(rows: list[bytes]) -> list[bytes]:
    return sorted(rows, key=lambda one: codec.read(one).flow.at, reverse=True)


def paged(rows: list[bytes], size: int) -> list[bytes]:
    rows = newest_first(rows)
    return [envelope(rows[at : at + size]) for at in range(0, len(rows), size)]


def identities(rows: list[bytes]) -> Counter[str]:
    return Counter(codec.read(one).flow.identity for one in rows)


def held(ledger: Ledger) -> Counter[str]:
    return Counter(found.flow.identity for found in list_flows(ledger, FlowFilter()))


def assert_intact(ledger: Ledger) -> None:
    assert all(isinstance(found, Verified) for found in verify(ledger))


def pages_tell_all(rows: list[bytes], size: int) -> bool:
    """Whether every page has rows of two seconds or more: one that has not may be a whole second, or a part of it."""
    times = [codec.read(one).flow.at for one in newest_first(rows)]
    return all(times[at] != times[min(at + size, len(times)) - 1] for at in range(0, len(times), size))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(ROWS, st.integers(1, 12), st.data())
def test_any_split_any_order_any_number_of_times(rows: list[bytes], size: int, data: st.DataObject) -> None:
    pages = paged(rows, size)
    split = data.draw(st.lists(st.lists(st.sampled_from(pages), max_size=4), max_size=5), label="invocations before")
    rest = data.draw(st.permutations(pages), label="and at last each page, in this order")
    with scratch() as folder:
        whole = new_ledger(folder / "whole.db")
        import_texts(whole, folder, pages)
        ledger = new_ledger(folder / "ledger.db")
        for invocation in split:
            import_texts(ledger, folder, invocation)
        for page in rest:
            import_texts(ledger, folder, [page])
        assert flows_digest(ledger) == flows_digest(whole)
        if pages_tell_all(rows, size):
            assert held(ledger) == identities(rows)
        assert_intact(ledger)
        chain_before = statuses(ledger)
        import_texts(ledger, folder, list(rest))
        assert statuses(ledger) == chain_before, "pages that are known made a batch"
        whole.close()
        ledger.close()


def cut_at(rows: list[bytes], size: int) -> dict[str, set[Position]]:
    """At which ends of pages the rows of each identity stand that stand at any; within a page they close it."""
    ordered = newest_first(rows)
    ends: dict[str, set[Position]] = {}
    for at in range(0, len(ordered), size):
        flows = [codec.read(one).flow for one in ordered[at : at + size]]
        for flow in flows:
            side = position_of(to_us(flow.at), (to_us(flows[-1].at), to_us(flows[0].at)))
            ends.setdefault(flow.identity, set()).add(side)
    return ends


def agree(rows: list[bytes], size: int, other: int) -> bool:
    """Whether no row stands whole at the end of a page of one size, and whole at the beginning of one of the other:
    that looks like a cut between two equal rows."""
    one, two = cut_at(rows, size), cut_at(rows, other)
    return all(
        Position.WITHIN in one[identity] | two[identity]
        or one[identity] == two[identity]
        or 2 in (len(one[identity]), len(two[identity]))
        for identity in one
    )


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(ROWS, st.integers(2, 12), st.integers(2, 12))
def test_the_same_rows_in_pages_of_two_sizes(rows: list[bytes], size: int, other: int) -> None:
    """A row that ends a page of one size may begin one of another: it may be counted twice, until a sync proves it."""
    assume(pages_tell_all(rows, size) and pages_tell_all(rows, other))
    begin = datetime.fromtimestamp(SECOND, UTC)
    with scratch() as folder:
        ledger = new_ledger(folder / "ledger.db")
        import_texts(ledger, folder, paged(rows, size) + paged(rows, other))
        assert held(ledger) >= identities(rows)
        received, _ = read_rows(codec, rows)
        commit_slice(ledger, "a", Slice(begin, begin + timedelta(days=1)), read_at=datetime.now(UTC), received=received)
        assert held(ledger) == identities(rows)
        assert_intact(ledger)
        ledger.close()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(ROWS, st.integers(1, 12), st.integers(0, 6), st.integers(1, 7))
def test_what_a_sync_has_proven_is_not_recounted(rows: list[bytes], size: int, first: int, length: int) -> None:
    begin = datetime.fromtimestamp(SECOND + first, UTC)
    asked = Slice(begin, begin + timedelta(seconds=length))
    proven = [one for one in rows if asked.since <= codec.read(one).flow.at < asked.until]
    received, _ = read_rows(codec, proven)
    with scratch() as folder:
        ledger = new_ledger(folder / "ledger.db")
        commit_slice(ledger, "a", asked, read_at=datetime.now(UTC), received=received)
        import_texts(ledger, folder, paged(rows, size))
        inside = Counter(
            found.flow.identity for found in list_flows(ledger, FlowFilter(since=asked.since, until=asked.until))
        )
        assert inside == identities(proven)
        assert_intact(ledger)
        import_texts(ledger, folder, paged(rows, size))
        commit_slice(ledger, "a", asked, read_at=datetime.now(UTC), received=received)
        assert_intact(ledger)
        ledger.close()


def test_a_sync_after_an_import_says_what_is_there(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path / "ledger.db")
    import_texts(ledger, tmp_path, [envelope([row(3), row(2)]), envelope([row(2), row(1)])])
    assert sum(held(ledger).values()) == 4
    begin = datetime.fromtimestamp(SECOND, UTC)
    received, _ = read_rows(codec, [row(3), row(2), row(1)])
    asked = Slice(begin, begin + timedelta(seconds=10))
    committed = commit_slice(ledger, "a", asked, read_at=datetime.now(UTC), received=received)
    assert (committed.added, committed.withdrawn) == (0, 1)
    assert_intact(ledger)


def test_the_documents_own_sample(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path / "ledger.db")
    imported = import_texts(ledger, tmp_path, [DOCUMENT_SAMPLE.encode()])
    assert (imported.rows, imported.added, imported.rejected) == (2, 2, 0)
    first, second = list_flows(ledger, FlowFilter())
    assert (str(first.flow.amount), str(second.flow.amount)) == ("-125.16", "-248.60")
    assert first.flow.detail == {BUSINESS_TYPE: None}
    with ledger.reading() as connection:
        served = connection.exec_driver_sql("SELECT served FROM flows").scalars().all()
    assert all('"business_type":0' in text for text in served)


@pytest.mark.parametrize("form", ["lines", "array"])
def test_bad_rows_are_kept_apart_with_their_bytes_and_hide_no_other(tmp_path: Path, form: str) -> None:
    good, bad = [row(second) for second in range(5)], [b'{"direction":1}', b"nonsense", b'{"direction":1}']
    mixed = [good[0], bad[0], *good[1:3], bad[1], bad[2], *good[3:]]
    text = b"\n".join(mixed) if form == "lines" else b"[" + b",".join(mixed) + b"]"
    ledger = new_ledger(tmp_path / "ledger.db")
    for times in range(2):
        imported = import_texts(ledger, tmp_path, [text])
        assert (imported.rows, imported.rejected) == (8, 3)
        assert (imported.added, imported.known, imported.quarantined) == ((5, 0, 3) if times == 0 else (0, 5, 0))
    with ledger.reading() as connection:
        kept = connection.exec_driver_sql("SELECT wire, field, reason FROM quarantine").all()
    assert Counter(wire for wire, _, _ in kept) == Counter(bad)
    assert {field for _, field, _ in kept} == {"transaction_flow_name", "row"}
    assert all(reason for _, _, reason in kept)
    assert_intact(ledger)


def test_a_document_larger_than_a_chunk(tmp_path: Path) -> None:
    """Equal rows far apart in a file that is in no order meet all the same."""
    rows = [row(second % 6_000, "-1.00") for second in range(12_000)]
    ledger = new_ledger(tmp_path / "ledger.db")
    imported = import_texts(ledger, tmp_path, [b"\n".join(rows)])
    assert imported.added == 12_000
    assert held(ledger) == identities(rows)
    assert import_texts(ledger, tmp_path, [b"[" + b",".join(reversed(rows)) + b"]"]).added == 0
    assert_intact(ledger)
