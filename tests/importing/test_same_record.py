"""Rows of a known record: counted once, in however many files, and never dropped if they differ."""

import gzip
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest

from liushui.importing.run import Imported, import_files
from liushui.ledger.engine import Ledger
from liushui.ledger.flow_row import read_rows
from liushui.ledger.read.filters import FlowFilter
from liushui.ledger.read.flows import list_flows
from liushui.ledger.write.change import RESTATED
from liushui.ledger.write.commit import commit_slice, make_account
from liushui.ledger.write.undo import undo_import
from liushui.provider import Slice
from liushui.providers import get_provider
from liushui.testing.empty_ledger import create_ledger
from tests.importing.flows_digest import flows_digest
from tests.importing.test_import import assert_intact

SECOND: Final = 1_746_775_360
Fields = Mapping[str, Any]


def hkus(number: int, amount: str = "10.00", **fields: object) -> bytes:
    row = {"id": number, "date": SECOND + 60 * number, "base_currency": "USD", "amt": amount, "io_type": "in"}
    row |= {"business_type": "other", "business_sub_type": "deposit"} | fields
    text = json.dumps({name: value for name, value in row.items() if value is not None}, separators=(",", ":"))
    return text.replace(f'"{amount}"', amount).encode()


def wecom(number: int, amount: str = "10.00", **fields: object) -> bytes:
    row = {"timestamp": SECOND + 60 * number, "request_no": f"R{number}", "transaction_type": 3, "fund_flow_type": 1}
    row |= {"transaction_amount": int(Decimal(amount) * 100), "account_balance": number, "mch_id": "1600000000"}
    return json.dumps(row | fields).encode()


def wooxpro(number: int, amount: str = "10.00", **fields: object) -> bytes:
    row = {"symbol": "", "flow_type": 1, "type": "Transfer", "amount": amount, "asset": "USDT", "account": "futures"}
    row |= {"time": str((SECOND + 60 * number) * 1_000), "tran_id": str(90 + number)}
    return json.dumps(row | fields).encode()


ROWS: Final = {"hkus": hkus, "wecom": wecom, "wooxpro": wooxpro}
RESTATING: Final = ("hkus", "wecom")
"""Providers whose id is that of one record."""
TIMES: Final = {"hkus": lambda at: {"date": at}, "wecom": lambda at: {"timestamp": at}}


def answer(provider: str, rows: Iterable[bytes]) -> bytes:
    form = {
        "hkus": b'{"code":0,"data":{"total_records":9,"page":1,"page_size":20,"transactions":[%b]}}',
        "wecom": b'{"errcode":0,"errmsg":"ok","fund_flow_list":[%b]}',
        "wooxpro": b'{"code":1000,"message":"Ok","data":[%b],"trace":"x"}',
    }[provider]
    return form % b",".join(rows)


class Book:
    """A ledger with one account of a provider, and the files that are imported into it."""

    def __init__(self, folder: Path, provider: str, name: str = "ledger") -> None:
        self.provider, self.folder = get_provider(provider), folder
        self.ledger: Ledger = create_ledger(str(folder / f"{name}.db"))
        make_account(self.ledger, "a", provider, "UTC")

    def add(self, *texts: bytes, restate: bool = False) -> Imported:
        """Import files, in one invocation."""
        paths = [self.folder / f"{number}.json" for number in range(len(texts))]
        for path, text in zip(paths, texts, strict=True):
            path.write_bytes(text)
        imported = import_files(self.ledger, "a", self.provider, paths, lambda _read: None, restate=restate)
        assert imported.rows == imported.added + imported.known + imported.differs + imported.rejected
        assert_intact(self.ledger)
        return imported

    def add_answer(self, *rows: bytes, restate: bool = False) -> Imported:
        return self.add(answer(self.provider.name, rows), restate=restate)

    def sync(self, *rows: bytes, since: int = 0, until: int = 9_000) -> None:
        """Commit these rows as all of a range, given in seconds after SECOND."""
        received, rejected = read_rows(self.provider.codec, rows)
        assert not rejected
        begin = datetime.fromtimestamp(SECOND, UTC)
        asked = Slice(begin + timedelta(seconds=since), begin + timedelta(seconds=until))
        commit_slice(self.ledger, "a", asked, read_at=datetime.now(UTC), received=received)

    def amounts(self) -> list[str]:
        return [f"{found.flow.amount:.2f}" for found in list_flows(self.ledger, FlowFilter())]

    def history(self) -> list[tuple[str, str]]:
        with self.ledger.reading() as connection:
            rows = connection.exec_driver_sql("SELECT amount, ended_as FROM history ORDER BY batch").all()
        return [(str(amount), str(how)) for amount, how in rows]


def told(imported: Imported) -> list[tuple[int, str, dict[str, tuple[str | None, str | None]], bool]]:
    """The differences: the row's number, the record's id, both values of each field, whether it is the current one."""
    return [
        (found.row, found.ref, {one.field: (one.held, one.imported) for one in found.fields}, found.is_restated)
        for _, found in imported.differences
    ]


# ---------------------------------------------------------------- files that share rows


@pytest.mark.parametrize("provider", ROWS)
@pytest.mark.parametrize("form", ["answers", "lines", "arrays"])
def test_ranges_that_touch_or_overlap_count_a_row_once(tmp_path: Path, provider: str, form: str) -> None:
    make = ROWS[provider]
    parts = [[make(1), make(2), make(3)], [make(3), make(4), make(5)], [make(2), make(3), make(4)]]
    texts = {
        "answers": [answer(provider, part) for part in parts],
        "lines": [b"\n".join(part) for part in parts],
        "arrays": [b"[" + b",".join(part) + b"]" for part in parts],
    }[form]
    digests = set()
    for number, order in enumerate([texts, texts[::-1]]):
        book = Book(tmp_path, provider, f"apart-{number}")
        for text in order:
            book.add(text)
        assert book.amounts() == ["10.00"] * 5
        together = Book(tmp_path, provider, f"together-{number}")
        assert together.add(*order).differs == 0
        one_file = Book(tmp_path, provider, f"one-{number}")
        if form != "lines":  # lines that follow one another are one list
            one_file.add(b"\n".join(order))
            digests.add(flows_digest(one_file.ledger))
        digests |= {flows_digest(book.ledger), flows_digest(together.ledger)}
    assert len(digests) == 1


@pytest.mark.parametrize(("provider", "count"), [("hkus", 1), ("wecom", 1), ("wooxpro", 2)])
def test_a_row_that_one_list_has_twice(tmp_path: Path, provider: str, count: int) -> None:
    """WOO X Pro's ids identify nothing: its equal rows are as many as one list has."""
    make, book = ROWS[provider], Book(tmp_path, provider)
    for _ in range(2):
        book.add_answer(make(1), make(2), make(2))
        assert book.amounts() == ["10.00"] * (1 + count)
    book.add_answer(make(2), make(3))
    assert book.amounts() == ["10.00"] * (2 + count)


def test_rows_whose_id_is_their_time_have_none(tmp_path: Path) -> None:
    """They are equal rows without an id, which may be cut apart by the end of a page."""
    book = Book(tmp_path, "wooxpro")
    rows = [wooxpro(number, tran_id=str((SECOND + 60 * number) * 1_000)) for number in range(1, 6)]
    imported = book.add(answer("wooxpro", rows[:3]), answer("wooxpro", rows[2:]))
    assert (len(book.amounts()), imported.joined) == (6, 1)


def test_rows_with_the_id_0_have_none(tmp_path: Path) -> None:
    book = Book(tmp_path, "hkus")
    rows = [hkus(0, date=SECOND + second) for second in range(5)]
    imported = book.add(answer("hkus", rows[:3]), answer("hkus", rows[2:]))
    assert (len(book.amounts()), imported.joined) == (6, 1)


def test_filtered_exports_that_share_ids_are_different_rows(tmp_path: Path) -> None:
    """A trade and its fee have one id. Whichever comes first, and also where a whole export has both."""
    trades = [hkus(n, io_type="out", business_type="us_stock", business_sub_type="trade") for n in (1, 2, 3)]
    fees = [hkus(n, "1.00", io_type="out", business_sub_type="fee") for n in (1, 2, 3)]
    digests = set()
    parts = answer("hkus", trades), answer("hkus", fees), answer("hkus", trades + fees)
    for number, order in enumerate(itertools.permutations(parts)):
        book = Book(tmp_path, "hkus", f"apart-{number}")
        imported = [book.add(text) for text in order]
        assert [one.differs for one in imported] == [0, 0, 0]
        assert sum(map(Decimal, book.amounts())) == -33
        assert len(book.amounts()) == 6
        digests.add(tuple(sorted(book.amounts())))
    assert len(digests) == 1


def test_exports_by_side_that_share_ids_are_different_rows(tmp_path: Path) -> None:
    """Both sides of a conversion."""
    book = Book(tmp_path, "hkus")
    kind = {"business_sub_type": "conversion"}
    book.add_answer(hkus(1, "78.00", io_type="out", base_currency="HKD", **kind))
    book.add_answer(hkus(1, **kind))
    assert book.amounts() == ["-78.00", "10.00"]


@pytest.mark.parametrize("provider", RESTATING)
def test_rows_of_one_id_that_differ_within_one_list_are_different_rows(tmp_path: Path, provider: str) -> None:
    """A list is one state of the service: it has two rows because there are two. A sync counts them so, too."""
    make, book = ROWS[provider], Book(tmp_path, provider)
    later = make(1, "3.00", **TIMES[provider](SECOND + 90))
    for _ in range(2):
        assert book.add_answer(make(1), make(1, "2.00"), later, make(5)).differs == 0
        assert book.amounts() == ["10.00", "2.00", "3.00", "10.00"] or book.amounts() == [
            "2.00",
            "10.00",
            "3.00",
            "10.00",
        ]
    assert book.add_answer(later).differs == 0
    assert len(book.amounts()) == 4


# ---------------------------------------------------------------- records that say something else


@pytest.mark.parametrize("provider", RESTATING)
def test_a_later_file_with_another_amount(tmp_path: Path, provider: str) -> None:
    make, book = ROWS[provider], Book(tmp_path, provider)
    book.add_answer(make(1), make(2), make(3))
    corrected = [make(1), make(2, "15.00"), make(3)]
    imported = book.add_answer(*corrected)
    assert told(imported) == [(2, "2" if provider == "hkus" else "R2", {"amount": ("10.00", "15.00")}, True)]
    assert (imported.differs, imported.restated, imported.known, imported.added) == (1, 1, 2, 0)
    assert book.amounts() == ["10.00", "15.00", "10.00"]
    assert book.history() == [("10.00", RESTATED)]
    again = book.add_answer(*corrected)
    assert (again.differs, again.known) == (0, 3)
    assert book.history() == [("10.00", RESTATED)]


@pytest.mark.parametrize("form", ["packed", "reversed", "lines", "windows", "twice"])
@pytest.mark.parametrize("provider", RESTATING)
def test_a_corrected_file_in_other_forms(tmp_path: Path, provider: str, form: str) -> None:
    make, book = ROWS[provider], Book(tmp_path, provider)
    book.add_answer(make(1), make(2), make(3))
    rows = [make(1), make(2, "15.00"), make(3)]
    imported = book.add(
        {
            "packed": gzip.compress(answer(provider, rows)),
            "reversed": answer(provider, rows[::-1]),
            "lines": b"\n".join(rows),
            "windows": b"\xef\xbb\xbf" + b"\r\n".join(rows) + b"\r\n",
            "twice": answer(provider, [*rows, rows[1]]),
        }[form]
    )
    assert (imported.added, imported.restated) == (0, 1)
    assert book.amounts() == ["10.00", "15.00", "10.00"]


@pytest.mark.parametrize("provider", RESTATING)
def test_a_filtered_export_after_a_whole_one_withdraws_nothing(tmp_path: Path, provider: str) -> None:
    make, book = ROWS[provider], Book(tmp_path, provider)
    book.add_answer(*map(make, range(1, 9)))
    imported = book.add_answer(make(2), make(5, "7.00"))
    assert (imported.differs, imported.known) == (1, 1)
    assert sum(map(Decimal, book.amounts())) == 77


@pytest.mark.parametrize("together", [True, False])
def test_a_record_at_another_time_is_not_counted_twice(tmp_path: Path, together: bool) -> None:
    """hkus: the id is that of the record. The first file's version is in the history."""
    first, moved = [hkus(1), hkus(2), hkus(3)], [hkus(1), hkus(2, date=SECOND + 86_400), hkus(3)]
    book = Book(tmp_path, "hkus")
    texts = answer("hkus", first), answer("hkus", moved)
    imported = book.add(*texts) if together else [book.add(text) for text in texts][-1]
    assert told(imported) == [(2, "2", {"at": ("2025-05-09T07:24:40Z", "2025-05-10T07:22:40Z")}, True)]
    assert book.amounts() == ["10.00"] * 3
    assert book.history() == [("10.00", RESTATED)]
    assert book.add(texts[1]).known == 3


def test_a_record_at_another_time_may_be_another_one_where_ids_are_not_promised(tmp_path: Path) -> None:
    """WeCom: the ledger's version stays until the user decides."""
    book, moved = Book(tmp_path, "wecom"), wecom(2, timestamp=SECOND + 86_400)
    book.add_answer(wecom(1), wecom(2), wecom(3))
    imported = book.add_answer(wecom(1), moved)
    assert told(imported) == [(2, "R2", {"at": ("2025-05-09T07:24:40Z", "2025-05-10T07:22:40Z")}, False)]
    assert (book.amounts(), book.history()) == (["10.00"] * 3, [])
    assert book.add_answer(wecom(1), moved, restate=True).restated == 1
    assert (book.amounts(), book.history()) == (["10.00"] * 3, [("10.00", RESTATED)])
    assert book.add_answer(moved).known == 1


def test_all_rows_at_another_time(tmp_path: Path) -> None:
    """A provider has corrected the time zone of a whole export, and the new times are the old times of other rows."""
    book = Book(tmp_path, "hkus")
    book.add_answer(*(hkus(number) for number in range(1, 41)))
    imported = book.add_answer(*(hkus(number, date=SECOND + 60 * (number + 20)) for number in range(1, 41)))
    assert (imported.differs, imported.restated, imported.added) == (40, 40, 0)
    assert len(book.amounts()) == 40


@pytest.mark.parametrize("provider", RESTATING)
def test_another_account_has_its_own_records(tmp_path: Path, provider: str) -> None:
    make, book = ROWS[provider], Book(tmp_path, provider)
    book.add_answer(make(1), make(2))
    make_account(book.ledger, "b", provider, "UTC")
    path = tmp_path / "other.json"
    path.write_bytes(answer(provider, [make(1, "5.00"), make(2)]))
    imported = import_files(book.ledger, "b", book.provider, [path], lambda _read: None)
    assert (imported.added, imported.differs) == (2, 0)
    assert sorted(book.amounts()) == ["10.00", "10.00", "10.00", "5.00"]


def subaccounts(book: Book) -> list[str]:
    return [found.flow.subaccount for found in list_flows(book.ledger, FlowFilter())]


def test_an_answer_that_leaves_the_account_out_has_the_same_records(tmp_path: Path) -> None:
    """hkus: `account_id` is in the document's table and not in its sample."""
    book = Book(tmp_path, "hkus")
    with_account = [hkus(number, account_id=88001) for number in range(1, 9)]
    without = [hkus(number) for number in range(1, 9)]
    assert book.add_answer(*with_account).added == 8
    again = book.add_answer(*without)
    assert (again.added, again.known, again.differs) == (0, 8, 0)
    assert subaccounts(book) == ["88001"] * 8
    book.sync(*without)
    assert len(book.amounts()) == 8
    assert subaccounts(book) == [""] * 8, "a sync has the provider's newest word"
    book.sync(*with_account[:4], *without[4:])
    assert subaccounts(book) == ["88001"] * 4 + [""] * 4
    assert_intact(book.ledger)


def test_a_file_that_adds_the_account_is_a_newer_version(tmp_path: Path) -> None:
    book = Book(tmp_path, "hkus")
    book.add_answer(hkus(1), hkus(2))
    assert told(book.add_answer(hkus(2, account_id=88001))) == [(1, "2", {"subaccount": ("", "88001")}, True)]
    assert len(book.amounts()) == 2


def test_records_of_two_accounts_may_share_an_id(tmp_path: Path) -> None:
    book = Book(tmp_path, "hkus")
    assert book.add_answer(hkus(1, account_id=88001), hkus(2)).added == 2
    assert book.add_answer(hkus(1, account_id=88002), hkus(1, account_id=88001)).added == 1
    assert book.add_answer(hkus(1, account_id=88002, date=SECOND + 3_000)).differs == 1, "of the one at another time"
    assert sorted(subaccounts(book)) == ["", "88001", "88002"]


def test_rows_whose_identity_an_older_program_made_otherwise_are_known(tmp_path: Path) -> None:
    book = Book(tmp_path, "hkus")
    rows = [hkus(number, account_id=88001) for number in range(1, 9)]
    received, _ = read_rows(book.provider.codec, rows)
    older = [row._replace(flow=row.flow._replace(identity=f"{row.flow.identity}.88001")) for row in received]
    begin = datetime.fromtimestamp(SECOND, UTC)
    asked = Slice(begin, begin + timedelta(seconds=9_000))
    commit_slice(book.ledger, "a", asked, read_at=datetime.now(UTC), received=older)
    again = book.add_answer(*rows)
    assert (again.added, again.known) == (0, 8)
    book.sync(*rows)
    assert len(book.amounts()) == 8


def test_a_copied_number_without_its_zeros_is_not_a_difference(tmp_path: Path) -> None:
    """Programs such as jq write 10.00 as 10, and a product's name may be translated."""
    book = Book(tmp_path, "hkus")
    rate = {"fx_ccy": "USD", "balance": "10.00", "product_name": "Apple"}
    raw = hkus(1, **rate).replace(b'"balance":"10.00"', b'"balance":10.00').replace(b"}", b',"fx_rate":1.0}')
    book.add_answer(raw)
    copied = raw.replace(b"10.00", b"10").replace(b"1.0}", b"1}").replace(b"Apple", "蘋果".encode())
    assert (book.add_answer(copied).known, book.amounts()) == (1, ["10.00"])


def test_each_field_that_differs_is_told(tmp_path: Path) -> None:
    book = Book(tmp_path, "hkus")
    book.add_answer(hkus(1, remarks="old", sett_date=SECOND, market="usex"))
    imported = book.add_answer(hkus(1, "12.00", remarks="new", market="hkex"))
    assert told(imported)[0][2] == {
        "amount": ("10.00", "12.00"),
        "settled_at": ("2025-05-09T07:22:40Z", None),
        "note": ("old", "new"),
        "hkus:market": ("usex", "hkex"),
    }


# ---------------------------------------------------------------- beside a sync


@pytest.mark.parametrize("provider", RESTATING)
def test_what_a_sync_has_read_stays_until_the_user_decides(tmp_path: Path, provider: str) -> None:
    make, book = ROWS[provider], Book(tmp_path, provider)
    book.sync(make(1), make(2), make(3))
    corrected = [make(1), make(2, "15.00"), make(3)]
    imported = book.add_answer(*corrected)
    assert [(fields, restated) for _, _, fields, restated in told(imported)] == [
        ({"amount": ("10.00", "15.00")}, False)
    ]
    assert (book.amounts(), book.history(), imported.restated) == (["10.00"] * 3, [], 0)
    assert book.add_answer(*corrected, restate=True).restated == 1
    assert (book.amounts(), book.history()) == (["10.00", "15.00", "10.00"], [("10.00", RESTATED)])
    book.sync(make(1), make(2), make(3))
    assert book.amounts() == ["10.00"] * 3


@pytest.mark.parametrize("provider", ROWS)
def test_an_import_and_a_sync_of_the_same_range_in_either_order(tmp_path: Path, provider: str) -> None:
    make = ROWS[provider]
    rows = [make(number, f"{number}.00") for number in range(1, 7)]
    before, after = Book(tmp_path, provider, "before"), Book(tmp_path, provider, "after")
    before.add_answer(*rows[1:5])
    before.sync(*rows)
    after.sync(*rows)
    assert after.add_answer(*rows[1:5]).known == 4
    assert flows_digest(before.ledger) == flows_digest(after.ledger)
    assert before.history() == after.history() == []


@pytest.mark.parametrize("provider", RESTATING)
def test_a_record_that_a_sync_has_at_another_time(tmp_path: Path, provider: str) -> None:
    make, book = ROWS[provider], Book(tmp_path, provider)
    book.sync(make(1), make(2))
    moved = make(2, **TIMES[provider](SECOND + 86_400))
    imported = book.add_answer(moved)
    assert (imported.differs, imported.restated, book.amounts()) == (1, 0, ["10.00"] * 2)
    assert book.add_answer(moved, restate=True).restated == 1
    assert book.amounts() == ["10.00"] * 2


def test_as_many_rows_as_a_sync_has_read(tmp_path: Path) -> None:
    """A sync keeps equal rows as often as they are listed; a file with fewer or more of them changes nothing."""
    book = Book(tmp_path, "hkus")
    book.sync(hkus(1), hkus(1), hkus(2))
    assert book.add_answer(hkus(1), hkus(1), hkus(1), hkus(2)).known == 4
    assert book.amounts() == ["10.00"] * 3
    imported = book.add_answer(hkus(2), hkus(2, "3.00"))
    assert (imported.differs, imported.restated, book.amounts()) == (1, 0, ["10.00"] * 3)


# ---------------------------------------------------------------- taken back


@pytest.mark.parametrize("moved", [False, True])
def test_undoing_an_import_brings_the_versions_back_that_it_replaced(tmp_path: Path, moved: bool) -> None:
    book = Book(tmp_path, "hkus")
    book.add_answer(hkus(1), hkus(2), hkus(3))
    later = {"date": SECOND + 86_400} if moved else {}
    imported = book.add_answer(hkus(2, "15.00", **later), hkus(4))
    assert sorted(book.amounts()) == ["10.00", "10.00", "10.00", "15.00"]
    undone = undo_import(book.ledger, imported.id)
    assert (undone.withdrawn, undone.restored) == (2, 1)
    assert book.amounts() == ["10.00"] * 3
    assert_intact(book.ledger)
    assert book.add_answer(hkus(2, "15.00", **later), hkus(4)).differs == 1
    assert sorted(book.amounts()) == ["10.00", "10.00", "10.00", "15.00"]


def test_an_import_whose_version_was_not_taken_did_not_have_the_flow(tmp_path: Path) -> None:
    """When the import that brought the flow is undone, the one that differs does not keep it."""
    book = Book(tmp_path, "wecom")
    first = book.add_answer(wecom(1), wecom(2))
    book.sync(wecom(1), since=0, until=90)
    assert book.add_answer(wecom(2, timestamp=SECOND + 86_400)).differs == 1
    assert undo_import(book.ledger, first.id).withdrawn == 1
    assert book.amounts() == ["10.00"]


# ---------------------------------------------------------------- rows that could not be read


@pytest.mark.parametrize("provider", RESTATING)
def test_a_rejected_row_that_is_imported_again_corrected(tmp_path: Path, provider: str) -> None:
    make, book = ROWS[provider], Book(tmp_path, provider)
    bad = make(2).replace(b'"USD"', b'""').replace(b'"fund_flow_type": 1', b'"fund_flow_type": 7')
    imported = book.add_answer(make(1), bad, make(3))
    assert (imported.added, imported.rejected) == (2, 1)
    imported = book.add_answer(make(1), make(2), make(3))
    assert (imported.added, imported.known, imported.differs) == (1, 2, 0)
    assert book.amounts() == ["10.00"] * 3


def test_very_many_rows_of_one_id_and_time_cost_no_more_than_others(tmp_path: Path) -> None:
    """A comparison of each with each would not be done before the test's timeout."""
    book = Book(tmp_path, "wecom")
    rows = [wecom(1, f"{number}.00") for number in range(1, 1_501)]
    assert book.add(b"\n".join(rows)).added == 1_500
    assert book.add(b"\n".join(reversed(rows))).known == 1_500
    imported = book.add(b"\n".join(wecom(1, f"{number}.50") for number in range(1, 1_501)))
    assert (imported.differs, imported.restated) == (1_500, 1_500)


def test_many_rows_in_no_order_and_in_blocks(tmp_path: Path) -> None:
    """The versions of a record are found however far apart the files have them."""
    numbers: Sequence[int] = [number * 7_919 % 12_000 for number in range(12_000)]
    book = Book(tmp_path, "hkus")
    book.add(b"\n".join(hkus(number + 1) for number in numbers))
    later = [hkus(n + 1, date=SECOND + 60 * (12_000 - n)) if n % 1_000 == 0 else hkus(n + 1) for n in reversed(numbers)]
    imported = book.add(b"\n".join(later))
    assert (imported.known, imported.restated, imported.added) == (11_988, 12, 0)
    assert {found.row for _, found in imported.differences} == {
        index for index, n in enumerate(reversed(numbers), 1) if n % 1_000 == 0
    }
    assert len(book.amounts()) == 12_000
