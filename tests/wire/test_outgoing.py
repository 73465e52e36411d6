"""The configuration of a client, and the waits that a service requests."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liushui.errors import ConfigError
from liushui.wire.transport import check_header_value, parse_base_url, parse_retry_after, parse_secure_url


@pytest.mark.parametrize(
    ("given_url", "used"),
    [
        ("https://openapi.longportapp.com", "https://openapi.longportapp.com"),
        ("http://127.0.0.1:8700/", "http://127.0.0.1:8700"),
        ("http://[::1]:8700/dialect/x//", "http://[::1]:8700/dialect/x"),
        ("http://localhost/a%20b", "http://localhost/a%20b"),
    ],
)
def test_a_base_url(given_url: str, used: str) -> None:
    assert parse_base_url(given_url) == used


@given(st.text(max_size=40) | st.text(max_size=40).map("http://{}".format))
def test_any_text_is_a_base_url_or_an_error_of_the_users(text: str) -> None:
    try:
        used = parse_base_url(text)
    except ConfigError as error:
        assert str(error).startswith("base-url: expected http://HOST")
    else:
        assert used.isascii()
        assert used.startswith(("http://", "https://"))
        assert parse_base_url(used) == used


@pytest.mark.parametrize(
    "url",
    ["https://api.example.com/", "http://127.0.0.1:8700", "http://127.9.9.9", "http://[::1]:1/x", "http://localhost"],
)
def test_a_key_may_travel_over_tls_or_stay_on_the_machine(url: str) -> None:
    assert parse_secure_url(url) == url.rstrip("/")


@pytest.mark.parametrize(
    "url", ["http://api.example.com", "http://10.0.0.1", "http://localhost.example.com", "http://0.0.0.0"]
)
def test_a_key_does_not_travel_in_the_open(url: str) -> None:
    with pytest.raises(ConfigError, match="base-url: expected https://"):
        parse_secure_url(url)


@given(st.text(max_size=20))
def test_a_header_holds_printable_ascii(value: str) -> None:
    good = value.isascii() and value.isprintable() and value.strip(" ") == value != "" and "  " not in value
    try:
        held = check_header_value("app_key", value)
    except ConfigError as error:
        assert not good
        assert str(error).startswith("app_key: expected printable ASCII, got ")
    else:
        assert good
        assert held == value


@pytest.mark.parametrize(
    ("header", "expected_s"),
    [
        ("0", 0),
        ("30", 30),
        ("99999", 99_999),
        ("100000", 100_000),
        ("9" * 20, 3_162_240_000),
        ("9" * 21, None),
        ("", None),
        (None, None),
        ("3.5", None),
        ("-3", None),
    ],
)
def test_how_long_to_wait(header: str | None, expected_s: int | None) -> None:
    assert parse_retry_after(header) == expected_s


@pytest.mark.parametrize(
    ("header", "expected_s"),
    [
        ("Fri, 31 Dec 2027 04:00:00 GMT", 3600),
        ("Friday, 31-Dec-27 04:00:00 GMT", 3600),
        ("Fri Dec 31 04:00:00 2027", 3600),
        ("Fri, 31 Dec 2027 02:00:00 GMT", 0),
        ("2027-12-31T04:00:00Z", None),
        ("Fri, 31 Dec 99999 04:00:00 GMT", None),
        ("soon", None),
    ],
)
def test_how_long_to_wait_until_a_date(header: str, expected_s: int | None) -> None:
    """It is counted by the server's own clock, because ours may be off."""
    assert parse_retry_after(header, now=datetime(2027, 12, 31, 3, tzinfo=UTC)) == expected_s
