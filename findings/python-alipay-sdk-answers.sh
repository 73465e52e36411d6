#!/usr/bin/env bash
# python-alipay-sdk 3.4.0: a signed error is returned like a result, an unsigned one is raised; and a brace in a text of a
# correctly signed answer makes the verification fail.
#
# Guessed: server_api() raises AliPayException for every code but 10000, with the code as an attribute, and verifies the
# signature over the JSON object of the method, wherever that ends.
# Seen: it raises AliPayException only where the answer has no `sign` or is an `error_response`; the exception has no
# attribute with the code. An error that is signed, as those about a wrong parameter are, comes back as a dict, so callers
# have to look at `code` themselves. The end of the signed object is found by counting braces, also those in texts: one
# `}` or `{` without a partner in a remark raises AliPayValidationError. Braces in pairs, and \u007d, are verified.
#
# Output:
#   signed result -> 10000
#   signed error -> returned 40004
#   unsigned error -> AliPayException, with a code: False
#   signed error_response -> AliPayException, with a code: False
#   remark a {b} c -> a {b} c
#   remark a } b -> AliPayValidationError
#   remark a { b -> AliPayValidationError
#   remark a \u007d b -> a } b
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check python-alipay-sdk==3.4.0 pycryptodomex==3.24.2 pyopenssl==26.4.0
cat > "$folder/run.py" <<'PY'
import threading
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, HTTPServer

from alipay import AliPay
from alipay.exceptions import AliPayException, AliPayValidationError
from Cryptodome.Hash import SHA256
from Cryptodome.PublicKey import RSA
from Cryptodome.Signature import PKCS1_v1_5

KEY = RSA.generate(2048)
METHOD = "alipay.data.bill.accountlog.query"
NAME = METHOD.replace(".", "_") + "_response"


def signed(content, name=NAME):
    signature = b64encode(PKCS1_v1_5.new(KEY).sign(SHA256.new(content.encode()))).decode()
    return '{"%s":%s,"sign":"%s"}' % (name, content, signature)


class Gateway(BaseHTTPRequestHandler):
    body = ""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.body.encode())

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Gateway)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = AliPay(
    appid="2021000000000001",
    app_notify_url=None,
    app_private_key_string=KEY.export_key().decode(),
    alipay_public_key_string=KEY.publickey().export_key().decode(),
)
client._gateway = f"http://127.0.0.1:{server.server_port}/gateway.do"


def ask(body):
    Gateway.body = body
    return client.server_api(METHOD, biz_content={"page_no": "1"})


error = '{"code":"40004","msg":"Business Failed","sub_code":"INVALID_PARAMETER"}'
print("signed result ->", ask(signed('{"code":"10000","msg":"Success"}'))["code"])
print("signed error -> returned", ask(signed(error))["code"])
for what, body in (
    ("unsigned error", '{"%s":%s}' % (NAME, error)),
    ("signed error_response", signed(error, "error_response")),
):
    try:
        print(what, "-> returned", ask(body)["code"])
    except AliPayException as raised:
        print(what, "-> AliPayException, with a code:", hasattr(raised, "code"))
for remark in ("a {b} c", "a } b", "a { b", "a \\u007d b"):
    try:
        page = ask(signed('{"code":"10000","msg":"Success","detail_list":[{"trans_memo":"%s"}]}' % remark))
        print("remark", remark, "->", page["detail_list"][0]["trans_memo"])
    except AliPayValidationError as raised:
        print("remark", remark, "->", type(raised).__name__)
PY
"$folder/venv/bin/python" "$folder/run.py" | tee "$folder/seen"
sed -n 's/^#   //p' "$0" | diff - "$folder/seen"
