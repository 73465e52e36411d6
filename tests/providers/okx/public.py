"""A program that calls the public client `python-okx`: a job as JSON on standard input, its results on standard output.

The job: `url`, `credentials`, and `calls`, a list. Each call has `method` of AccountAPI and `params`. With `drain` the
calls continue with `after` until a page is empty. `credentials` replace parts of the job's, and `clock_s` moves the
clock of this machine. A result is what the client returned: the rows of all pages and their number, or the error
answer.
"""

import datetime
import json
import sys
from importlib import import_module
from typing import Any

PAGES_MAX = 200


class OffsetDatetime(datetime.datetime):
    """The clock of a machine that is wrong by `offset`."""

    offset = datetime.timedelta(0)

    @classmethod
    def utcnow(cls) -> datetime.datetime:  # type: ignore[override] # the client only prints it
        return datetime.datetime.now(datetime.UTC).replace(tzinfo=None) + cls.offset


class OffsetModule:
    """What the client imports as `datetime`."""

    datetime = OffsetDatetime


def result_of(job: dict[str, Any], call: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
    given = job["credentials"] | call.get("credentials", {})
    OffsetDatetime.offset = datetime.timedelta(seconds=call.get("clock_s", 0))
    client = import_module("okx.Account").AccountAPI(
        given["api_key"], given["api_secret"], given["passphrase"], flag="0", domain=job["url"]
    )
    ask, params = getattr(client, call["method"]), call.get("params", {})
    rows: list[dict[str, Any]] = []
    for page in range(PAGES_MAX):
        answer = ask(**params)
        if answer["code"] != "0":
            return {"error": answer["code"], "msg": answer["msg"], "pages": page}
        rows += answer["data"]
        if not answer["data"] or not call.get("drain"):
            return {"rows": rows, "pages": page + 1}
        params = params | {"after": answer["data"][-1]["billId"]}
    raise ValueError(f"more than {PAGES_MAX} pages")


def main() -> None:
    job = json.load(sys.stdin)
    import_module("okx.utils").datetime = OffsetModule  # type: ignore[attr-defined] # the module's clock
    json.dump([result_of(job, call) for call in job["calls"]], sys.stdout)


if __name__ == "__main__":
    main()
