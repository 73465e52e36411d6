"""MAPPING.md says what the code does: its tables are compared with it."""

import pytest

from liushui.flow import Kind
from liushui.formats._wallets import kind_of, merchant_kind
from liushui.providers import alipay
from liushui.providers.alipay.codec import OTHER_TYPE, TYPES
from liushui.providers.alipay.rules import ERRORS, RULES, SUCCESS, WINDOW_MAX, ZONE
from liushui.providers.alipay.wire import METHOD, PATH, AccountLog
from liushui.wire.decoding import RECORD_ID_MAX
from liushui.wire.rsa import BITS
from tests.providers.mapping_page import MappingPage

PAGE = MappingPage(alipay)


def test_every_field_of_the_wire_stands_there_in_its_order() -> None:
    PAGE.assert_fields(AccountLog)


def test_our_words_are_a_flows() -> None:
    PAGE.assert_words()


@pytest.mark.parametrize("heading", ["Fields of a row", "Types and kinds", "Errors"])
def test_every_fact_has_its_source(heading: str) -> None:
    PAGE.assert_sources(heading)


def test_types_and_kinds() -> None:
    for cells in PAGE.table("Types and kinds"):
        assert {merchant_kind(type_) for type_ in cells[0].split(", ")} == {Kind(cells[1])}
    *written, rest = PAGE.table("Types and kinds", 1)
    assert {Kind(kind): type_ for kind, type_ in written} == TYPES
    assert rest[1] == OTHER_TYPE


def test_words_and_kinds() -> None:
    words = " ".join(PAGE.text.split()).partition("words of `biz_desc` after its bar are: ")[2].partition(" [own]")[0]
    for part in words.split("; "):
        *known, kind = part.replace(",", "").split()
        assert {kind_of(word) for word in known} == {Kind(kind)}


def test_what_is_written_is_read_as_the_same_kind() -> None:
    assert {kind: merchant_kind(type_) for kind, type_ in TYPES.items()} == {kind: kind for kind in TYPES}


def test_codes_and_classes() -> None:
    assert {cells[0]: cells[2] for cells in PAGE.table("Errors")} == {
        code: known.__name__ for code, known in ERRORS.items()
    }


@pytest.mark.parametrize(
    "statement",
    [
        f"`{METHOD}` at `POST {PATH}`",
        f"Success is code {SUCCESS}",
        f"`page_size` is {RULES.paging.size_default:,} by default, at least {RULES.paging.size_min:,} and at most "
        f"{RULES.paging.size_max:,} [doc]. Pages are numbered from {RULES.paging.first}",
        f"{RULES.rate.calls} calls in {RULES.rate.per.seconds} second for each key",
        f"at most {WINDOW_MAX.days} days apart",
        f"kept for {RULES.retention.years if RULES.retention else '?'} year [doc], by calendar days of {ZONE}",
        f"the last {RULES.lookback.days * 24} hours",
        f"newest {RULES.allowed_lateness.seconds // 60} minutes",
        f"days are those of {RULES.zone}",
        f"begins in {RULES.history_start.year}",
        f"longer than {RECORD_ID_MAX} characters",
        f"RSA keys of {BITS} bits",
    ],
)
def test_the_numbers_are_those_of_the_rules(statement: str) -> None:
    assert statement in " ".join(PAGE.text.split())
