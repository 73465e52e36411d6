"""The gateway: authentication, queries, pages, half-open ranges, and signed answers."""

import json
import subprocess
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from liushui.flow import Direction, Flow, Kind
from liushui.http import Response
from liushui.provider import SigningServer
from liushui.providers.alipay import PROVIDER
from liushui.providers.alipay.wire import sign_request, signed_answer, signed_text, verify
from liushui.testing.clock import MovableClock
from liushui.testing.reader import MemoryLimits
from liushui.wire.rsa import read_private_key, read_public_key, simulated_key_pair
from tests.providers.alipay.caller import ACCOUNT, NAME, Caller

BEGIN = datetime(2026, 10, 31, 16, tzinfo=UTC)
"""The beginning of 1 November in China."""


def row(number: int, at: str = "2026-11-01 09:15:02", **more: str) -> bytes:
    fields = {"account_log_id": f"6{number:017}", "trans_dt": at, "trans_amount": "88.00", "direction": "收入"}
    return json.dumps({**fields, **more}, ensure_ascii=False).encode()


# ---------------------------------------------------------------- signatures


def known_key(name: str) -> str:
    """A key of the vectors: one that everybody can compute."""
    first, second = {"merchant": (0, 0), "other": (1, 1)}[name]
    return simulated_key_pair(lambda _size: bytes([first, second])).private


def test_the_signature_of_a_request_is_that_of_the_official_client() -> None:
    """A vector that npm's alipay-sdk made. Its key has the primes 7·2^1021 + 309 and 3·2^1022 + 1037."""
    content = '{"start_time":"2026-11-01 00:00:00","end_time":"2026-11-02 00:00:00","page_no":"1","page_size":"2000"}'
    params = {
        "biz_content": content,
        "timestamp": "2026-11-30 12:21:50",
        "method": "alipay.data.bill.accountlog.query",
        "charset": "utf-8",
        "app_id": "2021000000000001",
        "app_auth_token": "",
        "sign": "of something else",
        "version": "1.0",
        "sign_type": "RSA2",
    }
    assert signed_text(params).decode() == (
        f"app_id=2021000000000001&biz_content={content}&charset=utf-8&method=alipay.data.bill.accountlog.query"
        "&sign_type=RSA2&timestamp=2026-11-30 12:21:50&version=1.0"
    )
    signature = sign_request(params, read_private_key("key", known_key("merchant")))
    assert signature.startswith("BEVL6VeapUXdYKrKKJbpz4M9")
    assert sha256(b64decode(signature)).hexdigest() == (
        "26506a404ffe5a9dd1a2159684a8d3bba27f5b569655bed7bfe5fbbdcdcbd618"
    )


def test_the_signature_of_an_answer_is_that_of_the_platforms_key() -> None:
    """A vector made with the primes 7·2^1021 + 2^1000 + 79 and 3·2^1022 + 2^1000 + 1011."""
    p, q = (7 << 1021) + (1 << 1000) + 79, (3 << 1022) + (1 << 1000) + 1011
    d = pow(65537, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(65537, p * q)
    key = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public).private_key()
    body = signed_answer(
        NAME, b'{"code":"10000","msg":"Success","page_no":"1","page_size":"2000","total_size":"0"}', key
    )
    signature = json.loads(body)["sign"]
    assert signature.startswith("bcZDdJes3+lfEco7FwvthP79")
    assert sha256(b64decode(signature)).hexdigest() == (
        "0badc2c034617e9e4159b717acc2a47d40de83bef751a7140707721f8ec5363c"
    )
    verify(body, key.public_key())


def test_openssl_signs_for_the_gateway_and_verifies_its_answers(caller: Caller, tmp_path: Path) -> None:
    """An independent implementation of both ends' signatures."""
    caller.reader.add_rows(ACCOUNT, PROVIDER, [row(1, trans_memo="a } b / 流水 & = %")])
    (tmp_path / "app.pem").write_text(caller.key.credentials["app_private_key"])
    (tmp_path / "platform.pem").write_text(caller.key.credentials["alipay_public_key"])

    def openssl(*arguments: str, given: bytes) -> bytes:
        return subprocess.run(
            ["openssl", "dgst", "-sha256", *arguments], input=given, capture_output=True, check=True
        ).stdout

    def signature(params: dict[str, str]) -> str:
        text = "&".join(f"{name}={params[name]}" for name in sorted(params) if params[name])
        from base64 import b64encode

        return b64encode(openssl("-sign", str(tmp_path / "app.pem"), given=text.encode())).decode()

    caller.signature = signature  # type: ignore[method-assign]
    response = PROVIDER.server.answer(caller.request(in_body=False), caller.reader)
    content, _, rest = response.body.removeprefix(f'{{"{NAME}":'.encode()).rpartition(b',"sign":"')
    (tmp_path / "signature").write_bytes(b64decode(rest.removesuffix(b'"}')))
    verified = openssl(
        "-verify", str(tmp_path / "platform.pem"), "-signature", str(tmp_path / "signature"), given=content
    )
    assert verified == b"Verified OK\n"
    assert json.loads(content)["total_size"] == "1"


@pytest.mark.parametrize("in_body", [True, False])
def test_parameters_stand_in_the_query_or_in_the_form(caller: Caller, in_body: bool) -> None:
    caller.reader.add_rows(ACCOUNT, PROVIDER, [row(1)])
    answer = caller.call(in_body=in_body)
    assert answer.is_signed
    assert answer.content["total_size"] == "1"
    assert answer.rows == [json.loads(row(1))]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"app_id": None}, ("40001", "isv.missing-app-id")),
        ({"app_id": "2021000000000000"}, ("40002", "isv.invalid-app-id")),
        ({"sign": None}, ("40001", "isv.missing-signature")),
        ({"sign": "d3Jvbmc="}, ("40002", "isv.invalid-signature")),
        ({"sign": "no base64"}, ("40002", "isv.invalid-signature")),
        ({"sign_type": None}, ("40001", "isv.missing-signature-type")),
        ({"sign_type": "RSA"}, ("40002", "isv.invalid-signature-type")),
        ({"charset": "GBK"}, ("40002", "isv.invalid-charset")),
        ({"method": None}, ("40001", "isv.missing-method")),
        ({"method": "alipay.trade.query"}, ("40002", "isv.invalid-method")),
        ({"timestamp": None}, ("40001", "isv.missing-timestamp")),
        ({"timestamp": "2026-11-30T12:21:50"}, ("40002", "isv.invalid-timestamp")),
        ({"version": None}, ("40001", "isv.missing-version")),
        ({"format": "XML"}, ("40002", "isv.invalid-format")),
        ({"biz_content": "{"}, ("40004", "INVALID_PARAMETER")),
        ({"biz_content": None}, ("40004", "INVALID_PARAMETER")),
    ],
)
def test_a_request_that_is_refused(caller: Caller, changes: dict[str, Any], fault: tuple[str, str]) -> None:
    answer = caller.call(**changes)
    assert answer.fault == fault
    assert answer.is_signed is ("app_id" not in changes), "there is no key to sign with for an unknown app"
    assert (answer.name == "error_response") is (changes.get("method") == "alipay.trade.query")


def test_the_age_of_a_request_does_not_matter(caller: Caller) -> None:
    for timestamp in ("2020-01-01 00:00:00", "2099-12-31 23:59:59"):
        assert caller.call(timestamp=timestamp).rows == []


def test_a_signature_covers_every_parameter(caller: Caller) -> None:
    request = caller.request(in_body=False)
    for changed in (
        request._replace(query=request.query.replace("page", "Page").replace("2026-11-02", "2026-11-03")),
        request._replace(query=request.query + "&app_auth_token=x"),
        request._replace(body=b"notify_url=x"),
    ):
        assert caller.answer(changed).fault == ("40002", "isv.invalid-signature") or changed == request


def test_a_key_that_has_expired(caller: Caller, clock: MovableClock) -> None:
    caller.reader.add_key(caller.key._replace(expires_at=clock()))
    assert caller.call().fault == ("40006", "isv.insufficient-isv-permissions")


def test_too_many_calls(caller: Caller, clock: MovableClock) -> None:
    caller.reader.admit_call = MemoryLimits(clock).admit
    answers = [caller.call() for _ in range(PROVIDER.rules.rate.calls + 1)]
    assert [answer.content["code"] for answer in answers] == ["10000"] * PROVIDER.rules.rate.calls + ["40005"]
    assert answers[-1].fault == ("40005", "isv.app-call-limited")
    clock.move(PROVIDER.rules.rate.per)
    assert caller.call().rows == []


# ---------------------------------------------------------------- what is asked


def test_a_range_does_not_include_its_end(caller: Caller) -> None:
    times = ("2026-10-31 23:59:59", "2026-11-01 00:00:00", "2026-11-01 23:59:59", "2026-11-02 00:00:00")
    caller.reader.add_rows(ACCOUNT, PROVIDER, [row(number, at) for number, at in enumerate(times)])
    assert [found["trans_dt"] for found in caller.ask().rows] == list(times[1:3])
    assert caller.ask(end_time="2026-11-01 00:00:00").rows == []


def test_pages_of_the_least_size(caller: Caller) -> None:
    """Oldest first, with the number of rows of all pages. A list without rows is left out."""
    caller.reader.add_rows(ACCOUNT, PROVIDER, [row(number) for number in range(1_203)])
    pages = [caller.ask(page_size="1000", page_no=str(number)) for number in (1, 2, 3)]
    assert [len(page.rows) for page in pages] == [1_000, 203, 0]
    assert {page.content["total_size"] for page in pages} == {"1203"}
    assert [page.content["page_no"] for page in pages] == ["1", "2", "3"]
    assert "detail_list" not in pages[2].content
    assert [found["account_log_id"] for page in pages for found in page.rows] == [
        json.loads(row(number))["account_log_id"] for number in range(1_203)
    ]


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({"page_size": "999"}, "page_size"),
        ({"page_size": 2001}, "page_size"),
        ({"page_no": "0"}, "page_no"),
        ({"page_no": "x"}, "page_no"),
        ({"start_time": None}, "start_time"),
        ({"end_time": "2026-11-02"}, "end_time"),
        ({"end_time": "2026-10-31 00:00:00"}, "end_time"),
        ({"end_time": "2026-12-02 00:00:01"}, "end_time"),
        ({"alipay_order_no": "1", "merchant_order_no": "2"}, "merchant_order_no"),
        ({"trans_code": ",".join(["1"] * 51)}, "trans_code"),
        ({"trans_code": 1}, "biz_content"),
    ],
)
def test_a_parameter_that_does_not_fit(caller: Caller, content: dict[str, Any], field: str) -> None:
    answer = caller.ask(**content)
    assert answer.fault == ("40004", "INVALID_PARAMETER")
    assert f"{field}: " in answer.content["sub_msg"]


def test_the_longest_range(caller: Caller) -> None:
    assert caller.ask(end_time="2026-12-02 00:00:00").rows == [], "31 days, and an end in the future"
    assert caller.ask(page_no=1, page_size=1000, bill_user_id="x", other=None).rows == []


def test_rows_of_an_order_need_no_times(caller: Caller) -> None:
    caller.reader.add_rows(
        ACCOUNT,
        PROVIDER,
        [
            row(1, alipay_order_no="20261101", merchant_order_no="SHOP-1", biz_desc="101101|x"),
            row(2, "2026-07-01 00:00:00", merchant_order_no="SHOP-1", biz_desc="301101|x"),
            row(3, merchant_order_no="SHOP-2"),
        ],
    )
    foreign = Flow("f", BEGIN, Decimal("1.00"), "CNY", kind=Kind.RECEIPT, order_ref="SHOP-1")
    caller.reader.add_flows(ACCOUNT, [foreign])

    def ids(**content: object) -> list[str]:
        found = caller.call(biz_content=json.dumps(content)).rows
        return [one["account_log_id"][-1] if one["account_log_id"].startswith("6") else "f" for one in found]

    assert ids(alipay_order_no="20261101") == ["1"]
    assert sorted(ids(merchant_order_no="SHOP-1")) == ["1", "2", "f"]
    times = {"start_time": "2026-11-01 00:00:00", "end_time": "2026-11-02 00:00:00"}
    assert sorted(ids(merchant_order_no="SHOP-1", **times)) == ["1", "f"]
    assert ids(trans_code="101101, 301101", **times) == ["1"]
    assert caller.call(biz_content="{}").fault == ("40004", "INVALID_PARAMETER")


@pytest.mark.parametrize(
    ("name", "code"), [("auth_token", "aop.invalid-auth-token"), ("app_auth_token", "aop.invalid-app-auth-token")]
)
def test_the_rows_of_another_merchant_are_refused(caller: Caller, name: str, code: str) -> None:
    given: dict[str, Any] = {name: "202611BB"}
    assert caller.call(**given).fault == ("20001", code)


def test_rows_older_than_a_year_are_not_kept(caller: Caller) -> None:
    caller.reader.add_rows(ACCOUNT, PROVIDER, [row(1, "2025-11-29 23:59:59"), row(2, "2025-11-30 00:00:00")])
    answer = caller.ask(start_time="2025-11-20 00:00:00", end_time="2025-12-02 00:00:00")
    assert [found["trans_dt"] for found in answer.rows] == ["2025-11-30 00:00:00"]
    assert answer.content["total_size"] == "1"


# ---------------------------------------------------------------- flows of other providers


def test_what_cannot_be_represented_is_refused(caller: Caller) -> None:
    for flow, field in (
        (Flow("a", BEGIN, Decimal("1.00"), "USD"), "currency"),
        (Flow("b", BEGIN, Decimal("0.001"), "CNY"), "amount"),
    ):
        caller.reader.add_flows(flow.currency + flow.identity, [flow])
        other = Caller(caller.reader, caller.clock, caller.reader.create_key(PROVIDER, flow.currency + flow.identity))
        answer = other.ask()
        assert answer.fault == ("40004", "INVALID_PARAMETER")
        assert f"{field}: " in answer.content["sub_msg"]


def test_a_flow_of_another_provider(caller: Caller) -> None:
    """A contradiction between sign and side is written by the sign. The balance of a part is not the account's."""
    at = BEGIN + timedelta(hours=9, microseconds=5)
    flow = Flow("f", at, Decimal("-5"), "CNY", Direction.IN, Kind.FEE, ref="R", order_ref="O", note="}{", name="x")
    caller.reader.add_flows(
        ACCOUNT, [flow._replace(balance_after=Decimal("3.5")), flow._replace(balance_after=Decimal(3), subaccount="s")]
    )
    first, second = caller.ask().rows
    assert first["balance"] == "3.50"
    assert "balance" not in second
    for found in (first, second):
        assert (found["trans_dt"], found["trans_amount"], found["direction"]) == (
            "2026-11-01 09:00:00",
            "-5.00",
            "支出",
        )
        assert (found["type"], found["merchant_order_no"], found["biz_orig_no"]) == ("收费", "O", "R")
        assert (found["trans_memo"], found["other_account"]) == ("}{", "x")
    assert first["account_log_id"] != second["account_log_id"]


def test_a_changed_answer_is_signed_again(caller: Caller) -> None:
    server = PROVIDER.server
    assert isinstance(server, SigningServer)
    caller.reader.add_rows(ACCOUNT, PROVIDER, [row(1)])
    request = caller.request()
    response = server.answer(request, caller.reader)
    changed = response._replace(body=response.body.replace(b"88.00", b"NaN"))
    again = server.sign_again(request, changed, caller.reader)
    key = read_public_key("alipay_public_key", caller.key.credentials["alipay_public_key"])
    verify(again.body, key)
    assert b"NaN" in again.body
    other = Response(200, [], b"x")
    assert server.sign_again(request._replace(query=""), other, caller.reader) == other
