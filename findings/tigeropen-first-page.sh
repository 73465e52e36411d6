#!/usr/bin/env bash
# tigeropen 3.8.0 (Tiger Brokers' official client): get_transactions() gives the first 100 transactions as a plain list and
# drops the token of the next page. Only page_token="" gives an answer that has it.
#
# Guessed: the call reads all pages, or its result has the token in any case; page_token=None and "" mean the same, because
# both stand for the first page, and the client sends the same request for them.
# Seen: the requests are equal, the results are not: a list of 100 for None, a TransactionsResponse for "". With a list
# nobody can tell that 150 rows are left, since 100 rows are also what an account with 100 transactions has.
# get_fund_details, the list of all money movements, differs again: it pages by `start`, its amounts are floats, and a page
# without rows is a table without columns, so that reading `page_count` from it raises KeyError.
#
# The service below answers as the Open Platform documents `order_transactions` and `fund_details`, signed by a key of its own.
#
# Output:
#   page_token=None: list of 100, has a token: False
#   page_token="": TransactionsResponse of 100, has a token: True
#   the same request: True
#   following the token: 250
#   fund details, a page with rows: amount is float64, page_count in the table: True
#   fund details, an empty page: page_count in the table: False
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tigeropen==3.8.0 pandas==3.1.1
cat > "$folder/run.py" <<'PY'
import json
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from tigeropen.trade.trade_client import TradeClient
from tigeropen.tiger_open_config import TigerOpenClientConfig

KEY = rsa.generate_private_key(65537, 2048)
MOMENT = 1767225600000
ROWS = [
    {"id": number, "symbol": "00700", "currency": "HKD", "filledAmount": 1.5, "transactionTime": MOMENT + number}
    for number in range(250)
]
ASKED = []


def transactions(asked):
    begin, size = int(asked.get("page_token") or 0), asked["limit"]
    after = str(begin + size) if begin + size < len(ROWS) else ""
    return {"items": ROWS[begin : begin + size], "nextPageToken": after}


def fund_details(asked):
    row = {"id": "1", "currency": "HKD", "amount": 1234.5, "businessDate": "2026/01/02", "updatedAt": MOMENT}
    items = [row][asked["start"] :]
    return {"page": 1, "limit": 50, "itemCount": 1, "pageCount": 1, "timestamp": MOMENT, "items": items}


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        sent = json.loads(self.rfile.read(int(self.headers["content-length"])))
        ASKED.append(sent["biz_content"])
        answer = {"order_transactions": transactions, "fund_details": fund_details}[sent["method"]]
        sign = KEY.sign(sent["timestamp"].encode(), padding.PKCS1v15(), SHA1())
        body = {"code": 0, "message": "success", "timestamp": MOMENT, "sign": b64encode(sign).decode()}
        body["data"] = answer(json.loads(sent["biz_content"]))
        text = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Handler)
Thread(target=server.serve_forever, daemon=True).start()
config = TigerOpenClientConfig(enable_dynamic_domain=False)
config.private_key = b64encode(KEY.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())).decode()
config.tiger_public_key = b64encode(
    KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
).decode()
config._tiger_public_key = config.tiger_public_key
config.tiger_id, config.account, config.license = "1", "U1", "TBHK"
config.server_url = config._server_url = f"http://127.0.0.1:{server.server_address[1]}"
client = TradeClient(config)


def say(name, result, rows):
    has_token = bool(getattr(result, "next_page_token", None))
    print(f"{name}: {type(result).__name__} of {len(rows)}, has a token: {has_token}")


plain = client.get_transactions(symbol="00700", sec_type="STK")
say("page_token=None", plain, plain)
page = client.get_transactions(symbol="00700", sec_type="STK", page_token="")
say('page_token=""', page, page.result)
print("the same request:", ASKED[0] == ASKED[1])
every = list(page.result)
while page.next_page_token:
    page = client.get_transactions(symbol="00700", sec_type="STK", page_token=page.next_page_token)
    every += page.result
print("following the token:", len(every))
table = client.get_fund_details(["SEC"])
print(
    f"fund details, a page with rows: amount is {table['amount'].dtype}, page_count in the table:",
    "page_count" in table,
)
print("fund details, an empty page: page_count in the table:", "page_count" in client.get_fund_details(["SEC"], start=50))
PY
"$folder/venv/bin/python" "$folder/run.py" 2>"$folder/log" | tee "$folder/seen"
sed -n 's/^#   //p' "$0" | diff - "$folder/seen"
