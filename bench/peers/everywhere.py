"""The bare loop of every provider: what a developer writes in a few afternoons to copy accounts into SQLite.

`python -m bench.peers.everywhere SOURCES.json DATABASE SINCE UNTIL` reads the whole range of each source, all sources
at once in one process. It prints the number of rows. No proof, no chain, no totals, no quarantine, no retries.
"""

import asyncio
import csv
import gzip
import json
import secrets
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import httpx2
import msgspec

from liushui.providers._longbridge.wire import Signer
from liushui.providers.alipay.wire import CHINA, sign_request, write_time
from liushui.providers.binance_usdm.wire import sign as sign_binance
from liushui.providers.bybit.wire import sign as sign_bybit
from liushui.providers.hkus.wire import sign
from liushui.providers.okx.wire import sign as sign_okx
from liushui.providers.wechatpay.wire import Authorization, request_message
from liushui.wire.rsa import read_private_key
from liushui.wire.rsa import sign as sign_rsa

WEEK_S: Final = 7 * 86_400
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


class AccountLog(msgspec.Struct, gc=False):
    """A row of Alipay's."""

    account_log_id: str
    trans_dt: str
    trans_amount: str
    direction: str
    balance: str | None = None
    type: str | None = None
    biz_desc: str | None = None
    alipay_order_no: str | None = None
    merchant_order_no: str | None = None
    other_account: str | None = None
    trans_memo: str | None = None


class AccountLogs(msgspec.Struct):
    detail_list: list[AccountLog] = []


class AlipayAnswer(msgspec.Struct):
    alipay_data_bill_accountlog_query_response: AccountLogs


class BillRow(msgspec.Struct, gc=False):
    """A row of a WeChat Pay bill. `account_type` and `number` are not in the row: its account, and its place."""

    account_type: str
    number: int
    at: str
    order_no: str
    flow_no: str
    business: str
    type: str
    side: str
    amount: str
    balance: str
    applicant: str
    note: str
    voucher: str


class BillLink(msgspec.Struct):
    download_url: str


class OkxBill(msgspec.Struct, gc=False, rename="camel"):
    """A row of OKX's."""

    bill_id: str
    ts: str
    ccy: str
    bal_chg: str
    bal: str | None = None
    type: str | None = None
    sub_type: str | None = None
    inst_id: str | None = None
    ord_id: str | None = None
    px: str | None = None
    sz: str | None = None
    fee: str | None = None
    pnl: str | None = None
    notes: str | None = None


class OkxAnswer(msgspec.Struct):
    data: list[OkxBill]


class BybitRow(msgspec.Struct, gc=False, rename="camel"):
    """A row of Bybit's."""

    id: str
    transaction_time: str
    type: str
    currency: str
    change: str
    trade_id: str | None = None
    cash_balance: str | None = None
    symbol: str | None = None
    side: str | None = None
    order_id: str | None = None
    trade_price: str | None = None
    qty: str | None = None
    fee: str | None = None
    funding: str | None = None
    cash_flow: str | None = None


class BybitRows(msgspec.Struct, rename="camel"):
    list: list[BybitRow]
    next_page_cursor: str = ""


class BybitAnswer(msgspec.Struct):
    result: BybitRows


class Income(msgspec.Struct, gc=False, rename="camel"):
    """A row of Binance's."""

    symbol: str
    income_type: str
    income: str
    asset: str
    time: int
    tran_id: int
    info: str = ""
    trade_id: str = ""


class BalanceTransaction(msgspec.Struct, gc=False):
    """A row of Stripe's. Its fees stay a literal."""

    id: str
    amount: int
    available_on: int
    created: int
    currency: str
    fee: int
    net: int
    reporting_category: str
    status: str
    type: str
    fee_details: msgspec.Raw
    source: str | None = None
    description: str | None = None


class StripeAnswer(msgspec.Struct):
    data: list[BalanceTransaction]
    has_more: bool


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


async def alipay(http: httpx2.AsyncClient, given: dict[str, str], since: int, until: int) -> Pages:
    """Pages of 2,000 by number, month by month, until one is empty."""
    decode, key = msgspec.json.Decoder(AlipayAnswer).decode, read_private_key("key", given["app_private_key"])
    for begin in range(since, until, MONTH_S):
        for page in range(1, 1_000_000):
            ends = {"start_time": begin, "end_time": min(begin + MONTH_S, until)}
            content = {name: write_time(datetime.fromtimestamp(at_s, UTC)) for name, at_s in ends.items()}
            params = {
                "app_id": given["app_id"],
                "biz_content": json.dumps({**content, "page_no": str(page), "page_size": "2000"}),
                "charset": "utf-8",
                "format": "JSON",
                "method": "alipay.data.bill.accountlog.query",
                "sign_type": "RSA2",
                "timestamp": write_time(datetime.now(UTC)),
                "version": "1.0",
            }
            answer = await http.get(f"/gateway.do?{urlencode({**params, 'sign': sign_request(params, key)})}")
            logs = decode(answer.raise_for_status().content).alipay_data_bill_accountlog_query_response.detail_list
            if not logs:
                break
            yield [msgspec.structs.astuple(log) for log in logs]


async def wechatpay(http: httpx2.AsyncClient, given: dict[str, str], since: int, until: int) -> Pages:
    """Yield the bill of each day and account, if the account has one."""
    decode, key = msgspec.json.Decoder(BillLink).decode, read_private_key("key", given["private_key"])

    async def call(target: str) -> httpx2.Response:
        now, nonce = str(int(time.time())), secrets.token_hex(16)
        signature = sign_rsa(key, request_message("GET", target, now, nonce))
        parts = Authorization(given["mchid"], nonce, signature, now, given["serial_no"])
        return await http.get(target, headers={"authorization": parts.to_header()})

    day, last = (datetime.fromtimestamp(at_s, CHINA).date() for at_s in (since, until - 1))
    while day <= last:
        for account in ("BASIC", "OPERATION", "FEES"):
            asked = {"bill_date": day, "account_type": account, "tar_type": "GZIP"}
            named = await call(f"/v3/bill/fundflowbill?{urlencode(asked)}")
            if named.status_code == 200:
                target = httpx2.URL(decode(named.content).download_url).raw_path.decode()
                text = gzip.decompress((await call(target)).raise_for_status().content).decode()
                rows = [[cell.removeprefix("`") for cell in row] for row in csv.reader(text.splitlines()[1:-2])]
                yield [(account, number, *row[:11]) for number, row in enumerate(rows)]
        day += timedelta(days=1)


async def okx(http: httpx2.AsyncClient, given: dict[str, str], since: int, until: int) -> Pages:
    """Pages of 100 from the archive, newest first, each before the last id of the one before it."""
    decode, path, after = msgspec.json.Decoder(OkxAnswer).decode, "/api/v5/account/bills-archive", ""
    while True:
        asked = {"begin": since * 1_000, "end": until * 1_000 - 1, "limit": 100, **({"after": after} if after else {})}
        query, now = urlencode(asked), datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        signature = sign_okx(secret=given["api_secret"], timestamp=now, method="GET", path=path, query=query)
        signed = {"ok-access-key": given["api_key"], "ok-access-sign": signature, "ok-access-timestamp": now}
        answer = await http.get(f"{path}?{query}", headers={**signed, "ok-access-passphrase": given["passphrase"]})
        bills = decode(answer.raise_for_status().content).data
        if not bills:
            return
        yield [msgspec.structs.astuple(bill) for bill in bills]
        after = bills[-1].bill_id


async def bybit(http: httpx2.AsyncClient, given: dict[str, str], since: int, until: int) -> Pages:
    """Pages of 50 by cursor, week by week, because a request may cover at most seven days."""
    decode = msgspec.json.Decoder(BybitAnswer).decode
    for begin in range(since, until, WEEK_S):
        ends = {"startTime": begin * 1_000, "endTime": min(begin + WEEK_S, until) * 1_000 - 1}
        cursor = ""
        while True:
            query = urlencode({"accountType": "UNIFIED", **ends, "limit": 50, **({"cursor": cursor} if cursor else {})})
            now, api_key = str(time.time_ns() // 1_000_000), given["api_key"]
            signature = sign_bybit(secret=given["api_secret"], timestamp=now, key=api_key, window="20000", query=query)
            signed = {"x-bapi-api-key": api_key, "x-bapi-timestamp": now, "x-bapi-sign": signature}
            answer = await http.get(
                f"/v5/account/transaction-log?{query}", headers={**signed, "x-bapi-recv-window": "20000"}
            )
            found = decode(answer.raise_for_status().content).result
            yield [msgspec.structs.astuple(row) for row in found.list]
            if not found.next_page_cursor:
                break
            cursor = found.next_page_cursor


async def binance_usdm(http: httpx2.AsyncClient, given: dict[str, str], since: int, until: int) -> Pages:
    """Pages of 1,000 by number, until one is empty."""
    decode = msgspec.json.Decoder(list[Income]).decode
    for page in range(1, 1_000_000):
        asked = {"startTime": since * 1_000, "endTime": until * 1_000 - 1, "limit": 1_000, "page": page}
        query = urlencode({**asked, "recvWindow": 20_000, "timestamp": time.time_ns() // 1_000_000})
        signature = sign_binance(secret=given["api_secret"], query=query)
        headers = {"x-mbx-apikey": given["api_key"]}
        answer = await http.get(f"/fapi/v1/income?{query}&signature={signature}", headers=headers)
        rows = decode(answer.raise_for_status().content)
        if not rows:
            return
        yield [(*msgspec.structs.astuple(row)[:5], str(row.tran_id), row.info, row.trade_id) for row in rows]


async def stripe(http: httpx2.AsyncClient, given: dict[str, str], since: int, until: int) -> Pages:
    """Pages of 100, newest first, each after the last id of the one before it."""
    decode, after = msgspec.json.Decoder(StripeAnswer).decode, ""
    headers = {"authorization": f"Bearer {given['api_key']}"}
    while True:
        asked = {"created[gte]": since, "created[lt]": until, "limit": 100}
        query = urlencode({**asked, **({"starting_after": after} if after else {})})
        answer = await http.get(f"/v1/balance_transactions?{query}", headers=headers)
        found = decode(answer.raise_for_status().content)
        yield [_literals(msgspec.structs.astuple(row)) for row in found.data]
        if not found.has_more:
            return
        after = found.data[-1].id


def _literals(values: Values) -> Values:
    return tuple([bytes(value).decode() if type(value) is msgspec.Raw else value for value in values])


ASK: Final[dict[str, Callable[[httpx2.AsyncClient, dict[str, str], int, int], Pages]]] = {
    "longbridge": longbridge,
    "longbridge_legacy": longbridge_legacy,
    "wecom": wecom,
    "wooxpro": wooxpro,
    "hkus": hkus,
    "alipay": alipay,
    "wechatpay": wechatpay,
    "okx": okx,
    "bybit": bybit,
    "binance_usdm": binance_usdm,
    "stripe": stripe,
}
ROWS: Final[dict[str, type[Any]]] = {
    "longbridge": CashFlow,
    "longbridge_legacy": CashFlow,
    "wecom": FundFlow,
    "wooxpro": Futures,
    "hkus": Transaction,
    "alipay": AccountLog,
    "wechatpay": BillRow,
    "okx": OkxBill,
    "bybit": BybitRow,
    "binance_usdm": Income,
    "stripe": BalanceTransaction,
}
KEYS: Final[dict[str, Sequence[str]]] = {
    "longbridge": [field.name for field in msgspec.structs.fields(CashFlow)],
    "longbridge_legacy": [field.name for field in msgspec.structs.fields(CashFlow)],
    "wecom": ["timestamp", "mch_id", "request_no", "transaction_type", "fund_flow_type"],
    "wooxpro": [field.name for field in msgspec.structs.fields(Futures)],
    "hkus": ["account_id", "id"],
    "alipay": ["account_log_id"],
    "wechatpay": ["account_type", "at", "number"],
    "okx": ["bill_id"],
    "bybit": ["id", "type", "currency", "transaction_time", "trade_id", "change"],
    "binance_usdm": ["tran_id", "income_type", "symbol", "asset"],
    "stripe": ["id"],
}
"""The columns that identify a row: its id, or all columns if it has none."""


def create(file: Path) -> sqlite3.Connection:
    """A new database with a table for each provider, as durable as a ledger: write-ahead log, synchronous = FULL."""
    database = sqlite3.connect(file, isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    for provider, shape in ROWS.items():
        columns = ", ".join(["account_name TEXT", *(field.name for field in msgspec.structs.fields(shape))])
        key = ", ".join(["account_name", *KEYS[provider]])
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
