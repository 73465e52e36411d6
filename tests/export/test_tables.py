"""Excel, Parquet and Arrow: other programs read the same sums, and the exact texts."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from liushui.export import xlsx
from liushui.export.arrow import fits_decimal128
from liushui.export.xlsx import TITLES
from liushui.ledger.engine import Ledger, open_ledger
from liushui.ledger.read.filters import FlowFilter
from liushui.ledger.read.flows import COLUMNS, export_record, list_flows
from liushui.ledger.write.commit import make_account
from tests.cli.commands import run
from tests.export.books import SHOP, books, flow_row, totals
from tests.ledger.ledgers import import_page
from tests.providers.installed import installed

HERE = Path(__file__).parent
ENDS = ("parquet", "arrows")
LONG = "long"
"""An account with an amount of 19 digits after the point."""


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with books(tmp_path) as ledger:
        yield ledger


def run_program(program: str, requirements: str, *words: str) -> Any:  # noqa: ANN401 - JSON
    paths = [str(installed(HERE / requirements)), str(HERE.parents[1])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, str(HERE / program), *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def plain_totals(ledger: Ledger) -> dict[str, str]:
    return {
        f"{place} {currency}": format(amount.normalize(), "f") for (place, currency), amount in totals(ledger).items()
    }


# ---------------------------------------------------------------- Excel


def test_calamine_reads_the_exact_texts_and_equal_sums(ledger: Ledger, tmp_path: Path) -> None:
    output = tmp_path / "flows.xlsx"
    with patch.object(xlsx, "ROWS_MAX", 6):
        assert run(tmp_path / "ledger.db", "export", "xlsx", "--output", str(output)).returncode == 0
    sheets = run_program("read_sheets.py", "calamine.txt", str(output))
    assert list(sheets) == ["About", "Flows", "Flows 2", "Flows 3", "Totals"]
    about = [row[0] for row in sheets["About"]]
    assert "completeness: cannot be checked" in about
    assert "gap: 微信 小店: no source to check it against" in about
    assert any("keeps 15 to 17 digits" in line for line in about)
    parts = [sheets[name] for name in ("Flows", "Flows 2", "Flows 3")]
    assert all(part[0] == TITLES for part in parts)
    rows = [dict(zip(TITLES, row, strict=True)) for part in parts for row in part[1:]]
    expected = [export_record(one) for one in list_flows(ledger, FlowFilter())]
    assert len(rows) == len(expected)
    for row, record in zip(rows, expected, strict=True):
        for name in set(COLUMNS) - {"detail", "batch"}:
            assert row[name] == (record[name] or ""), name
        assert Decimal(str(row["amount (number)"])) == Decimal(record["amount"])
        assert row["completeness"] == "unknown"
    assert rows[0]["local_time"] == "2025-10-03T10:00:00"
    assert json.loads(rows[8]["detail"]) == expected[8]["detail"]
    sums = {f"{row[0]}/{row[1]} {row[2]}": format(Decimal(row[4]).normalize(), "f") for row in sheets["Totals"][1:]}
    assert sums == plain_totals(ledger)
    assert sum(row[3] for row in sheets["Totals"][1:]) == len(expected)


def test_nothing_in_a_workbook_is_a_formula_or_a_link(ledger: Ledger, tmp_path: Path) -> None:
    output = tmp_path / "flows.xlsx"
    assert run(tmp_path / "ledger.db", "export", "xlsx", "--output", str(output)).returncode == 0
    with zipfile.ZipFile(output) as book:
        sheets = [name for name in book.namelist() if name.startswith("xl/worksheets/")]
        texts = [book.read(name).decode() for name in sheets]
    assert len(texts) == 3
    assert any("=HYPERLINK(" in text for text in texts)
    assert not any("<f>" in text or "<hyperlink" in text for text in texts)


def test_a_text_that_is_too_long_for_a_cell_is_cut_and_says_so() -> None:
    cut = xlsx._cut("x" * 40_000)
    assert len(cut) == xlsx.TEXT_MAX
    assert cut.endswith("… (cut: 40000 characters)")


# ---------------------------------------------------------------- Parquet and Arrow


def test_pyarrow_duckdb_and_polars_read_equal_sums(ledger: Ledger, tmp_path: Path) -> None:
    make_account(ledger, LONG, "wecom", "UTC")
    import_page(ledger, flow_row(20, "0.1000000000000000000", "BTC"), account=LONG)
    expected = plain_totals(ledger)
    found = run_program("exchange_arrow.py", "arrow.txt", str(tmp_path), SHOP)
    for reader in ("pyarrow", "arrow", "duckdb", "files"):
        assert found[reader] == expected, reader
    assert found["types"]["amount"] == found["types"]["fx_amount"] == "decimal128(38, 18)"
    assert found["types"]["at"] == "timestamp[us, tz=UTC]"
    assert found["texts"] == [export_record(one)["amount"] for one in list_flows(ledger, FlowFilter())]
    assert found["same"]
    for frame in run_program("read_polars.py", "polars.txt", *(str(tmp_path / f"whole.{end}") for end in ENDS)):
        assert frame["sums"] == expected
        assert frame["texts"] == found["texts"]
        assert frame["types"]["amount"] == frame["types"]["fx_amount"] == "Decimal(precision=38, scale=18)"
        assert frame["types"]["at"] == "Datetime(time_unit='us', time_zone='UTC')"
    assert (found["groups"], found["empty"], found["refused"]) == (4, 0, "")
    assert "completeness: cannot be checked" in found["coverage"]


EXTREMES = (
    *(
        sign + amount
        for amount in ("99999999999999999999.999999999999999999", "0.000000000000000001")
        for sign in ("", "-")
    ),
    *("12345678901234567890.123456789012345678", "-9007199254740993", "0.1", "-0.30", "18446744073709551615.5"),
    "10000000000000000000.000000000000000001",
)
"""Amounts at the limits of decimal128(38, 18), and amounts that no binary float holds."""


@pytest.mark.parametrize("amounts", [EXTREMES, EXTREMES[:1] * 3], ids=["different", "equal"])
def test_parquet_has_the_exact_amounts(tmp_path: Path, amounts: tuple[str, ...]) -> None:
    with closing(open_ledger(str(tmp_path / "ledger.db"), create=True)) as ledger:
        make_account(ledger, LONG, "wecom", "UTC")
        rows = [flow_row(number, amount, "BTC") for number, amount in enumerate(amounts, 1)]
        import_page(ledger, *rows, account=LONG)
        stored = [export_record(one)["amount"] for one in list_flows(ledger, FlowFilter())]
    assert sorted(map(Decimal, stored)) == sorted(map(Decimal, amounts))
    found = run_program("exact_arrow.py", "arrow.txt", str(tmp_path))
    assert found["texts"] == stored
    for reader in ("pyarrow", "duckdb"):
        assert [Decimal(text) for text in found[reader]] == [Decimal(text) for text in stored], reader


def test_money_that_does_not_fit_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    make_account(ledger, LONG, "wecom", "UTC")
    import_page(ledger, flow_row(20, "0.0000000000000000001", "BTC"), account=LONG)
    pretended = patch.dict(sys.modules, {"pyarrow": sys, "pyarrow.parquet": sys})  # it is not needed to refuse
    with pretended:
        done = run(tmp_path / "ledger.db", "export", "parquet", "--output", str(tmp_path / "x.parquet"))
    assert done.returncode == 2
    assert "expected at most 20 digits before the point and 18 after it, got more in flow r0020 of long" in done.stderr
    texts = ["-12345678901234567890.123456789012345678", "0.1000000000000000000", "123456789012345678901", "1e", "-0"]
    assert [fits_decimal128(text) for text in texts[:3]] == [True, True, False]


def test_without_pyarrow_parquet_says_what_to_install(ledger: Ledger, tmp_path: Path) -> None:
    with patch.dict(sys.modules, {"pyarrow": None}):
        done = run(tmp_path / "ledger.db", "export", "arrow", "--output", str(tmp_path / "x.arrows"))
    assert done.returncode == 2
    assert "expected the package pyarrow: pip install 'liushui[parquet]'" in done.stderr
