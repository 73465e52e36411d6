#!/usr/bin/env bash
# longbridge 5.3.0 (Longbridge's official SDK): an amount with too many digits is rounded without a word if the digits
# before the point fit, and costs the whole page if they do not. The first day of the year 1 costs the page as well.
#
# Guessed: `CashFlow.balance` is a Python Decimal, so it has every digit of the text on the wire, or the client reports
# an error for what it cannot hold. `business_time` is a datetime, so it can be any second of the years 1 to 9999.
# Seen: the text goes through a Rust decimal of 96 bits and 28 decimals. 7922816251426433759354395033.55 arrives as
# ...034, with no error. 79228162514264337593543950336 fails the call, and no row of the page arrives. In UTC,
# 0001-01-01T23:59:59 fails with "year 0 is out of range", because the naive local time of an instant is found by looking
# at the day before. So a server that speaks this API should refuse such rows by name.
#
# Output:
#   79228162514264337593543950335 1621507957 -> 79228162514264337593543950335 2021-05-20T10:52:37
#   7922816251426433759354395033.55 1621507957 -> 7922816251426433759354395034 2021-05-20T10:52:37
#   79228162514264337593543950336 1621507957 -> OpenApiException
#   -248.60 -62135510401 -> ValueError: year 0 is out of range
#   -248.60 -62135510400 -> -248.60 0001-01-02T00:00:00
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check longbridge==5.3.0
cat > "$folder/server.py" <<'PY'
import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        balance, _, seconds = parse_qs(urlsplit(self.path).query)["symbol"][0].partition("/")
        row = {"transaction_flow_name": "n", "direction": 1, "business_type": 1, "balance": balance,
               "currency": "USD", "business_time": seconds, "symbol": "", "description": ""}
        body = json.dumps({"code": 0, "message": "success", "data": {"list": [row]}}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
PY
cat > "$folder/client.py" <<'PY'
import sys
from datetime import datetime
from longbridge.openapi import Config, OpenApiException, TradeContext

context = TradeContext(Config.from_apikey("key", "secret", "token", http_url=f"http://127.0.0.1:{sys.argv[1]}"))
for balance, seconds in (
    ("79228162514264337593543950335", 1621507957),
    ("7922816251426433759354395033.55", 1621507957),
    ("79228162514264337593543950336", 1621507957),
    ("-248.60", -62135510401),
    ("-248.60", -62135510400),
):
    try:
        (flow,) = context.cash_flow(datetime(2020, 1, 1), datetime(2021, 1, 1), symbol=f"{balance}/{seconds}")
        seen = f"{flow.balance} {flow.business_time.isoformat()}"
    except OpenApiException:
        seen = "OpenApiException"
    except ValueError as error:
        seen = f"ValueError: {error}"
    print(balance, seconds, "->", seen)
PY
python3 "$folder/server.py" > "$folder/port" &
server=$!
trap 'kill $server; rm -rf "$folder"' EXIT
until [ -s "$folder/port" ]; do sleep 0.1; done
TZ=UTC timeout 120 "$folder/venv/bin/python" "$folder/client.py" "$(cat "$folder/port")" | tee "$folder/seen"
sed -n 's/^#   //p' "$0" | diff - "$folder/seen"
