"""Calls of Alipay's gateway as a function: signed by hand with `openssl`-like steps, over a reader in memory."""

import json
from base64 import b64decode, b64encode
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from liushui.http import Request
from liushui.provider import Key
from liushui.providers.alipay import PROVIDER
from liushui.testing.clock import MovableClock
from liushui.testing.reader import MemoryReader

PATH: Final = "/gateway.do"
METHOD: Final = "alipay.data.bill.accountlog.query"
NAME: Final = "alipay_data_bill_accountlog_query_response"
ACCOUNT: Final = "shop-1"
Row = dict[str, str]


class Answer(NamedTuple):
    """An answer: the name and the fields of its content, and whether it was signed. A wrong signature is an error."""

    name: str
    content: dict[str, Any]
    is_signed: bool

    @property
    def rows(self) -> list[Row]:
        """The rows of a page."""
        assert (self.name, self.content["code"], self.content["msg"]) == (NAME, "10000", "Success"), self
        rows: list[Row] = self.content.get("detail_list", [])
        return rows

    @property
    def fault(self) -> tuple[str, str]:
        """The codes of an error."""
        assert set(self.content) == {"code", "msg", "sub_code", "sub_msg"}, self
        return self.content["code"], self.content["sub_code"]


class Caller:
    """An app with its key."""

    def __init__(self, reader: MemoryReader, clock: MovableClock, key: Key) -> None:
        self.reader, self.clock, self.key = reader, clock, key

    def ask(self, **content: object) -> Answer:
        """A page. Without times, the day of the first rows."""
        times = {"start_time": "2026-11-01 00:00:00", "end_time": "2026-11-02 00:00:00"}
        return self.call(biz_content=json.dumps({**times, **content}, ensure_ascii=False))

    def call(self, *, in_body: bool = True, **changes: str | None) -> Answer:
        """The answer to a signed request with changed parameters. None leaves one out."""
        return self.answer(self.request(in_body=in_body, **changes))

    def request(self, *, in_body: bool = True, **changes: str | None) -> Request:
        given = {
            "app_id": self.key.credentials["app_id"],
            "method": METHOD,
            "format": "JSON",
            "charset": "utf-8",
            "sign_type": "RSA2",
            "timestamp": "2026-11-30 12:21:50",
            "version": "1.0",
            "biz_content": json.dumps({"start_time": "2026-11-01 00:00:00", "end_time": "2026-11-02 00:00:00"}),
        }
        params = {name: value for name, value in {**given, **changes}.items() if value is not None}
        params.setdefault("sign", self.signature(params))
        if "sign" in changes and changes["sign"] is None:
            del params["sign"]
        body = {"biz_content": params.pop("biz_content", "")} if in_body else {}
        return Request("POST" if in_body else "GET", PATH, urlencode(params), {}, urlencode(body).encode(), PATH, "")

    def signature(self, params: dict[str, str]) -> str:
        key = load_pem_private_key(self.key.credentials["app_private_key"].encode(), None)
        assert isinstance(key, RSAPrivateKey)
        text = "&".join(f"{name}={params[name]}" for name in sorted(params) if params[name])
        return b64encode(key.sign(text.encode(), padding.PKCS1v15(), SHA256())).decode()

    def answer(self, request: Request) -> Answer:
        """Have a request answered, and check what every answer must have."""
        response = PROVIDER.server.answer(request, self.reader)
        assert response.status == 200
        envelope = json.loads(response.body)
        name = next(iter(envelope))
        assert name in (NAME, "error_response")
        if len(envelope) == 1:
            return Answer(name, envelope[name], is_signed=False)
        assert list(envelope) == [name, "sign"]
        begin = len(f'{{"{name}":')
        content = response.body[begin : response.body.rindex(b',"sign"')]
        key = load_pem_public_key(self.key.credentials["alipay_public_key"].encode())
        assert isinstance(key, RSAPublicKey)
        key.verify(b64decode(envelope["sign"]), content, padding.PKCS1v15(), SHA256())
        assert json.loads(content) == envelope[name]
        return Answer(name, envelope[name], is_signed=True)
