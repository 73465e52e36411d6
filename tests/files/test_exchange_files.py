"""Files of exchanges, in all versions that the exchanges have used."""

from pathlib import Path

import pytest

from tests.files.inputs import Desk, picked, table, zipped
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


def test_the_zone_of_binance_is_in_the_header_or_in_the_name_of_the_file(desk: Desk) -> None:
    """A download has the times of the zone that the user has chosen, and a bare `Time` does not say which."""
    older = "User_ID,UTC_Time,Account,Operation,Coin,Change,Remark\n1,2026-01-05 22:15:02,Spot,Deposit,USDT,5.00,\n"
    newer = "User ID,Time,Account,Operation,Coin,Change,Remark\n1,26-01-06 05:15:02,Spot,Deposit,USDT,5,\n"
    west = newer.replace("26-01-06 05", "26-01-05 16")
    assert desk.reads(desk.write("Binance-Transaction-History-202601.csv", older))["added"] == 1
    refused = desk.refuses("import", desk.write("history.csv", newer), "--account", "a")
    assert "expected the zone of the column 'Time' in the name of the file" in refused
    for file in (
        desk.write("Binance-Transaction-History-202604201017(UTC+7).csv", newer),
        desk.write("Binance-Historial-de-transacciones-202607121635(UTC--6)_81.csv", west),
        desk.write("Binance-Transaction-History-202604201017(UTC+7).zip", zipped(part=newer.encode())),
    ):
        assert picked(desk.reads(file), "added", "known") == [0, 1]
    (flow,) = desk.flows()
    assert (flow["at"], flow["subaccount"]) == ("2026-01-05T22:15:02Z", "Spot")


def test_the_history_of_binance_futures_in_two_zones_has_the_same_rows(desk: Desk) -> None:
    text = sample("binance_futures_csv").decode()
    bare = text.replace("Date(UTC+8)", "Time")
    assert desk.reads(desk.write("a.csv", text))["added"] == 4
    shifted = text.replace("Date(UTC+8)", "Date(UTC+9)").replace(" 17:", " 18:").replace(" 18:00", " 19:00")
    rows = shifted.replace("2026-01-06 00:00", "2026-01-06 01:00")
    assert picked(desk.reads(desk.write("b.csv", rows)), "added", "known") == [0, 4]
    assert "in the name of the file" in desk.refuses("import", desk.write("c.csv", bare), "--account", "a")
    assert picked(desk.reads(desk.write("d(UTC+8).csv", bare)), "added", "known") == [0, 4]


def test_the_log_of_bybit_in_each_version_has_the_same_rows(desk: Desk) -> None:
    """Some files have a column with the user, and none with ids and rates."""
    lines = sample("bybit_csv").decode("utf-8-sig").splitlines()
    cells = [line.split(",") for line in lines[1:]]
    without = [",".join(["Uid" if number == 0 else "1", *row[:13], "--"]) for number, row in enumerate(cells)]
    assert without[0].endswith("Wallet Balance,--")
    newer = "\n".join([lines[0], without[0].replace("Balance,--", "Balance,Action"), *without[1:], ""])
    assert picked(desk.reads(desk.write("older.csv", sample("bybit_csv"))), "rows", "added") == [3, 3]
    assert picked(desk.reads(desk.write("newer.csv", newer)), "rows", "added", "known") == [3, 0, 3]
