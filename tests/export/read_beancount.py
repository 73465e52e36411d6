"""A program that reads Beancount files as bean-check does. It prints the content of each file, as JSON.

The output for each file of the command line: `errors`, the exact `balances` by account and currency, the `links`, and
the number of `assertions`. Balances are added up here, because Beancount's printers round.
"""

import json
import sys
from collections import defaultdict
from decimal import Context, Decimal
from importlib import import_module

# Beancount is in an environment of its own, where mypy does not see it.
loader, data = import_module("beancount.loader"), import_module("beancount.core.data")
EXACT = Context(prec=100)


def read(path: str) -> dict[str, object]:
    entries, errors, _ = loader.load_file(path)
    balances: defaultdict[str, Decimal] = defaultdict(Decimal)
    transactions = [entry for entry in entries if isinstance(entry, data.Transaction)]
    for entry in transactions:
        for posting in entry.postings:
            key = f"{posting.account} {posting.units.currency}"
            balances[key] = EXACT.add(balances[key], posting.units.number)
    return {
        "errors": [error.message for error in errors],
        "balances": {key: format(amount, "f") for key, amount in balances.items()},
        "links": sorted(link for entry in transactions for link in entry.links),
        "assertions": sum(isinstance(entry, data.Balance) for entry in entries),
        "texts": [entry.narration for entry in transactions],
    }


json.dump([read(path) for path in sys.argv[1:]], sys.stdout)
