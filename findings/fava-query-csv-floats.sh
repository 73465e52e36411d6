#!/usr/bin/env bash
# fava 1.30.16 with beancount 3.2.3: a query's result downloaded as CSV has floats, although the same query on the page and
# in the JSON of the API has every digit.
#
# Guessed: Beancount calculates with Decimals, and the JSON answer is exact, so the CSV beside it has the same numbers.
# Seen: the CSV has 1234567890.1234567 for 1234567890.123456789012345678, 1e-08 for 0.00000001, and 1.2345678901234568e+16
# for a sum of 12345678901234567.89. Decimals at the end of an amount are lost (12.30 is 12.3). So a total that is checked
# by such a file can be off by cents, and programs that read amounts without exponents stop at the small ones. Read the
# API's JSON with a decimal parser (in Python json.loads(text, parse_float=Decimal)).
#
# Output:
#   JSON: 1234567890.123456789012345678 12345678901234567.89 0.00000001 12.30
#   CSV:  1234567890.1234567 1.2345678901234568e+16 1e-08 12.3
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check fava==1.30.16 beancount==3.2.3
cat > "$folder/run.py" <<'PY'
import csv
import json
import sys
import warnings
from decimal import Decimal
from pathlib import Path

warnings.simplefilter("ignore")
from fava.application import create_app

AMOUNTS = ("1234567890.123456789012345678", "12345678901234567.89", "0.00000001", "12.30")
book = Path(sys.argv[1])
lines = ['option "title" "Book"', "2026-01-01 open Assets:Wallet", "2026-01-01 open Income:Sales"]
for day, amount in enumerate(AMOUNTS, 2):
    lines += [f'2026-01-{day:02} * "sale"', f"  Assets:Wallet  {amount} BTC", f"  Income:Sales  -{amount} BTC"]
book.write_text("\n".join(lines) + "\n")
client = create_app([book]).test_client()
query = "query_string=select+number+where+number+>+0"
answer = json.loads(client.get(f"/book/api/query?{query}").text, parse_float=Decimal)
print("JSON:", *(f"{row[0]:f}" for row in answer["data"]["rows"]))
table = csv.reader(client.get(f"/book/download-query/query_result.csv?{query}").text.splitlines())
print("CSV: ", *(row[0] for row in list(table)[1:]))
PY
"$folder/venv/bin/python" "$folder/run.py" "$folder/book.beancount" | tee "$folder/seen"
sed -n 's/^#   //p' "$0" | diff - "$folder/seen"
