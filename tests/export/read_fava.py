"""A program that opens a Beancount file in Fava. It prints the errors and the balances on Fava's pages, as JSON."""

import json
import sys
from importlib import import_module
from typing import Any

path = sys.argv[1]
ledger: Any = import_module("fava.core").FavaLedger(path)
app: Any = import_module("fava.application").create_app([path])
client = app.test_client()
(slug,) = app.config["LEDGERS"].ledgers_by_slug
status = [client.get(f"/{slug}/{page}/").status_code for page in ("balance_sheet", "journal", "errors")]
totals: dict[str, dict[str, str]] = {}
for entry in ledger.all_entries:
    for posting in getattr(entry, "postings", ()):
        held = totals.setdefault(posting.account, {})
        number, currency = posting.units.number, posting.units.currency
        held[currency] = str(type(number)(held.get(currency, "0")) + number)
json.dump({"errors": [str(error.message) for error in ledger.errors], "status": status, "totals": totals}, sys.stdout)
