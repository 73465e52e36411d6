"""beancount with its own query language: balances by currency, and sums by month, account and currency.

Run in an environment that has beancount and beanquery: `python -m bench.peers.accounts FILE`. Prints both as JSON.
"""

# beancount is only in its own environment; here these names have no types:
# mypy: disable-error-code="import-not-found,unused-ignore"

import json
import sys
from typing import Final

import beanquery

BALANCES: Final = "SELECT currency, sum(number) AS amount WHERE account = 'Assets:Bench' GROUP BY currency"
MONTHS: Final = """
SELECT year, month, account, currency, sum(number) AS amount WHERE account ~ '^Income'
GROUP BY year, month, account, currency
"""


def main(file: str) -> dict[str, list[list[object]]]:
    """Read the journal once and print both results."""
    connection = beanquery.connect(f"beancount:{file}")
    if connection.errors:
        raise SystemExit(f"{len(connection.errors)} errors, such as {connection.errors[0]}")
    months = []
    for year, month, account, currency, amount in connection.execute(MONTHS).fetchall():
        _, kind, side = account.split(":")
        months.append([year, month, kind, side.lower(), currency, str(amount)])
    balances = [[currency, str(amount)] for currency, amount in connection.execute(BALANCES).fetchall()]
    return {"balances": balances, "months": months}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1])))
