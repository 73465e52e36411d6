"""Languages: the choice for a reader, and the format of amounts and times."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liushui.server.web.i18n import choose_language, read_languages
from liushui.server.web.page import decimal_places, own_address
from liushui.server.web.providers import render_markdown

LANGUAGES = read_languages()


@pytest.mark.parametrize(
    ("cookie", "accepted", "tag"),
    [
        (None, "", "en"),
        (None, "de, fr", "en"),
        (None, "zh-CN,zh;q=0.9,en;q=0.8", "zh-Hans"),
        (None, "zh-TW", "zh-Hant"),
        (None, "zh-HK;q=0.5, en;q=0.9", "en"),
        (None, "zh-Hant-MO", "zh-Hant"),
        (None, "zh;q=0, en;q=0.1", "en"),
        (None, "fr;q=1, zh;q=0.001", "zh-Hans"),
        (None, "*", "en"),
        (None, ";;q=,,q=zh;=", "en"),
        ("zh-Hant", "en", "zh-Hant"),
        ("tlh", "zh", "zh-Hans"),
    ],
)
def test_the_language_is_the_chosen_one_or_the_browsers(cookie: str | None, accepted: str, tag: str) -> None:
    assert choose_language(cookie, accepted) == tag


@given(st.text(max_size=200))
def test_any_header_gives_a_language(accepted: str) -> None:
    assert choose_language(None, accepted) in LANGUAGES


@pytest.mark.parametrize(
    ("amount", "told", "signed"),
    [
        ("1234567.890", "1,234,567.890", "+1,234,567.890"),
        ("-0.00000001", "−0.00000001", "−0.00000001"),
        ("0", "0", "0"),
        ("-999", "−999", "−999"),
        ("1000", "1,000", "+1,000"),
        ("1E+3", "1,000", "+1,000"),
        ("12345678901234567890.123456789012345678", "12,345,678,901,234,567,890.123456789012345678", None),
    ],
)
def test_amounts_keep_every_digit(amount: str, told: str, signed: str | None) -> None:
    for language in LANGUAGES.values():
        assert language.amount(Decimal(amount)) == told
        assert signed is None or language.amount(Decimal(amount), signed=True) == signed


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_a_formatted_amount_can_be_parsed(amount: Decimal) -> None:
    for language in LANGUAGES.values():
        assert Decimal(language.amount(amount).replace(",", "").replace("−", "-")) == amount


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        ("3148000.000000", "HKD", "3,148,000.00"),
        ("3148000.000100", "HKD", "3,148,000.0001"),
        ("5", "USD", "5.00"),
        ("1.5", "USD", "1.50"),
        ("1000", "JPY", "1,000"),
        ("1000.00", "JPY", "1,000"),
        ("1000.50", "JPY", "1,000.5"),
        ("0.10000000", "BTC", "0.10"),
        ("0.12345678", "BTC", "0.12345678"),
        ("-0.000", "KWD", "0.000"),
        ("1E+3", "USD", "1,000.00"),
        ("5", None, "5"),
        ("-5.1000", None, "−5.10"),
    ],
)
def test_amounts_are_shown_with_the_usual_decimals(amount: str, currency: str | None, shown: str) -> None:
    for language in LANGUAGES.values():
        assert language.short_amount(Decimal(amount), currency) == shown


@given(st.decimals(allow_nan=False, allow_infinity=False, places=8), st.sampled_from(["USD", "JPY", "KWD", None]))
def test_what_is_shown_has_the_same_value(amount: Decimal, currency: str | None) -> None:
    shown = LANGUAGES["en"].short_amount(amount, currency)
    assert Decimal(shown.replace(",", "").replace("−", "-")) == amount


def test_decimal_places_of_a_column() -> None:
    assert decimal_places([Decimal("1.50"), Decimal("1"), Decimal("-0.12345"), Decimal("1E+2")]) == 5
    assert decimal_places([]) == 0


def test_times_are_formatted_for_the_language() -> None:
    at, zone = datetime(2025, 3, 9, 16, 30, 5, tzinfo=UTC), ZoneInfo("Asia/Shanghai")
    assert LANGUAGES["zh-Hans"].moment(at, zone) == "2025年3月10日 00:30:05"
    assert LANGUAGES["zh-Hant"].moment(at, zone) == "2025年3月10日 00:30:05"
    assert LANGUAGES["en"].moment(at, zone) == "Mar 10, 2025, 00:30:05"
    assert LANGUAGES["en"].day(at.date()) == "Mar 9, 2025"
    assert LANGUAGES["zh-Hant"].ago(timedelta(hours=3)) == "3 小時前"
    assert LANGUAGES["en"].ago(timedelta(minutes=-5)) == "in 5 minutes"


def test_markdown_cannot_add_scripts_styles_or_unsafe_links() -> None:
    text = (
        "# One\n\n<script>alert(1)</script> <b onclick=x>b</b>\n\n[a](javascript:alert(1)) [b](../secret) "
        "[c](https://example.org)\n\n| a |\n|--:|\n| 1 |\n"
    )
    html = str(render_markdown(text))
    assert (
        "<script" not in html
        and "<b " not in html
        and "style=" not in html
        and "javascript:" not in html.replace("[a](javascript:alert(1))", "")
    )
    assert 'href="../secret"' not in html
    assert '<a href="https://example.org" rel="noreferrer noopener" target="_blank">c</a>' in html
    assert "<h2>One</h2>" in html and '<table class="table">' in html
    assert '<td data-label="a">1</td>' in html


@given(st.text(max_size=50))
def test_redirects_stay_on_this_server(text: str) -> None:
    address = own_address(text)
    assert address.startswith("/") and not address.startswith(("//", "/\\")) and "\n" not in address
