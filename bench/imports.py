"""import: a file of rows to a durable commit. `import_files` against a bare loop, for every provider.

Both run in turn in this process, so that other programs disturb both alike. The bare loop decodes a line with msgspec,
builds the ledger's columns, and inserts them into the ledger's table with `executemany`. It uses the same number of
rows per commit, and its own file with the ledger's pragmas. It numbers the rows instead of deriving identities, and it
checks nothing. It would import a file a second time, and one bad row would end it.
"""

import sqlite3
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from bench.context import ACCOUNT, BEGIN, END, SEED, BenchContext, check_rows
from bench.ingest import INSERT, new_table
from bench.peers.everywhere import CashFlow, Futures
from bench.results import Measurement, Ratio, Series
from liushui.importing.run import import_files
from liushui.ledger.engine import open_ledger
from liushui.ledger.write.commit import make_account
from liushui.provider import Provider
from liushui.providers import load_providers
from liushui.simulate.people import institutions_of
from liushui.simulate.world import Parameters, World

BAR: Final = 0.5
COMMIT_ROWS: Final = 5_000
_encode = msgspec.json.Encoder().encode
WHAT: Final = "rows of a file to a durable commit"


# ---------------------------------------------------------------- the bare loop


class FundFlow(msgspec.Struct, gc=False, kw_only=True):
    """A row of WeCom's."""

    timestamp: int
    request_no: str
    transaction_type: int
    fund_flow_type: int
    transaction_amount: int
    account_balance: int | None = None
    out_trade_no: str | None = None
    mch_id: str
    operator_userid: str | None = None
    group_list: msgspec.Raw = msgspec.Raw(b"null")
    remark: str | None = None


class Transaction(msgspec.Struct, gc=False, kw_only=True):
    """A row of the HK and US broker's. Numbers stay literals."""

    id: int
    account_id: int
    tran_type: str
    date: int
    sett_date: int | None = None
    base_currency: str
    market: str | None = None
    product_code: str | None = None
    product_name: str | None = None
    price: msgspec.Raw = msgspec.Raw(b"null")
    qty: msgspec.Raw = msgspec.Raw(b"null")
    amt: msgspec.Raw
    balance: msgspec.Raw = msgspec.Raw(b"null")
    io_type: str
    fx_ccy: str | None = None
    fx_amt: msgspec.Raw = msgspec.Raw(b"null")
    fx_rate: msgspec.Raw = msgspec.Raw(b"null")
    remarks: str | None = None
    business_type: str | None = None
    business_sub_type: str | None = None


Values = tuple[object, ...]
"""A row of the ledger's table of flows, all of its columns."""


def _cash_flow(row: CashFlow, id_: str, wire: str) -> Values:
    at_us, side = int(row.business_time) * 1_000_000, "in" if row.direction == 2 else "out"
    first = (ACCOUNT, at_us, id_, "", row.balance, row.currency, side, "", row.business_type)
    last = (row.description, None, None, None, None, wire, None, 1)
    return (*first, row.transaction_flow_name, None, None, None, None, row.symbol, None, None, None, *last)


def _fund_flow(row: FundFlow, id_: str, wire: str) -> Values:
    amount, side = (row.transaction_amount, "in") if row.fund_flow_type == 1 else (-row.transaction_amount, "out")
    yuan, balance = f"{amount / 100:.2f}", f"{(row.account_balance or 0) / 100:.2f}"
    first = (ACCOUNT, row.timestamp * 1_000_000, id_, row.mch_id, yuan, "CNY", side, row.transaction_type, "cash", "")
    detail = _json({"operator_userid": row.operator_userid, "group_list": row.group_list})
    last = (row.remark, None, None, None, detail, wire, None, 1)
    return (*first, balance, None, row.request_no, row.out_trade_no, None, None, None, None, *last)


def _futures(row: Futures, id_: str, wire: str) -> Values:
    at_us = int(row.time) * 1_000
    first = (ACCOUNT, at_us, id_, row.account, row.amount, row.asset, "none", row.flow_type, "futures", row.type)
    last = (None, None, None, None, None, wire, None, 1)
    return (*first, None, None, row.tran_id, None, row.symbol, None, None, None, *last)


def _transaction(row: Transaction, id_: str, wire: str) -> Values:
    settled_us = None if row.sett_date is None else row.sett_date * 1_000_000
    first = (ACCOUNT, row.date * 1_000_000, id_, row.account_id, _text(row.amt), row.base_currency, row.io_type)
    kind = (row.business_sub_type or "", row.business_type or "", row.tran_type)
    more = (_text(row.balance), settled_us, row.id, None, row.product_code, row.product_name)
    detail = _json(
        {
            "tran_type": row.tran_type,
            "market": row.market,
            "io_type": row.io_type,
            "business_type": row.business_type,
            "business_sub_type": row.business_sub_type,
        }
    )
    last = (row.remarks, row.fx_ccy, _text(row.fx_amt), _text(row.fx_rate), detail, wire, None, 1)
    return (*first, *kind, *more, _text(row.price), _text(row.qty), *last)


def _json(detail: dict[str, object]) -> str:
    return _encode(detail).decode()


def _text(literal: msgspec.Raw) -> str | None:
    return None if literal == b"null" else bytes(literal).decode()


class BareRow(NamedTuple):
    """How the bare loop reads the rows of a provider: the struct, and the columns of a row, its id and its text."""

    struct: type[Any]
    values: Callable[[Any, str, str], Values]


BARE_ROWS: Final[Mapping[str, BareRow]] = {
    "longbridge": BareRow(CashFlow, _cash_flow),
    "longbridge_legacy": BareRow(CashFlow, _cash_flow),
    "wecom": BareRow(FundFlow, _fund_flow),
    "wooxpro": BareRow(Futures, _futures),
    "hkus": BareRow(Transaction, _transaction),
}


def bare_loop(file: Path, bare: BareRow, database: sqlite3.Connection) -> int:
    """Import a file of JSON lines, and return the number of rows."""
    decode, values = msgspec.json.Decoder(bare.struct).decode, bare.values
    rows: list[Values] = []
    number = 0

    def commit() -> None:
        database.execute("BEGIN IMMEDIATE")
        database.executemany(INSERT, rows)
        database.execute("COMMIT")
        rows.clear()

    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            rows.append(values(decode(line), f"{number:020}", line.rstrip(b"\n").decode()))
            if len(rows) == COMMIT_ROWS:
                commit()
    commit()
    return number


# ---------------------------------------------------------------- the measurement


def measure(context: BenchContext) -> Measurement:
    """Rows a second of both for each provider, once a round, each round in new databases."""
    measurement = Measurement("import")
    files = write_files(context)
    for name, bare in BARE_ROWS.items():
        ours, theirs = [], []
        for number in range(context.options.rounds):
            context.log(f"import of {name}, round {number + 1}")
            folder = context.folder / f"import-{name}-{number}"
            folder.mkdir()
            ours.append(_import(context, load_providers()[name], files[name], folder))
            theirs.append(_bare(context, bare, files[name], folder))
        pair = Series(WHAT, f"liushui import, {name}", "rows/s", ours), Series(WHAT, "bare loop", "rows/s", theirs)
        measurement.ratios.append(Ratio(f"import, {name}", *pair, BAR, "at least"))
    return measurement


def write_files(context: BenchContext) -> dict[str, Path]:
    """A file of JSON lines for each provider, oldest first: its account of a seeded world."""
    flows = context.options.flows
    context.log(f"making {flows:,} rows of each provider")
    providers = {name: load_providers()[name] for name in BARE_ROWS}
    world = World(Parameters(accounts=1, flows=flows, seed=SEED, begin=BEGIN, end=END), institutions_of(providers))
    files = {}
    for account in world.accounts:
        provider = providers[world.account(account).institution.name]
        files[provider.name] = context.folder / f"import-{provider.name}-{flows}.jsonl"
        with files[provider.name].open("wb") as out:
            out.writelines(provider.codec.write(flow) + b"\n" for flow in world.flows(account, BEGIN, END))
    return files


def _import(context: BenchContext, provider: Provider, file: Path, folder: Path) -> float:
    ledger = open_ledger(str(folder / "ledger.db"), create=True)
    make_account(ledger, ACCOUNT, provider.name, provider.rules.zone)
    begun = time.perf_counter()
    imported = import_files(ledger, ACCOUNT, provider, [file], advance=lambda _bytes: None)
    ended = time.perf_counter()
    ledger.close()
    check_rows(f"import of {provider.name}", imported.added, context.options.flows)
    return imported.added / (ended - begun)


def _bare(context: BenchContext, bare: BareRow, file: Path, folder: Path) -> float:
    database = new_table(folder / "bare.db")
    begun = time.perf_counter()
    rows = bare_loop(file, bare, database)
    ended = time.perf_counter()
    database.close()
    check_rows("the bare loop of an import", rows, context.options.flows)
    return rows / (ended - begun)
