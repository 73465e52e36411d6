#!/usr/bin/env bash
# binance-sdk-derivatives-trading-usds-futures 18.1.0 (binance-common 4.7.0): the default timeout of a call is one second,
# and a GET that times out is made four times, so an answer that takes longer is never read.
#
# Guessed: a timeout of about ten seconds, or none, as in clients made with requests, and no repetition.
# Seen: a service that answers each call correctly, after 1.3 s, gets four calls with four different signatures, and the
# client raises an error. With timeout=5000 (milliseconds) the same service gets one call, and the client has its rows. So
# a server for this client has to answer within a second, whatever the client is told about limits.
#
# Output:
#   default: 4 calls, 4 signatures, error
#   timeout=5000: 1 call, 1 signature, 1 row
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  binance-sdk-derivatives-trading-usds-futures==18.1.0 binance-common==4.7.0
cat > "$folder/run.py" <<'PY'
import logging
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from binance_sdk_derivatives_trading_usds_futures.derivatives_trading_usds_futures import (
    ConfigurationRestAPI,
    DerivativesTradingUsdsFutures,
)

logging.disable(logging.CRITICAL)
ROW = (
    b'[{"symbol":"","incomeType":"TRANSFER","income":"-0.37500000","asset":"USDT","info":"TRANSFER",'
    b'"time":1570608000000,"tranId":9689322392,"tradeId":""}]'
)
signatures = []


class Slow(BaseHTTPRequestHandler):
    def do_GET(self):
        signatures.append(parse_qs(urlsplit(self.path).query)["signature"][0])
        time.sleep(1.3)
        try:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(ROW)))
            self.end_headers()
            self.wfile.write(ROW)
        except OSError:  # the client has gone
            pass

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
threading.Thread(target=server.serve_forever, daemon=True).start()


def ask(name, **options):
    signatures.clear()
    config = ConfigurationRestAPI(
        api_key="k", api_secret="s", base_path=f"http://127.0.0.1:{server.server_port}", **options
    )
    try:
        rows = len(DerivativesTradingUsdsFutures(config_rest_api=config).rest_api.get_income_history().data())
        result = f"{rows} row{'s' * (rows != 1)}"
    except Exception:
        result = "error"
    calls, different = len(signatures), len(set(signatures))
    return f"{name}: {calls} call{'s' * (calls != 1)}, {different} signature{'s' * (different != 1)}, {result}"


lines = [ask("default"), ask("timeout=5000", timeout=5000)]
print("\n".join(lines))
assert lines == ["default: 4 calls, 4 signatures, error", "timeout=5000: 1 call, 1 signature, 1 row"], lines
PY
"$folder/venv/bin/python" "$folder/run.py"
