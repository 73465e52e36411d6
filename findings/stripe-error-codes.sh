#!/usr/bin/env bash
# stripe 16.1.0 (Python): of the client's errors only InvalidRequestError has the service's error code in `code`. All
# others have None there, although the answer has a code: it is in `error.code` of the exception.
#
# Guessed: every StripeError has the code of the answer in `code`, as its documentation names that attribute for all of
# them, so that a program can tell `rate_limit` from `lock_timeout`, or an expired key from a wrong one.
# Seen: `code` is None on RateLimitError, AuthenticationError, PermissionError and APIError. A test of `e.code` never
# matches there, and the program takes the wrong branch without an error.
#
# Output:
#   404 resource_missing -> InvalidRequestError, code resource_missing, error.code resource_missing
#   429 rate_limit -> RateLimitError, code None, error.code rate_limit
#   429 lock_timeout -> RateLimitError, code None, error.code lock_timeout
#   401 api_key_expired -> AuthenticationError, code None, error.code api_key_expired
#   403 account_invalid -> PermissionError, code None, error.code account_invalid
#   409 idempotency_key_in_use -> APIError, code None, error.code idempotency_key_in_use
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check stripe==16.1.0 requests==2.34.2
cat > "$folder/run.py" <<'PY'
import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import stripe

CODES = {
    "resource_missing": 404,
    "rate_limit": 429,
    "lock_timeout": 429,
    "api_key_expired": 401,
    "account_invalid": 403,
    "idempotency_key_in_use": 409,
}


class Handler(BaseHTTPRequestHandler):
    """Answers each path with the error that it is named after."""

    def do_GET(self):
        code = self.path.rpartition("/")[2]
        error = {"type": "invalid_request_error", "code": code, "message": "refused"}
        body = json.dumps({"error": error}).encode()
        self.send_response(CODES[code])
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Handler)
Thread(target=server.serve_forever, daemon=True).start()
client = stripe.StripeClient("sk_test_x", base_addresses={"api": f"http://127.0.0.1:{server.server_address[1]}"})
for code, status in CODES.items():
    try:
        client.v1.balance_transactions.retrieve(code)
    except stripe.StripeError as error:
        print(f"{status} {code} -> {type(error).__name__}, code {error.code}, error.code {error.error.code}")
PY
"$folder/venv/bin/python" "$folder/run.py" | tee "$folder/seen"
sed -n 's/^#   //p' "$0" | diff - "$folder/seen"
