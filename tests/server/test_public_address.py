"""The sender of a request that proxies forward, and the path that it requests from us."""

import pytest

from liushui.errors import ConfigError
from liushui.server.public_address import DIRECT, PublicAddress, parse_networks, parse_public_url

BEHIND = PublicAddress("https://books.example/ledger", parse_networks(["127.0.0.1", "10.0.0.0/8", "2001:db8::/32"]))


@pytest.mark.parametrize(
    ("sender", "forwarded", "client"),
    [
        ("127.0.0.1:5000", "192.0.2.1", "192.0.2.1:0"),
        ("127.0.0.1:5000", "203.0.113.9, 192.0.2.1, 10.1.2.3", "192.0.2.1:0"),
        ("[::ffff:10.0.0.1]:5000", "2001:db9::1", "[2001:db9::1]:0"),
        ("[2001:db8::1]:5000", "192.0.2.1", "192.0.2.1:0"),
        ("127.0.0.1:5000", "", "127.0.0.1:5000"),
        ("127.0.0.1:5000", "10.0.0.9", "127.0.0.1:5000"),
        ("127.0.0.1:5000", "192.0.2.1, unknown", "127.0.0.1:5000"),
        ("192.0.2.7:5000", "203.0.113.9", "192.0.2.7:5000"),
        ("", "203.0.113.9", ""),
    ],
)
def test_the_client_is_the_last_address_that_is_not_a_trusted_proxy(sender: str, forwarded: str, client: str) -> None:
    assert BEHIND.client(sender, [forwarded]) == client
    assert DIRECT.client(sender, [forwarded]) == sender


def test_a_header_that_the_client_sent_does_not_hide_the_one_that_a_proxy_added() -> None:
    assert BEHIND.client("127.0.0.1:5000", ["203.0.113.9", "192.0.2.1"]) == "192.0.2.1:0"
    assert BEHIND.client("127.0.0.1:5000", ["203.0.113.9, 192.0.2.1", "10.1.2.3"]) == "192.0.2.1:0"
    assert BEHIND.client("127.0.0.1:5000", []) == "127.0.0.1:5000"


@pytest.mark.parametrize(
    ("sent", "path"),
    [
        ("/ledger", "/"),
        ("/ledger/", "/"),
        ("/ledger/flows", "/flows"),
        ("/ledger/ledger/x", "/ledger/x"),
        ("/ledgers", "/ledgers"),
        ("/flows", "/flows"),
        ("/", "/"),
    ],
)
def test_the_prefix_is_taken_off(sent: str, path: str) -> None:
    assert BEHIND.path(sent) == path
    assert DIRECT.path(sent) == sent


def test_tls_is_what_a_trusted_proxy_says_or_the_public_address_has() -> None:
    proxy, other = "127.0.0.1:1", "192.0.2.7:1"
    assert BEHIND.is_secure(proxy, {"x-forwarded-proto": "https"})
    assert not BEHIND.is_secure(proxy, {"x-forwarded-proto": "http", "host": "books.example"})
    assert BEHIND.is_secure(other, {"host": "BOOKS.example"})
    assert not BEHIND.is_secure(other, {"host": "127.0.0.1:8700", "x-forwarded-proto": "https"})
    assert not DIRECT.is_secure(proxy, {"host": "books.example", "x-forwarded-proto": "https"})


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://Books.example/", "https://books.example"),
        ("https://books.example:8443/a/b/", "https://books.example:8443/a/b"),
        ("http://[::1]:80", "http://[::1]:80"),
    ],
)
def test_a_public_url_has_no_slash_at_its_end(text: str, url: str) -> None:
    assert parse_public_url(text) == url


@pytest.mark.parametrize(
    "text", ["//books.example", "ftp://a", "https://", "https://u:p@a", "https://a/b c", "https://a/static/x"]
)
def test_other_urls_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^public-url: expected "):
        parse_public_url(text)
