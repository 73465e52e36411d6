"""A program that calls Longbridge's official clients: a job as JSON on standard input, its results on standard output.

The clients hold the interpreter's lock during a call, so they run in a separate process, which can be ended.
"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlencode

import longbridge.openapi as longbridge
import longport.openapi as longport

Json = dict[str, Any]
Page = Callable[[Json], list[Json]]
"""Makes one call with its parameters; returns the rows in our words."""

PAGES_MAX: Final = 1_000
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
SIDES: Final = {1: "Out", 2: "In"}
TYPES: Final = {1: "Cash", 2: "Stock", 3: "Fund"}


def main() -> None:
    job = json.load(sys.stdin)
    results = calls_at_once(job) if job["client"] == "longbridge async" else calls(job)
    json.dump(results, sys.stdout)
    sys.stdout.flush()
    os._exit(0)  # the clients' own threads sometimes abort the process while the interpreter winds up around them


def calls(job: Json) -> list[Json]:
    """Each call's rows or error; of a call that drains, all pages'."""
    try:
        page = {
            "longbridge": longbridge_page,
            "longbridge http": http_page,
            "longbridge post": posted_page,
            "longport": longport_page,
        }[job["client"]](job)
    except (longbridge.OpenApiException, longport.OpenApiException) as error:
        return [{"error": error_of(error)}]
    return [result_of(page, call) for call in job["calls"]]


def result_of(page: Page, call: Json) -> Json:
    """One call's rows or error."""
    drains = call.pop("drain", False)
    try:
        return {"rows": drained(page, call) if drains else page(call)}
    except (longbridge.OpenApiException, longport.OpenApiException) as error:
        return {"error": error_of(error)}


def drained(page: Page, call: Json) -> list[Json]:
    """The rows of every page until one is empty."""
    rows: list[Json] = []
    for number in range(1, PAGES_MAX):
        found = page(call | {"page": number})
        if not found:
            return rows
        rows += found
    raise AssertionError("no page was empty")


def error_of(error: Exception) -> Json:
    """What an official client tells its user."""
    return {name: getattr(error, name) for name in ("code", "trace_id", "message")} | {
        "kind": str(error.kind).rpartition(".")[2],  # type: ignore[attr-defined] # of either client's exception
        "text": str(error),
    }


# ---------------------------------------------------------------- longbridge 5


def config(job: Json) -> longbridge.Config:
    known = job["credentials"]
    return longbridge.Config.from_apikey(
        known["app_key"], known["app_secret"], known["access_token"], http_url=job["http_url"]
    )


def longbridge_page(job: Json) -> Page:
    context = longbridge.TradeContext(config(job))
    return lambda call: [row_of(flow) for flow in context.cash_flow(**arguments(call, longbridge.BalanceType))]


def calls_at_once(job: Json) -> list[Json]:
    """Every call at the same time, of one context."""

    async def one(context: longbridge.AsyncTradeContext, call: Json) -> Json:
        answer: Awaitable[list[Any]] = context.cash_flow(**arguments(call, longbridge.BalanceType))
        try:
            return {"rows": [row_of(flow) for flow in await answer]}
        except longbridge.OpenApiException as error:
            return {"error": error_of(error)}

    async def every() -> list[Json]:
        context = longbridge.AsyncTradeContext.create(config(job))
        return await asyncio.gather(*(one(context, call) for call in job["calls"]))

    return asyncio.run(every())


def http_client(job: Json) -> longbridge.HttpClient:
    """The generic client, which makes no rows of what it is given."""
    known = job["credentials"]
    return longbridge.HttpClient.from_apikey(
        known["app_key"], known["app_secret"], known["access_token"], http_url=job["http_url"]
    )


def http_page(job: Json) -> Page:
    """Rows as the generic client gets them, in our words."""
    client = http_client(job)

    def page(call: Json) -> list[Json]:
        given = call | {
            name: int((datetime.fromisoformat(call[name]).replace(tzinfo=UTC) - EPOCH).total_seconds())
            for name in ("start_time", "end_time")
        }
        rows = client.request("get", f"/v1/asset/cashflow?{urlencode(given)}")["list"]
        return [
            {
                "name": row["transaction_flow_name"],
                "direction": SIDES[row["direction"]],
                "business_type": TYPES.get(row["business_type"], "Unknown"),
                "balance": row["balance"],
                "currency": row["currency"],
                "time": (EPOCH + timedelta(seconds=int(row["business_time"]))).replace(tzinfo=None).isoformat(),
                "symbol": row["symbol"] or None,
                "description": row["description"],
            }
            for row in rows
        ]

    return page


def posted_page(job: Json) -> Page:
    """Rows of the first draft, which the generic client gets by a POST, as they are."""
    client = http_client(job)
    return lambda call: client.request("post", "/v1/trade/asset/GetCashFlowHistory", body=call)["list"]


# ---------------------------------------------------------------- longport 3


def longport_page(job: Json) -> Page:
    known = job["credentials"]
    context = longport.TradeContext(
        longport.Config(
            known["app_key"],
            known["app_secret"],
            known["access_token"],
            http_url=job["http_url"],
            trade_ws_url=job["ws_url"],
            quote_ws_url=job["ws_url"],
        )
    )
    return lambda call: [row_of(flow) for flow in context.cash_flow(**arguments(call, longport.BalanceType))]


def arguments(call: Json, types: type) -> Json:
    """A call in a client's words."""
    given: Json = {
        "start_at": datetime.fromisoformat(call["start_time"]),
        "end_at": datetime.fromisoformat(call["end_time"]),
    }
    given |= {name: call[name] for name in ("symbol", "page", "size") if name in call}
    if "business_type" in call:
        given["business_type"] = getattr(types, TYPES[call["business_type"]])
    return given


def row_of(flow: Any) -> Json:  # noqa: ANN401 - of either client
    """A client's cash flow in our words."""
    assert type(flow.balance) is Decimal
    return {
        "name": flow.transaction_flow_name,
        "direction": str(flow.direction).rpartition(".")[2],
        "business_type": str(flow.business_type).rpartition(".")[2],
        "balance": format(flow.balance, "f"),
        "currency": flow.currency,
        "time": flow.business_time.isoformat(),
        "symbol": flow.symbol,
        "description": flow.description,
    }


if __name__ == "__main__":
    main()
