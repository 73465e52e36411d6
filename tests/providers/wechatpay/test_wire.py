"""Signatures, with vectors that public clients made from keys which anybody can rebuild."""

from base64 import b64decode
from hashlib import sha256

import pytest

from liushui.errors import AuthError, WireError
from liushui.providers.wechatpay.wire import (
    Authorization,
    Link,
    answer_message,
    check_answer,
    download_query,
    parse_authorization,
    request_message,
)
from liushui.wire.rsa import read_private_key, read_public_key, sign, simulated_key_pair
from liushui.wire.transport import Answer

MERCHANT = simulated_key_pair(lambda count: bytes(count))
"""Of the primes 7 · 2^1021 + 309 and 3 · 2^1022 + 1037."""
PLATFORM_P, PLATFORM_Q = (7 << 1021) + (1 << 1000) + 79, (3 << 1022) + (1 << 1000) + 1011
NOW_S = 1796012511


def platform_key() -> object:
    from math import lcm

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateNumbers, RSAPublicNumbers

    p, q = PLATFORM_P, PLATFORM_Q
    d = pow(65537, -1, lcm(p - 1, q - 1))
    public = RSAPublicNumbers(65537, p * q)
    return RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public).private_key()


def test_the_signature_of_a_request() -> None:
    """Of `wechatpayv3`."""
    target = "/v3/bill/fundflowbill?bill_date=2026-11-01&account_type=BASIC&tar_type=GZIP"
    message = request_message("GET", target, "1796012510", "593BEC0C930BF1AFEB40B4A08C8FB242")
    signature = sign(read_private_key("key", MERCHANT.private), message)
    assert signature.startswith("HVMrqWfW4u5wvbZxz2gv/UeR")
    digest = sha256(b64decode(signature)).hexdigest()
    assert digest == "2871aa7935e351df97f822ff100278db376eac8f6d3faca59439236cfccd2e47"


def test_the_signature_of_an_answer() -> None:
    message = answer_message("1796012511", "nn", b'{"hash_type":"SHA1"}')
    signature = sign(platform_key(), message)  # type: ignore[arg-type] # a private key
    assert signature.startswith("e/idWl/+HfbpJTsj")
    digest = sha256(b64decode(signature)).hexdigest()
    assert digest == "e6b394107e308de39b7f9db80ce73e1911198ea3fd7d6693f089034589037c72"


def test_the_parts_of_a_header_come_in_any_order() -> None:
    parts = Authorization("1900000001", "n", "s+/=", "1796012510", "ABC")
    header = parts.to_header()
    assert parse_authorization(header) == parts
    scheme, _, rest = header.partition(" ")
    assert parse_authorization(f"{scheme} {','.join(reversed(rest.split(',')))}") == parts
    assert parse_authorization(header.replace(scheme, "Bearer")) is None
    assert parse_authorization(header.replace("serial_no", "serial")) is None


PAIR = simulated_key_pair(lambda count: b"\x05" * count)


def signed(**changed: str) -> Answer:
    """A signed answer, with some of its headers changed."""
    body = b'{"hash_type":"SHA1"}'
    signature = sign(read_private_key("key", PAIR.private), answer_message(str(NOW_S), "n", body))
    headers = {"timestamp": str(NOW_S), "nonce": "n", "serial": "PUB_KEY_ID_1", "signature": signature, **changed}
    return Answer(200, {f"wechatpay-{name}": value for name, value in headers.items()}, body)


def check(answer: Answer, now_s: int = NOW_S) -> None:
    check_answer(answer, read_public_key("key", PAIR.public), "PUB_KEY_ID_1", now_s=now_s, age_max_s=300)


def test_an_answer_is_verified() -> None:
    check(signed())
    check(signed(), NOW_S + 300)
    with pytest.raises(WireError, match=r"Wechatpay-Timestamp: expected a time within 300 s"):
        check(signed(), NOW_S + 301)
    with pytest.raises(WireError, match="Wechatpay-Signature"):
        check(signed()._replace(body=b'{"hash_type":"SHA2"}'))
    with pytest.raises(AuthError, match=r"'PUB_KEY_ID_2'.*new key"):
        check(signed(serial="PUB_KEY_ID_2"))
    for name in ("timestamp", "nonce", "serial", "signature"):
        with pytest.raises(WireError, match=f"Wechatpay-{name.capitalize()}: expected a signed answer"):
            check(signed(**{name: ""}))
    for name, value in (("timestamp", "1"), ("nonce", "m"), ("signature", "AAAA"), ("signature", "流")):
        with pytest.raises(WireError, match="Wechatpay-Signature"):
            check(signed(**{name: value}))


@pytest.mark.parametrize(
    ("url", "query"),
    [
        ("https://api.mch.weixin.qq.com/v3/billdownload/file?token=a%2Bb", "token=a%2Bb"),
        ("https://elsewhere.test/v3/billdownload/file?token=x&tartype=gzip", "token=x&tartype=gzip"),
        ("http://127.0.0.1:8080/dialect/wechatpay/v3/billdownload/file?token=x", "token=x"),
    ],
)
def test_only_the_query_of_an_address_is_used(url: str, query: str) -> None:
    assert download_query(Link("SHA1", "", url)) == query


@pytest.mark.parametrize(
    "url",
    [
        "",
        "file:///v3/billdownload/file?token=x",
        "https://api.mch.weixin.qq.com/v3/pay?token=x",
        "https://api.mch.weixin.qq.com/v3/billdownload/file",
        "https://[/v3/billdownload/file?token=x",
        "https://h/v3/billdownload/file?token=流",
    ],
)
def test_what_is_not_an_address_of_a_bill(url: str) -> None:
    with pytest.raises(WireError, match="download_url"):
        download_query(Link("SHA1", "", url))
