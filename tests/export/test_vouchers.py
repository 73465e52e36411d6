"""Vouchers for 用友 and 金蝶, read by our own readers, which follow the published layouts."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from io import BytesIO
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import pytest
from python_calamine import CalamineWorkbook

from liushui.errors import ConfigError
from liushui.export.account_map import MissingTargets, read_account_map
from liushui.export.formats import FORMATS, ExportOptions, export_parts
from liushui.export.selection import ExportQuery
from liushui.export.vouchers import KINGDEE_COLUMNS
from liushui.flow import Kind
from liushui.ledger.engine import Ledger
from liushui.ledger.flow_row import served_identity
from liushui.ledger.read.filters import FlowFilter
from liushui.ledger.read.flows import list_flows
from tests.cli.commands import run
from tests.export.books import flow_row, model_of
from tests.ledger.ledgers import import_page, new_ledger

CODES = """
[[asset]]
target = "1002.01"
[[asset]]
account = "shop"
target = "1012.02"
[[counter]]
target = "1221"
[[counter]]
kind = "fee"
target = "6603.01"
"""


class Line(NamedTuple):
    """What both layouts have of a line."""

    day: date
    word: str
    number: int
    summary: str
    code: str
    debit: Decimal
    credit: Decimal
    id: str = ""


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = new_ledger(tmp_path / "ledger.db", "bank", "shop")
    amounts = ("12000.00", "-2", "0.50", "0.00", "-1234567890123.45", "88.10", "-0.1")
    rows = [
        flow_row(100 * number, amount, "CNY", kind=Kind.FEE if amount == "-2" else Kind.TRANSFER)
        for number, amount in enumerate(amounts)
    ]
    import_page(ledger, *rows, account="bank")
    import_page(ledger, flow_row(7, "5.00", "CNY"), account="shop")
    yield ledger
    ledger.close()


def written(ledger: Ledger, form: str, text: str = CODES, **fields: object) -> bytes:
    query = ExportQuery(FlowFilter(**fields))  # type: ignore[arg-type] # the fields of a filter
    return b"".join(export_parts(model_of(ledger), FORMATS[form], query, ExportOptions(read_account_map(text))))


def read_yonyou(content: bytes) -> list[Line]:
    first, *lines = content.decode("gb18030").removesuffix("\r\n").split("\r\n")
    assert first == "填制凭证,V800"
    read = []
    for line in lines:
        day, word, number, attachments, summary, code, debit, credit = line.split(",")
        assert (attachments, len(code) <= 15, len(summary.encode("gb18030")) <= 60) == ("0", True, True)
        assert all(len(amount) <= 16 and amount[-3] == "." for amount in (debit, credit))
        read.append(Line(date.fromisoformat(day), word, int(number), summary, code, Decimal(debit), Decimal(credit)))
    return read


def read_kingdee(content: bytes) -> list[Line]:
    book = CalamineWorkbook.from_filelike(BytesIO(content))
    header, *rows = book.get_sheet_by_name("Page1").to_python(skip_empty_area=False)
    assert tuple(header) == KINGDEE_COLUMNS
    read = []
    for number, row in enumerate(rows):
        cell = dict(zip(header, row, strict=True))
        day, amounts = cell["凭证日期"], [Decimal(repr(cell[name])) for name in ("借方", "贷方", "原币金额")]
        assert isinstance(day, date)
        assert (cell["会计年度"], cell["会计期间"], cell["分录序号"]) == (day.year, day.month, number % 2)
        assert (cell["币别代码"], cell["汇率"], max(amounts[:2])) == ("CNY", 1, amounts[2])
        read.append(
            Line(
                date(day.year, day.month, day.day),
                str(cell["凭证字"]),
                int(float(str(cell["凭证号"]))),
                str(cell["凭证摘要"]),
                str(cell["科目代码"]),
                amounts[0],
                amounts[1],
                str(cell["参考信息"]),
            )
        )
    assert any(str(cell).startswith("completeness: ") for (cell,) in book.get_sheet_by_name("About").to_python())
    return read


READERS = {"yonyou": read_yonyou, "kingdee": read_kingdee}


@pytest.mark.parametrize("form", READERS)
def test_each_flow_is_a_balanced_voucher_of_adjacent_lines(ledger: Ledger, form: str) -> None:
    lines = READERS[form](written(ledger, form))
    vouchers = [list(group) for _, group in groupby(lines, key=lambda line: (line.day, line.word, line.number))]
    assert len(vouchers) == len({(one[0].day.year, one[0].day.month, one[0].number) for one in vouchers}) == 7
    for debit, credit in vouchers:
        assert (debit.debit, debit.credit) == (credit.credit, credit.debit)
        assert debit.debit > 0 == debit.credit
    sums: dict[str, Decimal] = {}
    for line in lines:
        sums[line.code] = sums.get(line.code, Decimal(0)) + line.debit - line.credit
    assert sums == {
        "1002.01": Decimal("-1234567878036.95"),
        "1012.02": Decimal("5.00"),
        "1221": Decimal("1234567878029.95"),
        "6603.01": Decimal(2),
    }


def test_each_voucher_has_the_id_of_its_flow_and_texts_end_no_field(ledger: Ledger) -> None:
    flows = list(list_flows(ledger, FlowFilter()))
    ids = {served_identity(one.account, one.id) for one in flows if one.flow.amount}
    assert {line.summary.rpartition(" ")[2] for line in read_yonyou(written(ledger, "yonyou"))} == ids
    assert {line.id for line in read_kingdee(written(ledger, "kingdee"))} == ids
    for form, read in READERS.items():
        assert not any(char in line.summary for line in read(written(ledger, form)) for char in ",\n\r\t"), form


@pytest.mark.parametrize("form", READERS)
def test_what_the_books_cannot_hold_is_refused(ledger: Ledger, form: str) -> None:
    import_page(ledger, flow_row(3, "1.00", "HKD"), flow_row(4, "1.001", "USD"), account="shop")
    with pytest.raises(
        ConfigError, match=r"currency: expected flows of one currency, .* got CNY, HKD, USD: choose one"
    ):
        written(ledger, form)
    with pytest.raises(ConfigError, match=r"amount: expected at most 13 digits .* 2 after it, .* of shop at .*1\.001"):
        written(ledger, form, currency="USD")
    with pytest.raises(ConfigError, match="map: Assets:Bank: expected a subject code of at most 15 characters"):
        written(ledger, form, CODES.replace("1002.01", "Assets:Bank"), currency="CNY")
    with pytest.raises(MissingTargets, match="2 targets missing"):
        written(ledger, form, CODES.replace("1221", "").replace("6603.01", ""), currency="CNY", accounts=("bank",))


def test_the_command_proposes_a_map_of_codes_and_writes_changes_as_reversals(ledger: Ledger, tmp_path: Path) -> None:
    path = Path(ledger.name)
    proposed = run(path, "export", "yonyou", "--propose-map").stdout
    assert 'target = ""' in proposed
    assert "Assets" not in proposed
    (tmp_path / "map.toml").write_text(CODES, "utf-8")
    words = ("export", "yonyou", "--map", str(tmp_path / "map.toml"), "--incremental", str(tmp_path / "state"))
    output = tmp_path / "vouchers.txt"
    assert run(path, *words, "--output", str(output)).returncode == 0
    first = read_yonyou(output.read_bytes())
    import_page(ledger, flow_row(900, "7.00", "CNY"), account="shop")
    assert run(path, *words, "--output", str(output)).returncode == 0
    assert (len(first), [line.debit for line in read_yonyou(output.read_bytes())]) == (14, [Decimal(7), Decimal(0)])
