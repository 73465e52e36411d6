#!/usr/bin/env bash
# actualpy 0.22.4 (Python, Actual Budget): two payments with different `imported_id`s become one, if they have the same
# amount and are at most 7 days apart.
#
# Guessed: `reconcile_transaction` with an `imported_id` that the budget does not know adds a transaction, as Actual's own
# import does when both sides have ids; equal amounts matter only where an id is missing.
# Seen: it takes any transaction of the amount within 7 days, also one with another `imported_id`, and gives it the new id
# and the new date. A daily import of three coffees keeps one. When the first file is imported again, the first coffee
# takes the place of the third. `already_matched` helps within one run only. An importer with ids should look for the id
# itself and call `create_transaction`.
#
# Output:
#   day 1: coffee-1 of -4.50 -> 1 transaction: 2026-01-01 coffee-1
#   day 2: coffee-2 of -4.50 -> 1 transaction: 2026-01-02 coffee-2
#   day 3: coffee-3 of -4.50 -> 1 transaction: 2026-01-03 coffee-3
#   day 1 again: coffee-1 of -4.50 -> 1 transaction: 2026-01-01 coffee-1
#   day 9: coffee-4 of -4.50 -> 2 transactions: 2026-01-01 coffee-1, 2026-01-09 coffee-4
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check actualpy==0.22.4
cat > "$folder/run.py" <<'PY'
from datetime import date
from decimal import Decimal

from actual.queries import create_account, get_transactions, reconcile_transaction
from sqlmodel import Session, SQLModel, create_engine

engine = create_engine("sqlite://")
SQLModel.metadata.create_all(engine)


def import_file(session, title, day, number):
    """A file with one row, imported on its own as a daily import does."""
    at = date(2026, 1, day)
    reconcile_transaction(session, at, account, "Cafe", amount=Decimal("-4.50"), imported_id=f"coffee-{number}")
    session.flush()
    known = sorted((row.get_date(), row.financial_id) for row in get_transactions(session))
    count = f"{len(known)} transaction{'s' * (len(known) > 1)}"
    print(f"{title}: coffee-{number} of -4.50 -> {count}: " + ", ".join(f"{at} {id_}" for at, id_ in known))


with Session(engine) as session:
    account = create_account(session, "Bank")
    import_file(session, "day 1", 1, 1)
    import_file(session, "day 2", 2, 2)
    import_file(session, "day 3", 3, 3)
    import_file(session, "day 1 again", 1, 1)
    import_file(session, "day 9", 9, 4)
PY
"$folder/venv/bin/python" "$folder/run.py" | tee "$folder/seen"
sed -n 's/^#   //p' "$0" | diff - "$folder/seen"
