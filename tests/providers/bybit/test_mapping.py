"""MAPPING.md says what the code does: its tables are compared with it."""

import pytest

from liushui.providers import bybit
from liushui.providers.bybit.kinds import KIND_PATTERNS, KINDS, OTHER_TYPES, TYPES
from liushui.providers.bybit.rules import (
    ADDRESS_BAN,
    ERRORS,
    RECV_WINDOW,
    RECV_WINDOW_DEFAULT,
    RESET_AFTER,
    RULES,
    WINDOW_DEFAULT,
    WINDOW_MAX,
)
from liushui.providers.bybit.wire import PATH, Transaction
from tests.providers.mapping_page import MappingPage

PAGE = MappingPage(bybit)


def test_every_field_of_the_wire_stands_there_in_its_order() -> None:
    PAGE.assert_fields(Transaction)


def test_our_words_are_a_flows() -> None:
    PAGE.assert_words()


@pytest.mark.parametrize("heading", ["Fields of a row", "Types and kinds", "Errors"])
def test_every_fact_has_its_source(heading: str) -> None:
    PAGE.assert_sources(heading)


def test_types_and_kinds() -> None:
    assert {type_: cells[1] for cells in PAGE.table("Types and kinds") for type_ in cells[0].split(", ")} == KINDS
    patterns = [(cells[0].strip("`"), cells[1]) for cells in PAGE.table("Types and kinds", 1)]
    assert patterns == [(pattern, kind.value) for pattern, kind in KIND_PATTERNS]
    *written, rest = PAGE.table("Types and kinds", 2)
    assert {cells[0]: tuple(cells[1:]) for cells in written} == {kind.value: types for kind, types in TYPES.items()}
    assert tuple(rest[1:]) == OTHER_TYPES


def test_codes_and_classes() -> None:
    assert {int(cells[1]): cells[3] for cells in PAGE.table("Errors")} == {
        code: known.__name__ for code, known in ERRORS.items()
    }


@pytest.mark.parametrize(
    "statement",
    [
        f"`GET {PATH}`",
        f"`limit` is {RULES.paging.size_default} by default, and at most {RULES.paging.size_max} [doc]",
        f"{RULES.rate.calls} calls in {RULES.rate.per.seconds} second for each key [doc]",
        f"the last {WINDOW_DEFAULT.days * 24} hours; one end alone",
        f"at most {WINDOW_MAX.days} days apart",
        f"it is {RECV_WINDOW_DEFAULT.seconds} s [doc]; our client names {RECV_WINDOW.seconds} s [own]",
        f"is {RESET_AFTER.seconds} s ahead",
        f"wait {ADDRESS_BAN.seconds // 60} minutes",
        f"kept for {RULES.retention.years if RULES.retention else '?'} years",
        f"the last {RULES.lookback.days * 24} hours",
        f"the newest {RULES.allowed_lateness.seconds // 60} minutes",
        f"those of {RULES.zone}",
        f"begins in {RULES.history_start.year}",
    ],
)
def test_the_numbers_are_those_of_the_rules(statement: str) -> None:
    assert statement in " ".join(PAGE.text.split())
