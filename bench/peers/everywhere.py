"""The bare loop of every provider: what a developer writes in two afternoons to copy accounts into SQLite.

`python -m bench.peers.everywhere SOURCES.json DATABASE SINCE UNTIL` reads the whole range of each source, all sources
at once in one process. It prints the number of rows. No proof, no chain, no totals, no quarantine, no retries.
"""

import asyncio
import json
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import httpx2
import msgspec

from liushui.providers._longbridge.wire import Signer
from liushui.providers.hkus.wire import sign

MONTH_S: Final = 31 * 86_400
Values = tuple[object, ...]
Pages = AsyncIterator[list[Values]]


class Source(msgspec.Struct):
    """An account at a provider."""

    provider: str
    name: str
    url: str
    credentials: dict[str, str]


# ---------------------------------------------------------------- rows


class CashFlow(msgspec.Struct, gc=False):
    """A row of Longbridge's, of either generation."""

    transaction_flow_name: str
    direction: int
    business_type: int
    balance: str
    currency: str
    business_time: str | int
    symbol: str | None
    description: str


class CashFlows(msgspec.Struct):
    list: list[CashFlow]


class CashFlowsAnswer(msgspec.Struct):
    data: CashFlows


class FundFlow(msgspec.Struct, gc=False):
    """A row of WeCom's."""

    timestamp: int
    request_no: str
    transaction_type: int
    fund_flow_type: int
    transaction_amount: int
    mch_id: str
    account_balance: int | None = None
    out_trade_no: str | None = None
    remark: str | None = None


class FundFlows(msgspec.Struct):
    fund_flow_list: list[FundFlow]
    next_cursor: str | None = None


class Token(msgspec.Struct):
    access_token: str


class Futures(msgspec.Struct, gc=False):
    """A row of WOO X Pro's."""

    symbol: str
    flow_type: int
    type: str
    amount: str
    asset: str
    account: str
    time: str
    tran_id: str


class FuturesAnswer(msgspec.Struct):
    data: list[Futures]


class Transaction(msgspec.Struct, gc=False):
    """A row of the HK and US broker's. Numbers stay literals."""

    id: int
    account_id: int
    tran_type: str
    date: int
    base_currency: str
    amt: msgspec.Raw
    io_type: str
    balance: msgspec.Raw = msgspec.Raw(b"null")
    product_code: str | None = None
    business_sub_type: str | None = None


class Transactions(msgspec.Struct):
    total_records: int
    transactions: list[Transaction]


class TransactionsAnswer(msgspec.Struct):
    data: Transactions


# ---------------------------------------------------------------- requests


async def longbridge(http: httpx2.AsyncClient, given: dict[str, str], since: int, until: int) -> Pages:
    """Pages of 10,000 by number, until one is empty."""
    signer, decode = Signer(given), msgspec.json.Decoder(CashFlowsAnswer).decode
    path = "/v1/asset/cashflow"
    for page in range(1, 1_000_000):
        query = urlencode({"start_time": since, "end_time": until, "page": page, "size": 10_000})
        answer = await http.get(
            f"{path}?{query}", headers=signer.headers("GET", path, query=query, body=b"", at_s=int(time.time()))
        )
        flows = decode(answer.raise_for_status().content).data.list
        if not flows:
            return
        yield [msgspec.structs.astuple(flow) for flow in flows]


async def longbridge_legacy(http: httpx2.AsyncClient, given: dict[str, str], since: int, until: int) -> Pages:
    """The same pages with POST."""
    signer, decode = Signer(given), msgspec.json.Decoder(CashFlowsAnswer).decode
    path = "/v1/trade/asset/GetCashFlowHistory"
    for page in range(1, 1_000_000):
        body = msgspec.json.encode({"start_time": since, "end_time": until, "page": page, "size": 10_000})
        answer = await http.post(
            path, content=body, headers=signer.headers("POST", path, query="", body=body, at_s=int(time.time()))
        )
        flows = decode(answer.raise_for_status().content).data.list
        if not flows:
            return
        yield [msgspec.structs.astuple(flow) for flow in flows]


async def wecom(http: httpx2.AsyncClient, given: dict[str, str], since: int, until: int) -> Pages:
    """Yield pages of 200 by cursor, month by month, because a request may cover at most 31 days."""
    token_of, decode = msgspec.json.Decoder(Token).decode, msgspec.json.Decoder(FundFlows).decode
    token = token_of((await http.get(f"/cgi-bin/gettoken?{urlencode(given)}")).content).access_token
    for begin in range(since, until, MONTH_S):
        asked: dict[str, object] = {"begin_time": begin, "end_time": min(begin + MONTH_S, until) - 1, "limit": 200}
        while True:
            where = f"/cgi-bin/externalpay/get_fund_flow?access_token={token}"
            answer = await http.post(where, content=msgspec.json.encode(asked))
            found = decode(answer.raise_for_status().content)
            yield [msgspec.structs.astuple(flow) for flow in found.fund_flow_list]
            if not found.next_cursor:
                break
            asked["cursor"] = found.next_cursor


async def wooxpro(http: httpx2.AsyncClient, given: dict[str, str], since: int, until: int) -> Pages:
    """Yield the oldest thousand rows since an instant, and then since the last row's time. The table drops repeated
    rows."""
    decode = msgspec.json.Decoder(FuturesAnswer).decode
    for account in ("futures", "copy_trading"):
        start = since * 1_000
        while True:
            asked = {"account": account, "start_time": start, "end_time": until * 1_000, "page_size": 1_000}
            where = f"/contract/private/transaction-history?{urlencode(asked)}"
            answer = await http.get(where, headers={"X-API-KEY": given["api_key"]})
            flows = decode(answer.raise_for_status().content).data
            yield [msgspec.structs.astuple(flow) for flow in flows]
            if len(flows) < 1_000:
                break
            last = int(flows[-1].time)
            start = last if last > start else last + 1


async def hkus(http: httpx2.AsyncClient, given: dict[str, str], since: int, until: int) -> Pages:
    """Pages of 100 by number, until the stated total is reached."""
    decode, path = msgspec.json.Decoder(TransactionsAnswer).decode, "/account/v1/transactions"
    rows = 0
    for page in range(1, 1_000_000):
        query = urlencode({"page": page, "page_size": 100, "from_date": since, "to_date": until})
        now = str(time.time_ns() // 1_000_000)
        signature = sign(secret=given["api_secret"], timestamp=now, method="GET", path=path, query=query)
        signed = {"x-api-key": given["api_key"], "x-api-timestamp": now, "x-api-signature": signature}
        answer = await http.get(f"{path}?{query}", headers=signed)
        found = decode(answer.raise_for_status().content).data
        yield [_literals(msgspec.structs.astuple(flow)) for flow in found.transactions]
        rows += len(found.transactions)
        if rows >= found.total_records:
            return


def _literals(values: Values) -> Values:
    return tuple([bytes(value).decode() if type(value) is msgspec.Raw else value for value in values])


ASK: Final[dict[str, Callable[[httpx2.AsyncClient, dict[str, str], int, int], Pages]]] = {
    "longbridge": longbridge,
    "longbridge_legacy": longbridge_legacy,
    "wecom": wecom,
    "wooxpro": wooxpro,
    "hkus": hkus,
}
ROWS: Final[dict[str, type[Any]]] = {
    "longbridge": CashFlow,
    "longbridge_legacy": CashFlow,
    "wecom": FundFlow,
    "wooxpro": Futures,
    "hkus": Transaction,
}
KEYS: Final[dict[str, Sequence[str]]] = {
    "longbridge": [field.name for field in msgspec.structs.fields(CashFlow)],
    "longbridge_legacy": [field.name for field in msgspec.structs.fields(CashFlow)],
    "wecom": ["timestamp", "mch_id", "request_no", "transaction_type", "fund_flow_type"],
    "wooxpro": [field.name for field in msgspec.structs.fields(Futures)],
    "hkus": ["account_id", "id"],
}
"""The columns that identify a row: its id, or all columns if it has none."""


def create(file: Path) -> sqlite3.Connection:
    """A new database with a table for each provider, as durable as a ledger: write-ahead log, synchronous = FULL."""
    database = sqlite3.connect(file, isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    for provider, shape in ROWS.items():
        columns = ", ".join(["source TEXT", *(field.name for field in msgspec.structs.fields(shape))])
        key = ", ".join(["source", *KEYS[provider]])
        database.execute(f"CREATE TABLE {provider} ({columns}, PRIMARY KEY ({key})) WITHOUT ROWID")
    return database


async def collect(source: Source, database: sqlite3.Connection, since: int, until: int) -> int:
    """Copy a range of a source, and return the number of rows."""
    marks = ", ".join("?" * (1 + len(msgspec.structs.fields(ROWS[source.provider]))))
    statement = f"INSERT OR IGNORE INTO {source.provider} VALUES ({marks})"
    rows = 0
    async with httpx2.AsyncClient(base_url=source.url, timeout=60.0) as http:
        async for page in ASK[source.provider](http, source.credentials, since, until):
            database.execute("BEGIN IMMEDIATE")
            database.executemany(statement, [(source.name, *values) for values in page])
            database.execute("COMMIT")
            rows += len(page)
    return rows


async def main(sources: list[Source], file: Path, since: int, until: int) -> int:
    """Copy a range of every source at once."""
    database = create(file)
    rows = sum(await asyncio.gather(*(collect(source, database, since, until) for source in sources)))
    database.close()
    return rows


if __name__ == "__main__":
    listed, target, begin, end = sys.argv[1:]
    wanted = msgspec.json.decode(Path(listed).read_bytes(), type=list[Source])
    count = asyncio.run(main(wanted, Path(target), int(begin), int(end)))
    sys.stdout.write(json.dumps({"rows": count}) + "\n")
