"""A program that calls Stripe's official Python client: a job as JSON on standard input, its result on standard output.

The job: `url`, `key`, `params`, and perhaps `legacy` (the module-level API, which tries a failed call again). The
result: `rows`, and `error`, the client's message to its user, or null.
"""

import json
import sys
from decimal import Decimal
from importlib import import_module
from typing import Any

stripe: Any = import_module("stripe")  # only where this program runs


def main() -> None:
    job = json.load(sys.stdin)
    rows: list[Any] = []
    error = None
    try:
        if job.get("legacy"):
            stripe.api_base, stripe.api_key = job["url"], job["key"]
            found = stripe.BalanceTransaction.list(**job["params"])
        else:
            client = stripe.StripeClient(job["key"], base_addresses={"api": job["url"]})
            found = client.v1.balance_transactions.list(job["params"])
        pages = found.auto_paging_iter()
        rows += [row.to_dict() for row in pages]
    except stripe.StripeError as refused:
        error = [type(refused).__name__, refused.http_status, refused.code, getattr(refused, "param", None)]
    json.dump({"rows": rows, "error": error}, sys.stdout, default=number)


def number(value: object) -> float:
    """The number that the client made of an exchange rate. It is no amount."""
    if not isinstance(value, Decimal):
        raise TypeError(f"a value of the class {type(value)}")
    return float(value)


main()
