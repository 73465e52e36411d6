"""A program that calls a public client, `wechatpayv3`: jobs as JSON on standard input, results on standard output.

A job has `url`, `credentials` and `bills` (the day and the account type of each). It may have `tar_type`, `ahead_s`
(how many seconds the clock is ahead) and `repeat` (request the first bill until an error comes). With `tries` a failed
call is repeated, up to this number of times, because the client does not do so. A result has `documents`, each as text,
or null if there is none, and `errors`: the status and the code of each error answer.
"""

import gzip
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

CALLS_MAX = 50


real_time = time.time


def main() -> None:
    json.dump([result_of(job) for job in json.load(sys.stdin)], sys.stdout)


def result_of(job: dict[str, Any]) -> dict[str, object]:
    time.time = lambda: real_time() + job.get("ahead_s", 0)
    client = client_of(job["url"], job["credentials"], job.get("timeout_ms", 60_000) // 1000)
    tries = job.get("tries", 0)

    def ask(call: Callable[[], tuple[int, Any]]) -> tuple[int, Any]:
        nonlocal tries
        while True:
            try:
                status, answer = call()
            except OSError:  # from requests, unchanged
                status, answer = 0, ""
            if not tries or status not in (0, 429, 503):
                return status, answer
            tries -= 1

    documents: list[str | None] = []
    errors: list[object] = []
    calls = [job["bills"][0]] * CALLS_MAX if job.get("repeat") else job["bills"]
    for day, account_type in calls:
        bill = partial(client.fundflow_bill, day, account_type, job.get("tar_type", "GZIP"))
        status, answer = ask(bill)
        if status != 200:
            errors.append([status, json.loads(answer)["code"]])
            documents.append(None)
            if job.get("repeat"):
                break
            continue
        status, document = ask(partial(client.download_bill, json.loads(answer)["download_url"]))
        assert status == 200, document
        content = document if isinstance(document, bytes) else document.encode()
        documents.append((gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content).decode())
    return {"documents": documents, "errors": errors, "tries": tries}


def client_of(url: str, credentials: dict[str, str], timeout_s: int) -> Any:  # noqa: ANN401 - the client is not typed
    """A client that is pointed at us: it has no public option for that."""
    public = import_module("wechatpayv3")
    client = public.WeChatPay(
        wechatpay_type=public.WeChatPayType.NATIVE,
        mchid=credentials["mchid"],
        appid="wx1",
        private_key=credentials["private_key"],
        cert_serial_no=credentials["serial_no"],
        apiv3_key="k" * 32,
        public_key=credentials["platform_public_key"],
        public_key_id=credentials["platform_key_id"],
        timeout=timeout_s,
    )
    client._core._gate_way = url
    return client


main()
