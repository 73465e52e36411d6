"""A program that calls the public client `pybit`: a job as JSON on standard input, its results on standard output.

The job: `url`, `credentials`, and `calls`, a list. Each call has `params`. With `drain` the calls continue with the
cursor of each page. `windows`, pairs of milliseconds, are read one after the other. `credentials` replace parts of the
job's, `clock_s` moves the clock of this machine, and with `hasty` waiting takes no time. A result has the rows of all
pages and their number, or the error that the client raised.
"""

import json
import sys
import time
from importlib import import_module
from typing import Any

PAGES_MAX = 500


def result_of(job: dict[str, Any], call: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
    given = job["credentials"] | call.get("credentials", {})
    session = import_module("pybit.unified_trading").HTTP(**given)
    session.endpoint = job["url"]
    rows: list[dict[str, Any]] = []
    pages = 0
    for begin, end in call.get("windows", [(None, None)]):
        params = {"accountType": "UNIFIED", "startTime": begin, "endTime": end, **call.get("params", {})}
        while pages < PAGES_MAX:
            result = session.get_transaction_log(**params)["result"]
            rows += result["list"]
            pages += 1
            if not result["nextPageCursor"] or not call.get("drain"):
                break
            params = params | {"cursor": result["nextPageCursor"]}
    return {"rows": rows, "pages": pages}


def main() -> None:
    job = json.load(sys.stdin)
    failures = import_module("pybit.exceptions")
    helpers, sleep = import_module("pybit._helpers"), time.sleep
    results = []
    for call in job["calls"]:
        offset_ms = 1000 * call.get("clock_s", 0)
        helpers.generate_timestamp = lambda offset_ms=offset_ms: int(time.time() * 1000) + offset_ms  # type: ignore[attr-defined]
        time.sleep = (lambda _s: None) if call.get("hasty") else sleep
        try:
            results.append(result_of(job, call))
        except (failures.InvalidRequestError, failures.FailedRequestError) as error:
            results.append({"error": error.status_code, "msg": error.message, "kind": type(error).__name__})
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
