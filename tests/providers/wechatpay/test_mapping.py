"""MAPPING.md says what the code does: its tables are compared with it."""

import pytest

from liushui.formats.wechatpay_fundflow import KINDS
from liushui.providers import wechatpay
from liushui.providers.wechatpay.codec import OTHER_WORDS, WORDS, Row
from liushui.providers.wechatpay.rules import CLOCK_SKEW_MAX, DOWNLOAD_RATE, ERRORS, RULES, URL_LIFE
from liushui.providers.wechatpay.wire import BILL_PATH, DOWNLOAD_PATH
from tests.providers.mapping_page import MappingPage

PAGE = MappingPage(wechatpay)


def test_every_field_of_the_wire_stands_there_in_its_order() -> None:
    PAGE.assert_fields(Row)


def test_our_words_are_a_flows() -> None:
    PAGE.assert_words()


@pytest.mark.parametrize("heading", ["Fields of a row", "Types and kinds", "Errors"])
def test_every_fact_has_its_source(heading: str) -> None:
    PAGE.assert_sources(heading)


def test_types_and_kinds() -> None:
    assert {type_: kind for type_, kind, _ in PAGE.table("Types and kinds")} == KINDS
    *written, rest = PAGE.table("Types and kinds", 1)
    assert {cells[0]: tuple(cells[1:]) for cells in written} == {kind.value: words for kind, words in WORDS.items()}
    assert tuple(rest[1:]) == OTHER_WORDS


def test_codes_and_classes() -> None:
    assert {cells[1]: cells[3] for cells in PAGE.table("Errors")} == {
        code: known.__name__ for code, known in ERRORS.items()
    }


@pytest.mark.parametrize(
    "statement",
    [
        f"`GET {BILL_PATH}`",
        f"`GET {DOWNLOAD_PATH}`",
        f"{RULES.rate.calls} calls in {RULES.rate.per.seconds} second for addresses",
        f"{DOWNLOAD_RATE.calls} in {DOWNLOAD_RATE.per.seconds} second for bills",
        f"off by {CLOCK_SKEW_MAX.seconds // 60} minutes",
        f"within the last {CLOCK_SKEW_MAX.seconds // 60} minutes",
        f"valid for {URL_LIFE.seconds // 60} minutes",
        f"kept for {RULES.retention.months if RULES.retention else '?'} months",
        f"the last {RULES.lookback.days} days",
        f"published at {RULES.publish.at if RULES.publish else '?':%H:%M} the next day",
        f"waits {RULES.allowed_lateness.seconds // 60} minutes longer",
        f"those of {RULES.zone}",
        f"begins in {RULES.history_start.year}",
    ],
)
def test_the_numbers_are_those_of_the_rules(statement: str) -> None:
    assert statement in " ".join(PAGE.text.split())
