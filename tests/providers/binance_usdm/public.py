"""A program that calls a public client: a job as JSON on standard input, its results on standard output.

The job: `client` ("binance-sdk" or "python-binance"), `url`, `credentials`, and `calls`, a list. Each call has `start`
and `end` in milliseconds, `limit`, and optionally `page` and `type`. With `drain` all rows are read. python-binance
counts pages. binance-sdk, which has no page, halves each range that fills a page. `credentials` replace parts of the
job's, `clock_s` moves the clock of this machine, and waiting takes no time. A result has the rows and the number of
calls, or the error that the client raised.
"""

import json
import sys
import time
from importlib import import_module
from typing import Any

CALLS_MAX = 500
NAMES = {"income_type": "incomeType", "tran_id": "tranId", "trade_id": "tradeId"}


class Official:
    """`binance-sdk-derivatives-trading-usds-futures`."""

    def __init__(self, url: str, api_key: str, api_secret: str, clock_s: int) -> None:
        package = "binance_sdk_derivatives_trading_usds_futures"
        module = import_module(f"{package}.derivatives_trading_usds_futures")
        config = module.ConfigurationRestAPI(api_key=api_key, api_secret=api_secret, base_path=url)
        self._api = module.DerivativesTradingUsdsFutures(config_rest_api=config).rest_api
        utils = import_module("binance_common.utils")
        utils.get_timestamp = lambda: int(time.time() * 1000) + 1000 * clock_s  # type: ignore[attr-defined]
        self.failures: tuple[type[Exception], ...] = (import_module("binance_common.errors").Error,)

    def rows(self, call: dict[str, Any]) -> list[dict[str, Any]]:
        answer = self._api.get_income_history(
            start_time=call["start"], end_time=call["end"], limit=call["limit"], income_type=call.get("type")
        )
        return [
            {NAMES.get(name, name): value for name, value in vars(row).items()} for row in map(plain, answer.data())
        ]

    def drain(self, call: dict[str, Any]) -> tuple[list[dict[str, Any]], int]:
        rows, calls, todo = [], 0, [(call["start"], call["end"])]
        while todo and calls < CALLS_MAX:
            start, end = todo.pop()
            found = self.rows(call | {"start": start, "end": end})
            calls += 1
            if len(found) < call["limit"]:
                rows += found
            else:
                middle = (start + end) // 2
                todo += [(middle + 1, end), (start, middle)]
        return rows, calls

    @staticmethod
    def told(error: Any) -> list[Any]:  # noqa: ANN401 - the client's own class
        return [error.status_code, type(error).__name__, getattr(error, "retry_after", None)]


class Plain:
    """The fields of a row."""

    def __init__(self, fields: dict[str, Any]) -> None:
        vars(self).update(fields)


def plain(row: Any) -> Plain:  # noqa: ANN401 - the client's own class
    return Plain({name: value for name, value in row.model_dump().items() if name != "additional_properties"})


class PythonBinance:
    """`python-binance`."""

    def __init__(self, url: str, api_key: str, api_secret: str, clock_s: int) -> None:
        self._client = import_module("binance.client").Client(api_key, api_secret, ping=False)
        self._client.FUTURES_URL = f"{url}/fapi"
        self._client.timestamp_offset = 1000 * clock_s
        self.failures: tuple[type[Exception], ...] = (import_module("binance.exceptions").BinanceAPIException,)

    def rows(self, call: dict[str, Any]) -> list[dict[str, Any]]:
        names = {"startTime": "start", "endTime": "end", "limit": "limit", "page": "page", "incomeType": "type"}
        params = {name: call[ours] for name, ours in names.items() if ours in call}
        rows: list[dict[str, Any]] = self._client.futures_income_history(**params)
        return rows

    def drain(self, call: dict[str, Any]) -> tuple[list[dict[str, Any]], int]:
        rows: list[dict[str, Any]] = []
        for page in range(1, CALLS_MAX):
            found = self.rows(call | {"page": page})
            rows += found
            if not found:
                return rows, page
        raise ValueError(f"more than {CALLS_MAX} pages")

    @staticmethod
    def told(error: Any) -> list[Any]:  # noqa: ANN401 - the client's own class
        return [error.code, error.status_code, error.message]


CLIENTS: dict[str, Any] = {"binance-sdk": Official, "python-binance": PythonBinance}


def result_of(job: dict[str, Any], call: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
    client = CLIENTS[job["client"]](
        job["url"], **(job["credentials"] | call.get("credentials", {})), clock_s=call.get("clock_s", 0)
    )
    try:
        rows, calls = client.drain(call) if call.get("drain") else (client.rows(call), 1)
    except client.failures as error:
        return {"error": client.told(error)}
    return {"rows": rows, "calls": calls}


def main() -> None:
    job = json.load(sys.stdin)
    time.sleep = lambda _s: None
    json.dump([result_of(job, call) for call in job["calls"]], sys.stdout)


if __name__ == "__main__":
    main()
