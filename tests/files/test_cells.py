"""The values of cells: amounts, times, and the decoration that programs add to them."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from liushui.errors import WireError
from liushui.files.cells import Cells, cell_text, clean, parse_amount, parse_time


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1234.50", "1234.50"),
        ("1,234.50", "1234.50"),
        ("1'234.50", "1234.50"),
        ("+88.00", "88.00"),
        ("-0.00", "0.00"),
        ("¥-88.00", "-88.00"),
        ("-¥88.00", "-88.00"),
        ("−12", "-12"),
        ("12.00-", "-12.00"),
        ("(1,200.00)", "-1200.00"),
        ("007", "7"),
        (".5", "0.5"),
        ("5.", "5"),
        ("-1.0E-7", "-0.00000010"),
        ("1.5e3", "1500"),
        ("0.000000000000000001", "0.000000000000000001"),
        ("１，２３４．５０", "1234.50"),
        ("－￥１２．００", "-12.00"),
        ("（1,200.00）", "-1200.00"),
        ("–5.00", "-5.00"),
        ("88.00元", "88.00"),
        ("1,234.50 DR", "-1234.50"),
        ("1,234.50Cr.", "1234.50"),
        ("DR 5.00", "-5.00"),
    ],
)
def test_amounts_are_exact(text: str, amount: str) -> None:
    assert format(parse_amount("x", text), "f") == amount


@pytest.mark.parametrize(
    "text",
    [
        "",
        "abc",
        "1,23",
        "1,2345.00",
        "1.2.3",
        "--5",
        "-(5)",
        "(5",
        "=1+1",
        "1e999",
        "NaN",
        "∞",
        "12 USD",
        "٣",
        "-5 DR",
        "DR",
        "5²",
        "1元5",
        "5CRO",
    ],
)
def test_what_is_not_an_amount_is_refused_by_the_name_of_its_column(text: str) -> None:
    with pytest.raises(WireError, match=r"金额: expected an amount such as 1234\.50, got"):
        parse_amount("金额", text)


def test_a_decimal_comma_is_read_where_it_is_named() -> None:
    assert parse_amount("Betrag", "-1.234,56", ",") == Decimal("-1234.56")
    with pytest.raises(WireError, match="such as 1234,50"):
        parse_amount("Betrag", "1,234.56", ",")


@pytest.mark.parametrize(
    ("text", "patterns", "at"),
    [
        ("2026-01-05 09:15:02", (), datetime(2026, 1, 5, 1, 15, 2, tzinfo=UTC)),
        ("2026-01-05T09:15:02Z", (), datetime(2026, 1, 5, 9, 15, 2, tzinfo=UTC)),
        ("20260105", ("%Y%m%d",), datetime(2026, 1, 4, 16, tzinfo=UTC)),
        ("05/01/2026", ("%d/%m/%Y",), datetime(2026, 1, 4, 16, tzinfo=UTC)),
        ("2026-01-05 00:00:00", ("%Y%m%d",), datetime(2026, 1, 4, 16, tzinfo=UTC)),
    ],
)
def test_times_are_read_in_their_zone(text: str, patterns: tuple[str, ...], at: datetime) -> None:
    assert parse_time("x", text, "Asia/Shanghai", patterns) == at


def test_a_time_of_another_form_is_refused() -> None:
    with pytest.raises(WireError, match="日期: expected a time such as 20260131, got '5 Jan'"):
        parse_time("日期", "5 Jan", "UTC", ("%Y%m%d",))
    with pytest.raises(WireError, match="expected a time of the calendar"):
        parse_time("x", "0001-01-01", "Asia/Shanghai")


def test_cells_of_a_workbook_keep_what_they_show() -> None:
    values = [None, 12, 12.0, 0.1, 1234.56, "00123", True, date(2026, 1, 5), datetime(2026, 1, 5, 9, 15)]  # noqa: DTZ001
    texts = ["", "12", "12", "0.1", "1234.56", "00123", "TRUE", "2026-01-05 00:00:00", "2026-01-05 09:15:00"]
    assert list(map(cell_text, values)) == texts


def test_a_computed_cell_has_the_digits_that_the_spreadsheet_shows() -> None:
    assert [cell_text(0.1 + 0.2), cell_text(12399.6 - 100.1), cell_text(-0.1 - 0.2)] == ["0.3", "12299.5", "-0.3"]
    assert cell_text(123456789012.345) == "123456789012.345"


def test_a_day_that_a_spreadsheet_counts_is_told() -> None:
    with pytest.raises(WireError, match=r"got '46027\.385': give the cell the format of a date"):
        parse_time("日期", "46027.385", "UTC")


@pytest.mark.parametrize("text", ["88", " 88\t", "`88", "'88", '="88"', "\ufeff88"])
def test_what_programs_put_around_a_cell_is_not_a_part_of_it(text: str) -> None:
    assert clean(text) == "88"


def test_an_empty_cell_and_a_dash_are_not_a_value() -> None:
    cells = Cells({"a": "-" * 21, "b": "", "c": "x"})
    assert [cells.text_or_none(name) for name in "abcd"] == [None, None, "x", None]
    with pytest.raises(WireError, match="a: expected a value, got an empty cell"):
        cells.required("a")


def test_a_time_of_a_spreadsheet_is_read_to_the_millisecond() -> None:
    assert cell_text(datetime(2026, 1, 5, 9, 15, 1, 999_999)) == "2026-01-05 09:15:02"  # noqa: DTZ001
    assert cell_text(datetime(2026, 1, 5, 9, 15, 1, 123_400)) == "2026-01-05 09:15:01.123"  # noqa: DTZ001


def test_an_id_whose_digits_a_spreadsheet_lost_is_refused() -> None:
    text = cell_text(4200009000202611010000000001.0)
    with pytest.raises(WireError, match="id: expected an id as text, got the number"):
        Cells({"id": text}).record_id("id")
    assert Cells({"id": cell_text(910000000000001.0)}).record_id("id") == "910000000000001"
    assert parse_amount("x", cell_text(1e15)) == Decimal(10**15)


def test_a_time_that_clocks_skip_is_refused_and_one_that_they_show_twice_is_the_first() -> None:
    new_york = "America/New_York"
    with pytest.raises(WireError, match=r"^at: expected a time that clocks in America/New_York show once.*skip"):
        parse_time("at", "2024-03-10 02:30:00", new_york)
    assert parse_time("at", "2024-11-03 01:30:00", new_york) == datetime(2024, 11, 3, 5, 30, tzinfo=UTC)
    assert parse_time("at", "2018-11-04", "America/Sao_Paulo") == datetime(2018, 11, 4, 3, tzinfo=UTC)
    assert parse_time("at", "2024-03-10 02:30:00", "UTC-5") == datetime(2024, 3, 10, 7, 30, tzinfo=UTC)
