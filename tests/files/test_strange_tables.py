"""Tables whose form no description mentions, as spreadsheets, bank programs and people produce them."""

from base64 import b64decode
from datetime import datetime
from io import BytesIO
from pathlib import Path

import pytest
from xlsxwriter import Workbook

from tests.files.inputs import HEADER, MAPPING, ROWS, Desk, picked, table


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def spreadsheet(*sheets: list[list[object]], options: dict[str, object] | None = None) -> bytes:
    """A workbook with numbers and dates in its cells."""
    out = BytesIO()
    with Workbook(out, options or {}) as book:
        day = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        for rows in sheets:
            sheet = book.add_worksheet()
            for number, row in enumerate(rows):
                for index, value in enumerate(row):
                    if isinstance(value, datetime):
                        sheet.write_datetime(number, index, value, day)
                    else:
                        sheet.write(number, index, value)
    return out.getvalue()


def cells(row: str) -> list[object]:
    return list(row.split(","))


def test_all_sheets_with_the_columns_are_read(desk: Desk) -> None:
    months = [[cells(HEADER), cells(row)] for row in ROWS]
    counts = desk.imports(desk.write("year.xlsx", spreadsheet(*months, [["说明"], ["仅供参考"]])))
    assert picked(counts, "rows", "added") == [3, 3]


@pytest.mark.parametrize("options", [{}, {"date_1904": True}])
def test_dates_and_computed_numbers_of_a_workbook(desk: Desk, options: dict[str, object]) -> None:
    desk.imports(desk.write("a.csv", table("2026-01-05 09:15:02,工资,0.30,12299.50,CNY,A1")))
    row = [datetime(2026, 1, 5, 9, 15, 2), "工资", 0.1 + 0.2, 12399.6 - 100.1, "CNY", "A1"]  # noqa: DTZ001
    file = desk.write("a.xlsx", spreadsheet([cells(HEADER), row], options=options))
    assert picked(desk.imports(file), "known", "differs") == [1, 0]


def test_a_row_without_an_id_is_known_by_the_value_of_its_time(tmp_path: Path) -> None:
    desk = Desk(tmp_path, f'date_format = ["%Y-%m-%d %H:%M:%S", "%Y/%m/%d %H:%M"]\n{MAPPING}')
    desk.imports(desk.write("a.csv", table("2026-01-05 09:15:00,工资,1.00,2.00,CNY,A1")))
    again = desk.write("b.csv", table("2026/1/5 9:15,工资,1.00,2.00,CNY,A1"))
    assert picked(desk.imports(again), "added", "known") == [0, 1]


@pytest.mark.parametrize("total", ["合计,,11897.50,,,", "本页小计,,1,,,", "Total:,,11897.50,,,", ",合计,,,,"])
def test_a_line_with_totals_is_not_a_row(desk: Desk, total: str) -> None:
    file = desk.write("bank.csv", table(*ROWS, total))
    if total.startswith(","):  # nothing says that a line which begins with an empty cell is one
        assert desk.imports(file, returncode=3)["rejected"] == 1
    else:
        assert picked(desk.imports(file), "rows", "added") == [3, 3]


def test_the_last_byte_of_a_file_of_dos_is_not_a_row(desk: Desk) -> None:
    assert picked(desk.imports(desk.write("bank.csv", table(*ROWS) + "\x1a")), "rows", "rejected") == [3, 0]


def test_the_header_of_another_table_below_the_rows_is_told(desk: Desk) -> None:
    other = "交易日期,摘要,收入,支出,余额,币种,流水号\n2026-01-07,x,1.00,,2.00,CNY,A9\n"
    refused = desk.refuses(
        "import", desk.write("bank.csv", table(*ROWS) + other), "--map", desk.mapping, "--account", "a"
    )
    assert "line 5: expected one table, got a second header: split the file before this line" in refused


def test_two_columns_of_one_name_do_no_harm_if_they_are_not_used(desk: Desk) -> None:
    text = table(f"{ROWS[0]},x,y", header=f"{HEADER},备注,备注")
    assert picked(desk.imports(desk.write("bank.csv", text)), "added", "rejected") == [1, 0]


def test_currencies_may_be_named_in_chinese(desk: Desk) -> None:
    names = {"人民币": "CNY", "港币": "HKD", "RMB": "CNY", "USDT": "USDT"}
    rows = [ROWS[0].replace("CNY,A1", f"{name},{index}") for index, name in enumerate(names)]
    desk.imports(desk.write("bank.csv", table(*rows)))
    assert sorted(flow["currency"] for flow in desk.flows()) == sorted(names.values())


def test_a_side_beside_the_amount_counts_before_the_sign_rule(tmp_path: Path) -> None:
    """On the statement of a credit card, amounts are money out, unless CR stands beside them."""
    desk = Desk(tmp_path, 'currency = "HKD"\nnegate = true\n[columns]\ntime = "Date"\namount = "Amount"\n')
    desk.imports(desk.write("card.csv", "Date,Amount\n2026-01-05,88.00\n2026-01-06,50.00 CR\n2026-01-07,1.00DR\n"))
    assert [flow["amount"] for flow in desk.flows()] == ["-88.00", "50.00", "-1.00"]


# ---------------------------------------------------------------- archives with AES encryption

AES_256_DEFLATED = b64decode(
    "UEsDBBQAAQBjAKi7fl0AAAAAhQAAAGcAAAAIAAsAYmFuay5jc3YBmQcAAgBBRQMIAGTRWpodYnI8ND1zCrK+eIfWAyVi11dcplCeIDOMm3nfO672"
    "v8Ad7O1TMDf+kb6ujS60ok0ETtY7B+lFXQOaHMBRRvmgptuinGspdbcVQ08LL2CZf9afEUKirDkPNKoF+sYVh4UARZ6M+A/ZygliIs7uh9VzMaSI"
    "2jVeICy/C+fT/+IrExJQSwECFAMUAAEAYwCou35dAAAAAIUAAABnAAAACAALAAAAAAAAAAAAgAEAAAAAYmFuay5jc3YBmQcAAgBBRQMIAFBLBQYA"
    "AAAAAQABAEEAAAC2AAAAAAA="
)
AES_128_STORED = b64decode(
    "UEsDBBQAAQBjAKi7fl0AAAAAewAAAGcAAAAIAAsAYmFuay5jc3YBmQcAAgBBRQEAAAzm3MpBw21b1rTg3NJddjUkcEQC8Kb3fq0aEAmKY+9GTTJe"
    "mjFoMgOCiT+Drzn1hDQHPQpv93UZ/NsRsoQKBsRtDOX68RHFKiLBDVJUy5YsHwLhzTIIgDS7J5YGf7/Vk+21EJUYH2gMzJsEhQ7ZKsVZwm6Lht8a"
    "ySVAhVBLAQIUAxQAAQBjAKi7fl0AAAAAewAAAGcAAAAIAAsAAAAAAAAAAACAAQAAAABiYW5rLmNzdgGZBwACAEFFAQAAUEsFBgAAAAABAAEAQQAA"
    "AKwAAAAAAA=="
)
"""Written by pyzipper 0.4.0, with the password 482913: a table with the first of ROWS."""


@pytest.mark.parametrize("archive", [AES_256_DEFLATED, AES_128_STORED])
def test_archives_with_aes_encryption(desk: Desk, archive: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    file = desk.write("bill.zip", archive)
    words = ("import", file, "--map", desk.mapping, "--account", "a")
    assert "the archive has a password" in desk.refuses(*words)
    monkeypatch.setattr("getpass.getpass", lambda _prompt: "000000")
    assert "the password is wrong" in desk.run(*words, terminal=True).stderr
    monkeypatch.setattr("getpass.getpass", lambda _prompt: "482913")
    damaged = bytearray(archive)
    damaged[100] ^= 1
    file.write_bytes(damaged)
    assert "the zip archive is damaged" in desk.run(*words, terminal=True).stderr
    file.write_bytes(archive)
    done = desk.run(*words, terminal=True)
    assert (done.returncode, len(desk.flows())) == (0, 1), done.stderr
    assert desk.imports(desk.write("plain.csv", table(ROWS[0])))["known"] == 1
