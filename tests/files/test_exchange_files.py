"""Files of exchanges in the versions that they have had."""

from pathlib import Path

import pytest

from tests.files.inputs import Desk, picked, table
from tests.files.test_bills import sample

LEDGERS = '"txid","refid","time","type","subtype","aclass","asset","amount","fee","balance"'


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_request_for_a_deposit_of_kraken_moves_no_balance(desk: Desk) -> None:
    """Older files have a row without txid and balance before the row that has moved the balance."""
    rows = (
        '"","Q1","2026-01-05 09:14:02","deposit","","currency","ZEUR",500.0000,0.0000,""',
        '"L1","Q1","2026-01-05 09:15:02","deposit","","currency","ZEUR",500.0000,0.0000,500.0000',
    )
    file = desk.write("ledgers.csv", table(*rows, header=LEDGERS))
    assert picked(desk.reads(file), "rows", "added") == [2, 2]
    assert picked(desk.reads(file), "added", "known") == [0, 2]
    flows = {flow["label"]: (flow["amount"], flow["currency"], flow["order_ref"]) for flow in desk.flows()}
    assert flows == {"deposit": ("500.0000", "EUR", "Q1"), "deposit pending": ("0", "EUR", "Q1")}


def test_currencies_of_kraken_are_the_same_in_older_and_newer_files(desk: Desk) -> None:
    older = '"L1","Q1","2026-01-05 09:15:02","deposit","","currency","XXBT",0.5000,0,0.5000'
    newer = '"L2","Q2","2026-01-06 09:15:02","withdrawal","","currency","BTC",-0.1000,0,0.4000'
    staked = '"L3","Q3","2026-01-07 09:15:02","staking","","currency","DOT.S",1.0000,0,1.0000'
    desk.reads(desk.write("ledgers.csv", table(older, newer, staked, header=LEDGERS)))
    assert [flow["currency"] for flow in desk.flows()] == ["BTC", "BTC", "DOT.S"]


def test_a_fee_of_kraken_in_another_currency_is_rejected(desk: Desk) -> None:
    header = LEDGERS + ',"amountusd","feecurrency"'
    same = '"L1","Q1","2026-01-05 09:15:02","trade","","currency","ZEUR",-10.0000,0.1000,89.9000,"-11","EUR"'
    other = '"L2","Q2","2026-01-05 09:16:02","trade","","currency","ZEUR",-10.0000,0.1000,79.9000,"-11","USDC"'
    done = desk.run("import", desk.write("l.csv", table(same, other, header=header)), "--account", "a")
    assert (done.returncode, [flow["amount"] for flow in desk.flows()]) == (3, ["-10.1000"])
    assert "line 3: feecurrency: expected ZEUR, whose balance the fee is taken from, got USDC" in done.stderr


def test_the_log_of_bybit_in_each_version_has_the_same_rows(desk: Desk) -> None:
    """Some files have a column with the user, and none with ids and rates."""
    lines = sample("bybit_csv").decode("utf-8-sig").splitlines()
    cells = [line.split(",") for line in lines[1:]]
    without = [",".join(["Uid" if number == 0 else "1", *row[:13], "--"]) for number, row in enumerate(cells)]
    assert without[0].endswith("Wallet Balance,--")
    newer = "\n".join([lines[0], without[0].replace("Balance,--", "Balance,Action"), *without[1:], ""])
    assert picked(desk.reads(desk.write("older.csv", sample("bybit_csv"))), "rows", "added") == [3, 3]
    assert picked(desk.reads(desk.write("newer.csv", newer)), "rows", "added", "known") == [3, 0, 3]
