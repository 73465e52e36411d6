#!/usr/bin/env bash
# ccxt 4.5.90: a ledger entry of Bybit that went out has a `before` on the wrong side of `after`.
#
# Guessed: `before` and `after` are the balances around the entry, so that before + in = after, and before - out = after,
# and `after` of one entry is `before` of the next one.
# Seen: true of what came in. Of what went out `before` is after - amount, twice the amount too low. A check that walks
# along the balances finds a break at each payment, fee and loss of an account that is right. Use `cashBalance` and
# `change` in `info` instead.
#
# The service below answers with three rows as Bybit documents `GET /v5/account/transaction-log`: 100 come in, 30 go out,
# 5 come in.
#
# Output:
#   in 100.0: before 0.0, after 100.0
#   out 30.0: before 40.0, after 70.0
#   in 5.0: before 70.0, after 75.0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check ccxt==4.5.90
cat > "$folder/run.py" <<'PY'
import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import ccxt

BEGIN = 1796000000000


def row(number, kind, change, balance):
    return {
        "id": f"59274{number}",
        "symbol": "",
        "category": "linear",
        "side": "None",
        "transactionTime": str(BEGIN + number * 60_000),
        "type": kind,
        "qty": "",
        "size": "",
        "currency": "USDT",
        "tradePrice": "",
        "funding": "",
        "fee": "",
        "cashFlow": change,
        "change": change,
        "cashBalance": balance,
        "feeRate": "",
        "bonusChange": "",
        "tradeId": "",
        "orderId": "",
        "orderLinkId": "",
    }


# Newest first.
ROWS = [
    row(3, "TRANSFER_IN", "5", "75"),
    row(2, "TRANSFER_OUT", "-30", "70"),
    row(1, "TRANSFER_IN", "100", "100"),
]


class Handler(BaseHTTPRequestHandler):
    """One page of the log, for a unified account."""

    def do_GET(self):
        result = {"nextPageCursor": "", "list": ROWS}
        body = json.dumps({"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": BEGIN}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Handler)
Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_address[1]}"
client = ccxt.bybit({"apiKey": "k", "secret": "s", "enableRateLimit": False})
client.urls["api"] = dict.fromkeys(client.urls["api"], url)
client.options.update(enableUnifiedMargin=False, enableUnifiedAccount=True)
client.set_markets([])
for entry in client.fetch_ledger(None, BEGIN):
    print(f"{entry['direction']} {entry['amount']}: before {entry['before']}, after {entry['after']}")
PY
"$folder/venv/bin/python" "$folder/run.py" | tee "$folder/seen"
sed -n 's/^#   //p' "$0" | diff - "$folder/seen"
