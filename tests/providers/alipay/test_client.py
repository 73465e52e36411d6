"""The client: its requests, and the answers that it rejects."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

import httpx2
import pytest

from liushui.errors import AuthError, ConfigError, RateLimited, Refused, Unavailable, WireError, WrongPage
from liushui.provider import Page, PageRequest, Slice
from liushui.providers.alipay import PROVIDER
from liushui.providers.alipay.wire import signed_answer
from liushui.testing.transport import HTTPS, clients_over
from liushui.wire.rsa import read_private_key, simulated_key_pair
from tests.providers.alipay.caller import NAME

APP = simulated_key_pair(lambda _size: b"\x02\x03")
PLATFORM = simulated_key_pair(lambda _size: b"\x04\x05")
CREDENTIALS = {"app_id": "2021", "app_private_key": APP.private, "alipay_public_key": PLATFORM.public}
SINCE = datetime(2026, 11, 1, tzinfo=UTC)
ASKED = Slice(SINCE, SINCE + timedelta(hours=1, microseconds=1))
FIRST = PageRequest(ASKED, 2_000)
EMPTY = b'{"code":"10000","msg":"Success","page_no":"1","page_size":"2000","total_size":"0"}'


class Service(httpx2.AsyncBaseTransport):
    """Answers with one body. Keeps the parameters of the requests."""

    def __init__(self, body: bytes, status: int = 200) -> None:
        self.body, self.status = body, status
        self.asked: list[dict[str, str]] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        query, form = request.url.query.decode(), (await request.aread()).decode()
        assert request.method == "POST"
        assert request.headers["content-type"] == "application/x-www-form-urlencoded;charset=utf-8"
        self.asked.append(dict(parse_qsl(query) + parse_qsl(form)))
        return httpx2.Response(self.status, content=self.body, request=request)


def page_of(service: Service, request: PageRequest = FIRST) -> Page:
    async def fetch() -> Page:
        with clients_over(service):
            client = PROVIDER.connect(base_url=HTTPS, credentials=CREDENTIALS, rate=None, timeout_s=5)
        try:
            return await client.fetch_page(request)
        finally:
            await client.close()

    return asyncio.run(fetch())


def signed(content: bytes, name: str = NAME) -> bytes:
    return signed_answer(name, content, read_private_key("key", PLATFORM.private))


def test_what_a_request_says() -> None:
    """All times are of China, and the end is the first second that is not wanted."""
    service = Service(signed(EMPTY.replace(b'"page_no":"1"', b'"page_no":"3"')))
    assert page_of(service, PageRequest(ASKED, 1_000, page_token="3")) == Page([], None, 0)
    (asked,) = service.asked
    assert json.loads(asked["biz_content"]) == {
        "start_time": "2026-11-01 08:00:00",
        "end_time": "2026-11-01 09:00:01",
        "page_no": "3",
        "page_size": "1000",
    }
    assert (asked["method"], asked["sign_type"], asked["charset"]) == (NAME[:-9].replace("_", "."), "RSA2", "utf-8")
    assert {"app_id", "timestamp", "version", "format", "sign"} <= set(asked)


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.replace(b'"total_size":"0"', b'"total_size":"1"'),
        lambda body: body.replace(b'","msg"', b'", "msg"'),
        lambda body: body.partition(b',"sign"')[0] + b"}",
        lambda body: body.partition(b',"sign"')[0] + b',"sign":""}',
        lambda body: body.partition(b',"sign"')[0] + b',"sign":"d3Jvbmc="}',
        lambda body: body.replace(b'"total_size":"0"', b'"total_size":"1","detail_list":[{"x":NaN}]'),
    ],
)
def test_an_answer_that_alipay_has_not_signed_is_not_read(change: Callable[[bytes], bytes]) -> None:
    changed = change(signed(EMPTY))
    assert changed != signed(EMPTY)
    with pytest.raises(WireError, match=r"^sign: "):
        page_of(Service(changed))


def test_blanks_and_further_members_around_the_signed_part_do_not_matter() -> None:
    body = signed(EMPTY).replace(f'"{NAME}":'.encode(), f' "{NAME}" : '.encode()).replace(b',"sign"', b' ,\n"sign"')
    assert page_of(Service(body.removesuffix(b"}") + b',"alipay_cert_sn":"{}"}\n')).total == 0


def test_a_row_that_is_not_json_is_signed_too() -> None:
    rows = [b'{"trans_memo":"}{","x":NaN}', b'{"y":"]"}']
    content = EMPTY.removesuffix(b"}") + b',"detail_list":[ %b ]}' % b" , ".join(rows)
    assert page_of(Service(signed(content))).rows == rows


@pytest.mark.parametrize(
    ("code", "sub_code", "class_"),
    [
        ("20000", "isp.unknow-error", Unavailable),
        ("20001", "aop.invalid-app-auth-token", AuthError),
        ("40001", "isv.missing-method", Refused),
        ("40002", "isv.invalid-app-id", AuthError),
        ("40002", "isv.invalid-signature", AuthError),
        ("40002", "isv.invalid-timestamp", Refused),
        ("40003", "isv.missing-signature-config", AuthError),
        ("40004", "SYSTEM_ERROR", Unavailable),
        ("40004", "INVALID_PARAMETER", Refused),
        ("40005", "isv.method-call-limited", RateLimited),
        ("40006", "isv.insufficient-isv-permissions", AuthError),
        ("49999", "isv.unheard-of", Refused),
    ],
)
@pytest.mark.parametrize("name", [NAME, "error_response"])
def test_errors_by_class(code: str, sub_code: str, class_: type[Exception], name: str) -> None:
    """Signed or not: about an unknown app nobody can sign anything."""
    content = json.dumps({"code": code, "msg": "m", "sub_code": sub_code, "sub_msg": "s"}).encode()
    for body in (signed(content, name), signed_answer(name, content, None)):
        with pytest.raises(class_, match="m: s"):
            page_of(Service(body))


def test_another_page_than_the_one_that_was_asked_for() -> None:
    with pytest.raises(WrongPage):
        page_of(Service(signed(EMPTY)), PageRequest(ASKED, 2_000, page_token="2"))


@pytest.mark.parametrize("total", [b'"-1"', b'"x"', b"-1", b'"1.0"'])
def test_a_total_that_is_not_a_number(total: bytes) -> None:
    with pytest.raises(WireError, match=r"^total_size: "):
        page_of(Service(signed(EMPTY.replace(b'"total_size":"0"', b'"total_size":%b' % total))))


def test_wrong_keys_are_found_before_a_call() -> None:
    """A person may give the app's public key for its private key, or a key's file name."""
    for field, wrong, came in (
        ("app_private_key", APP.public, "got a public key"),
        ("alipay_public_key", APP.private, "got a private key"),
        ("alipay_public_key", "alipay.pem", "name of a file"),
    ):
        with pytest.raises(ConfigError, match=f"^{field}: .*{came}"):
            PROVIDER.connect(base_url=HTTPS, credentials=CREDENTIALS | {field: wrong}, rate=None, timeout_s=5)
