#!/usr/bin/env bash
# ccxt 4.5.90: `okx().fetch_ledger(paginate=True)` reads a part of the bills, and nothing says that others are left.
#
# Guessed: with `paginate` and `since` it reads every bill since then.
# Seen: three things leave bills out, each without an error or a warning. First, without `type` it asks for
# `instType=SPOT`, so that transfers and the bills of swaps do not come. Second, it goes back from page to page by time,
# to one millisecond before the oldest bill that it has; of bills that share a millisecond with the last one of a page,
# those on the next page are skipped. Third, it stops after ten calls, and OKX gives 100 bills a call, although it asks
# for 1,000.
# `paginationCalls` lifts the last bound. A loop of one's own over `after=<bill id>` reads all of them.
#
# The service below answers as OKX documents `GET /api/v5/account/bills`: newest first, `end` includes its millisecond,
# 100 bills at most.
#
# Output:
#   250 bills a second apart: 250 read
#   250 bills, 7 in each second: 240 read
#   250 bills, every second one of a swap: 125 read
#   2500 bills a second apart: 1000 read in 10 calls
#   2500 bills a second apart, paginationCalls 100: 2500 read in 26 calls
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check ccxt==4.5.90
cat > "$folder/run.py" <<'PY'
import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from urllib.parse import parse_qsl, urlsplit

import ccxt

NEWEST = 1796000000000
BILLS = []
CALLS = []


class Handler(BaseHTTPRequestHandler):
    """The bills that a request asks for."""

    def do_GET(self):
        asked = dict(parse_qsl(urlsplit(self.path).query))
        CALLS.append(asked)
        rows = [bill for bill in BILLS if int(bill["ts"]) <= int(asked.get("end", NEWEST))]
        rows = [bill for bill in rows if bill["instType"] == asked.get("instType", bill["instType"])]
        rows = rows[: min(int(asked.get("limit", 100)), 100)]
        body = json.dumps({"code": "0", "msg": "", "data": rows}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def bill(number, together, kinds):
    return {
        "billId": str(900_000_000 - number),
        "ts": str(NEWEST - number // together * 1000),
        "instType": kinds[number % len(kinds)],
        "type": "2",
        "subType": "1",
        "ccy": "USDT",
        "balChg": "0.01",
        "bal": "100",
        "fee": "0",
        "sz": "0.01",
    }


server = HTTPServer(("127.0.0.1", 0), Handler)
Thread(target=server.serve_forever, daemon=True).start()
client = ccxt.okx({"apiKey": "k", "secret": "s", "password": "p", "enableRateLimit": False})
client.urls["api"] = {"rest": f"http://127.0.0.1:{server.server_address[1]}"}
client.set_markets([])


def read(count, together=1, kinds=("SPOT",), **options):
    BILLS[:] = [bill(number, together, kinds) for number in range(count)]
    CALLS.clear()
    entries = client.fetch_ledger(None, NEWEST - 10**9, None, {"paginate": True, **options})
    return len({entry["id"] for entry in entries})


print(f"250 bills a second apart: {read(250)} read")
print(f"250 bills, 7 in each second: {read(250, together=7)} read")
print(f"250 bills, every second one of a swap: {read(250, kinds=('SPOT', 'SWAP'))} read")
print(f"2500 bills a second apart: {read(2500)} read in {len(CALLS)} calls")
print(f"2500 bills a second apart, paginationCalls 100: {read(2500, paginationCalls=100)} read in {len(CALLS)} calls")
PY
"$folder/venv/bin/python" "$folder/run.py" | tee "$folder/seen"
sed -n 's/^#   //p' "$0" | diff - "$folder/seen"
