"""MAPPING.md says what the code does: its tables are compared with it."""

import pytest

from liushui.flow import Direction, Kind
from liushui.providers import okx
from liushui.providers.okx.codec import ID_DIGITS
from liushui.providers.okx.kinds import CODES, KINDS, OTHER_CODES
from liushui.providers.okx.rules import ASK_RECENT, ERRORS, RATE, RECENT, RECENT_RATE, RULES
from liushui.providers.okx.wire import ARCHIVE_PATH, RECENT_PATH, Bill
from tests.providers.mapping_page import MappingPage

PAGE = MappingPage(okx)


def test_every_field_of_the_wire_stands_there_in_its_order() -> None:
    PAGE.assert_fields(Bill)


def test_our_words_are_a_flows() -> None:
    PAGE.assert_words()


@pytest.mark.parametrize("heading", ["Fields of a row", "Types and kinds", "Errors"])
def test_every_fact_has_its_source(heading: str) -> None:
    PAGE.assert_sources(heading)


def test_types_and_kinds() -> None:
    *listed, other = PAGE.table("Types and kinds")
    assert {type_: cells[1] for cells in listed for type_ in cells[0].split(", ")} == KINDS
    assert other[1] == Kind.OTHER
    *written, rest = PAGE.table("Types and kinds", 1)
    assert {cells[0]: tuple(cells[1:]) for cells in written} == {
        kind.value: (codes.type, codes.sub_type(Direction.IN), codes.sub_type(Direction.OUT))
        for kind, codes in CODES.items()
    }
    assert tuple(rest[1:]) == OTHER_CODES


def test_codes_and_classes() -> None:
    assert {int(cells[1]): cells[3] for cells in PAGE.table("Errors")} == {
        code: known.__name__ for code, known in ERRORS.items()
    }


@pytest.mark.parametrize(
    "statement",
    [
        f"`GET {RECENT_PATH}` (the last {RECENT.days} days)",
        f"`GET {ARCHIVE_PATH}` (the last {RULES.retention.months if RULES.retention else '?'} months)",
        f"padded with zeros to {ID_DIGITS} digits",
        f"`limit` is {RULES.paging.size_default} by default, and at most {RULES.paging.size_max} [doc]",
        f"{RATE.calls} calls in {RATE.per.seconds} seconds at the archive, {RECENT_RATE.calls} in "
        f"{RECENT_RATE.per.seconds} second at the recent bills [doc]",
        f"begins less than {ASK_RECENT.days} days ago",
        f"may be off by {RULES.clock_skew_max.seconds if RULES.clock_skew_max else '?'} s either way",
        f"the last {RULES.lookback.days * 24} hours",
        f"the newest {RULES.allowed_lateness.seconds // 60} minutes",
        f"those of {RULES.zone}",
        f"begins in {RULES.history_start.year}",
    ],
)
def test_the_numbers_are_those_of_the_rules(statement: str) -> None:
    assert statement in " ".join(PAGE.text.split())
