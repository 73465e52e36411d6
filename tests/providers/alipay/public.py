"""A program that calls the public client `python-alipay-sdk`: a job as JSON on standard input, its results on standard
output.

The job: `url`, `credentials`, and `calls`, a list. Each call has `content`, the query. With `drain` the calls continue
with the next page until a page has no rows. `credentials` replace parts of the job's, and `clock_s` moves the clock of
this machine. With `tries` a failed page is requested again, up to this number of times, because the client does not do
so. A result has the rows of all pages, or the error that the client raised or returned.
"""

import datetime
import json
import sys
from importlib import import_module
from typing import Any

PAGES_MAX = 500
METHOD = "alipay.data.bill.accountlog.query"


def result_of(job: dict[str, Any], call: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
    given = job["credentials"] | call.get("credentials", {})
    client_module = import_module("alipay")
    client = client_module.AliPay(
        appid=given["app_id"],
        app_notify_url=None,
        app_private_key_string=given["app_private_key"],
        alipay_public_key_string=given["alipay_public_key"],
        config=client_module.utils.AliPayConfig(timeout=call.get("timeout_ms", 15_000) // 1000),
    )
    client._gateway = f"{job['url']}/gateway.do"
    rows: list[dict[str, Any]] = []
    totals = set()
    tries = call.get("tries", 0)

    def ask(content: dict[str, str]) -> Any:  # noqa: ANN401 - JSON
        nonlocal tries
        while True:
            try:
                return client.server_api(METHOD, biz_content=content)
            except OSError:  # from urllib, unchanged
                if not tries:
                    raise
                tries -= 1

    for number in range(1, PAGES_MAX):
        page = ask({"page_no": str(number), **call.get("content", {})})
        if page["code"] != "10000":  # the client raises no error where the answer is signed
            return {"kind": "answer", "error": page["sub_code"], "msg": page["sub_msg"]}
        rows += page.get("detail_list", [])
        totals.add(page["total_size"])
        if not page.get("detail_list") or not call.get("drain"):
            break
    return {"rows": rows, "totals": sorted(totals), "pages": number, "tries": tries}


def main() -> None:
    job = json.load(sys.stdin)
    package = import_module("alipay")
    failures = import_module("alipay.exceptions")
    results: list[Any] = []

    def add_result(call: dict[str, Any]) -> None:
        try:
            results.append(result_of(job, call))
        except failures.AliPayException as error:
            results.append({"kind": type(error).__name__, "error": None, "msg": str(error)})
        except failures.AliPayValidationError as error:
            results.append({"kind": type(error).__name__, "error": None, "msg": str(error)})

    for call in job["calls"]:
        offset = datetime.timedelta(seconds=call.get("clock_s", 0))

        class Clock(datetime.datetime):
            @classmethod
            def now(cls, tz: Any = None, offset: datetime.timedelta = offset) -> Any:  # noqa: ANN401
                return datetime.datetime.now(tz) + offset

        package.datetime = Clock  # type: ignore[attr-defined]
        add_result(call)
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
