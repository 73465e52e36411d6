"""Journals: how Beancount, hledger and Ledger read them, with every assertion on."""

import csv
import io
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from liushui.errors import ConfigError
from liushui.export import beancount, ledger_text
from liushui.export.account_map import MissingTargets, read_account_map
from liushui.export.formats import FORMATS, ExportOptions, export_parts
from liushui.export.selection import ExportQuery
from liushui.ledger.engine import Ledger
from liushui.ledger.read.filters import FlowFilter
from liushui.ledger.write.commit import make_account
from liushui.provider import Slice
from liushui.testing.clock import NOON
from tests.api.callers import open_api
from tests.cli.commands import Done, run
from tests.export.books import BEGIN, BROKER, MAP, SHOP, books, flow_row, model_of, totals
from tests.ledger.ledgers import commit_read, import_page, state
from tests.providers.installed import installed
from tests.system import require

READER = Path(__file__).parent / "read_beancount.py"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with books(tmp_path) as ledger:
        yield ledger


@pytest.fixture
def account_map(tmp_path: Path) -> Path:
    path = tmp_path / "map.toml"
    path.write_text(MAP, encoding="utf-8")
    return path


def export(folder: Path, form: str, output: Path, *words: str) -> Done:
    map_file = str(folder / "map.toml")
    return run(folder / "ledger.db", "export", form, *words, "--map", map_file, "--output", str(output))


def written(ledger: Ledger, form: str, text: str = MAP, *, opening: bool = True, **fields: Any) -> str:  # noqa: ANN401
    options = ExportOptions(read_account_map(text), opening=opening)
    return b"".join(export_parts(model_of(ledger), FORMATS[form], ExportQuery(FlowFilter(**fields)), options)).decode()


def read_by_beancount(*paths: Path) -> list[dict[str, Any]]:
    environment = os.environ | {"PYTHONPATH": str(installed(READER.with_name("beancount.txt")))}
    command = [sys.executable, str(READER), *map(str, paths)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def expected_balances(ledger: Ledger) -> dict[tuple[str, str], Decimal]:
    """What the targets of MAP hold, computed from the flows."""
    places = {
        "broker/": "Assets:Broker",
        "broker/futures": "Assets:Broker:Futures",
        f"{SHOP}/": "Assets:WeCom:微信支付",
    }
    balances = {(places[place], currency): amount for (place, currency), amount in totals(ledger).items()}
    balances["Assets:WeCom:微信支付", "CNY"] += Decimal(1000)  # as a person stated
    return balances


# ---------------------------------------------------------------- Beancount


def test_beancount_finds_no_error_and_the_same_balances(ledger: Ledger, account_map: Path, tmp_path: Path) -> None:
    whole, october, damaged = (tmp_path / f"{name}.beancount" for name in ("whole", "october", "damaged"))
    assert export(tmp_path, "beancount", whole).returncode == 0
    assert export(tmp_path, "beancount", october, BROKER, "--period", "2025-10").returncode == 0
    text = whole.read_text(encoding="utf-8")
    assert "0.000000000000000001 ~ 0 BTC" in text
    damaged.write_text(text.replace("0.000000000000000001 ~ 0 BTC", "0.000000000000000002 ~ 0 BTC"), encoding="utf-8")
    found, of_october, of_damaged = read_by_beancount(whole, october, damaged)
    assert found["errors"] == of_october["errors"] == []
    (error,) = of_damaged["errors"]
    assert "Balance failed for 'Assets:Broker:Futures'" in error
    commodities = {"700.HK": "X700.HK", "1INCH": "X1INCH", "点券": "POINTS"}
    assert {
        tuple(key.split()): Decimal(amount) for key, amount in found["balances"].items() if key.startswith("Assets:")
    } == {
        (name, commodities.get(currency, currency)): value
        for (name, currency), value in expected_balances(ledger).items()
    }
    assert len(set(found["links"])) == len(found["links"]) == 14  # 13 flows and the opening balance
    assert set(of_october["links"]) < set(found["links"])
    assert found["assertions"] == 6
    assert 'quote " and line · 全角 空格 两个' in found["texts"]


def test_two_months_in_one_book_add_up(ledger: Ledger, account_map: Path, tmp_path: Path) -> None:
    october = written(ledger, "beancount", accounts=(BROKER,), until=BEGIN.date().replace(month=11, day=1))
    november = written(
        ledger, "beancount", opening=False, accounts=(BROKER,), since=BEGIN.date().replace(month=11, day=1)
    )
    assert "Opening balance" not in november
    assert "; 2025-11-01 open Assets:Broker\n" in november
    book = tmp_path / "book.beancount"
    book.write_text(october + november, encoding="utf-8")
    (found,) = read_by_beancount(book)
    assert found["errors"] == []
    assert found["assertions"] > 6


def test_amounts_of_more_digits_than_beancount_holds_are_refused(ledger: Ledger) -> None:
    long = "-12345678901234567890.123456789"
    at = BEGIN.replace(year=2024)
    row = flow_row(0, long, "USD", at=at, identity="long")
    commit_read(ledger, Slice(at, at.replace(day=5)), row, account=BROKER, read_at=NOON)
    with pytest.raises(ConfigError, match="amount: expected at most 28 digits, got more in") as raised:
        written(ledger, "beancount")
    assert f"flow long of broker at 2024-10-03T02:00:00Z ({long})" in str(raised.value)
    assert long in written(ledger, "hledger")


# ---------------------------------------------------------------- hledger and Ledger


def balances_of_hledger(program: str, path: Path) -> dict[tuple[str, str], Decimal]:
    command = [program, "-f", str(path), "balance", "Assets", "--flat", "--no-total", "--layout=bare", "-O", "csv"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {(row["account"], row["commodity"]): Decimal(row["balance"]) for row in csv.DictReader(io.StringIO(printed))}


def balances_of_ledger(program: str, path: Path) -> dict[tuple[str, str], Decimal]:
    form = "%(account)\t%(quantity(amount))\t%(commodity(amount))\n"
    command = [program, "--args-only", "-f", str(path), "csv", "Assets", "--csv-format", form]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    sums: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for line in printed.splitlines():
        account, quantity, commodity = line.split("\t")
        sums[account, commodity.strip('"')] += Decimal(quantity)
    return dict(sums)


def test_hledger_and_ledger_read_the_same_file_and_the_same_balances(
    ledger: Ledger, account_map: Path, tmp_path: Path
) -> None:
    hledger, other = require("hledger", "hledger"), require("ledger", "ledger")
    path = tmp_path / "books.journal"
    assert export(tmp_path, "hledger", path).returncode == 0
    text = path.read_text(encoding="utf-8")
    assert written(ledger, "hledger") == written(ledger, "ledger")
    assert '51 "X1INCH"' in text
    expected = {
        (name, {"1INCH": "X1INCH", "点券": "POINTS"}.get(currency, currency)): value
        for (name, currency), value in expected_balances(ledger).items()
    }
    checked = subprocess.run([hledger, "-f", str(path), "check"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert balances_of_hledger(hledger, path) == expected
    assert balances_of_ledger(other, path) == expected
    damaged = tmp_path / "damaged.journal"
    damaged.write_text(text.replace("= 0.000000000000000001 BTC", "= 0.000000000000000002 BTC"), encoding="utf-8")
    for command in ([hledger, "-f", str(damaged), "check"], [other, "--args-only", "-f", str(damaged), "balance"]):
        refused = subprocess.run(command, capture_output=True, text=True, check=False)
        assert refused.returncode != 0
        assert "assertion" in refused.stderr.lower()


# ---------------------------------------------------------------- what a file says, and what is refused


def test_ledger_reads_texts_of_any_length(ledger: Ledger, account_map: Path, tmp_path: Path) -> None:
    long = flow_row(30, "1.00", "USD", label="收" * 2_000, ref="r" * 5_000)
    commit_read(ledger, Slice(long.flow.at, long.flow.at.replace(hour=23)), long, account=BROKER, read_at=NOON)
    path = tmp_path / "books.journal"
    assert export(tmp_path, "ledger", path).returncode in (0, 3)
    done = subprocess.run(
        [require("ledger", "ledger"), "-f", str(path), "balance"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "收" * 1_000 + "…" in path.read_text("utf-8")


def test_the_last_day_of_the_calendar_has_no_day_after_it(ledger: Ledger) -> None:
    make_account(ledger, "late", "wecom", "UTC")
    last = flow_row(1, "1.00", "CNY", at=datetime(9999, 12, 31, 23, tzinfo=UTC))
    import_page(ledger, last, account="late")
    state(ledger, "0", BEGIN, account="late", currency="CNY")
    targets = 'opening = "Equity:O"\n[[asset]]\ntarget = "Assets:A"\n[[counter]]\ntarget = "Equity:C"\n'
    text = written(ledger, "beancount", targets, accounts=("late",))
    assert "9999-12-31 *" in text
    assert " balance " not in text.replace("the balance of", "")
    assert "; the calendar has no day on which to assert the balance of Assets:A in CNY" in text


def test_a_journal_says_what_it_covers(ledger: Ledger) -> None:
    for form in ("beancount", "hledger"):
        text = written(ledger, form)
        assert "; completeness: cannot be checked\n; gap: 微信 小店: no source to check it against\n" in text
        assert "no balance is asserted of Assets:WeCom:微信支付 in POINTS: its opening balance is not known" in text
        complete = written(ledger, form, accounts=(BROKER,), until=NOON)
        assert "; completeness: complete\n" in complete
        assert written(ledger, form) == text


def test_ids_are_the_same_in_every_journal(ledger: Ledger) -> None:
    links = {word[1:] for word in written(ledger, "beancount").split() if word.startswith("^")}
    codes = {
        f"liushui-{word[1:-1]}" for word in written(ledger, "hledger").split() if len(word) == 34 and word[0] == "("
    }
    assert links == codes


def test_everything_without_a_target_is_listed(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(MissingTargets) as raised:
        written(ledger, "beancount", '[[asset]]\naccount = "broker"\ntarget = "Assets:B"\n[commodity]\n"点券" = "P"\n')
    assert "opening=…" in raised.value.missing
    assert '[[asset]] account="微信 小店" currency="CNY"' in raised.value.missing
    assert '[[counter]] account="broker" subaccount="futures" currency="BTC" kind="fee"' in raised.value.missing
    assert len(raised.value.missing) == 15
    empty = tmp_path / "map.toml"
    empty.write_text("", encoding="utf-8")
    output = tmp_path / "books.beancount"
    done = export(tmp_path, "beancount", output)
    assert done.returncode == 2
    assert 'missing in the account map: [commodity] "点券"=…\n' in done.stderr
    assert done.stderr.count("点券") == 1, "what is missing is listed once"
    assert not output.exists()
    without = run(tmp_path / "ledger.db", "export", "beancount")
    assert without.stderr.startswith("error: map: expected an account map for this format")


BAD = [
    ('opening = "Equity:微信"\n', "Equity:微信: expected '微信' to begin with a capital or a digit"),
    ('opening = "Wallet:Bank"\n', "Wallet:Bank: expected a name such as Assets:Bank, below one of Assets"),
    ('opening = "Equity:A_b"\n', "Equity:A_b: expected letters, digits and '-' only in 'A_b'"),
    (
        'opening = "Equity:Clearing"\n[[asset]]\naccount = "broker"\ncurrency = "USD"\ntarget = "Equity:Clearing"\n',
        "Equity:Clearing: expected an asset or a counter-account, got both",
    ),
    (
        '[commodity]\nUSDT = "USD"\n"点券" = "P"\n',
        "commodity: expected a name of its own for each currency, got USD and USDT as USD",
    ),
    (
        '[commodity]\nUSD = "us dollar"\n"点券" = "P"\n',
        "commodity: expected a name that the format allows, got us dollar",
    ),
]


@pytest.mark.parametrize(("change", "message"), BAD, ids=range(len(BAD)))
def test_a_map_that_beancount_cannot_use_is_refused(ledger: Ledger, change: str, message: str) -> None:
    base = MAP.partition("[commodity]")[0].partition("\n\n")[2]
    commodities = "" if "[commodity]" in change else '[commodity]\n"点券" = "P"\n'
    opening = "" if change.startswith("opening") else 'opening = "Equity:Opening"\n'
    head, _, tail = change.partition("\n")
    text = (
        f"{opening}{head}\n{base}\n{tail}\n{commodities}"
        if change.startswith("opening")
        else f"{opening}{base}{change}"
    )
    with pytest.raises(ConfigError, match="map: ") as raised:
        written(ledger, "beancount", text)
    assert message in str(raised.value)


def test_names_of_commodities_and_accounts() -> None:
    names = {"USDC.E": "USDC.E", "BTC-PERP": "BTC-PERP", "1inch": "X1INCH", "TRUE": "XTRUE", "A/B ": "AB", "X-": "X"}
    assert {currency: beancount.commodity(currency) for currency in names} == names
    assert beancount.commodity("点券") == ""
    assert ledger_text.commodity('a"b; c') == "abc"
    assert ledger_text.written("USD") == "USD"
    assert ledger_text.written("700.HK") == '"700.HK"'
    for name in ("Assets:a  b", "Assets:a;b", "Assets:a\u3000b", " Assets", "(Assets)", "Assets::B", ""):
        assert ledger_text.account_error(name), name
    assert ledger_text.account_error("资产:微信 小店") == ""


def test_a_journal_through_the_api_takes_its_map_in_the_body(ledger: Ledger) -> None:
    with open_api(ledger) as api:
        caller = api.caller(BROKER)
        answer = caller.ask("POST", "/export/beancount", params={"opening": "false"}, json={"map": MAP})
        assert answer.status_code == 200, answer.text
        assert answer.text == written(ledger, "beancount", opening=False, accounts=(BROKER,))
        missing = caller.ask("POST", "/export/beancount", json={"map": ""})
        assert missing.status_code == 422
        assert '[[asset]] account="broker" subaccount="futures" currency="BTC"' in missing.json()["detail"]
        assert caller.ask("GET", "/export/beancount").status_code == 422
        assert (
            caller.ask("POST", "/export/beancount", json={"map": "x"}).json()["detail"].startswith("map: expected TOML")
        )


def test_what_only_has_a_balance_needs_a_target_too(ledger: Ledger) -> None:
    text = MAP.replace('subaccount = "futures"', 'subaccount = "futures"\ncurrency = "BTC"').replace(
        'account = "broker"\ntarget = "Assets:Broker"', 'account = "broker"\nsubaccount = ""\ntarget = "Assets:Broker"'
    )
    with pytest.raises(MissingTargets) as raised:
        november = BEGIN.replace(month=11, day=1)
        written(ledger, "beancount", text, opening=False, accounts=(BROKER,), since=november)
    assert raised.value.missing == ('[[asset]] account="broker" subaccount="futures" currency="1INCH"',)


def test_a_journal_of_a_range_begins_with_what_was_there_before(ledger: Ledger) -> None:
    text = written(ledger, "hledger", accounts=(BROKER,), since=BEGIN.replace(month=11, day=1))
    assert "    Assets:Broker  290.600 USD\n    Equity:Opening-Balances  -290.600 USD\n" in text
    import_page(ledger, flow_row(130, "1.00", "CNY"), account=SHOP)
    later = written(ledger, "hledger", accounts=(SHOP,), since=BEGIN.replace(month=11, day=1))
    assert "    Assets:WeCom:微信支付  1080.00 CNY\n" in later
    assert "    Assets:WeCom:微信支付  0 CNY = 1081.00 CNY\n" in later
