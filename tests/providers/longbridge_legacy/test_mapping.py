"""MAPPING.md says what the code does: its tables are compared with it."""

from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from liushui.flow import Flow
from liushui.providers import longbridge_legacy
from liushui.providers._longbridge.server import PAGE_MAX
from liushui.providers.longbridge_legacy.rules import BAD_REQUEST, ERRORS, FORBIDDEN, LIMITED, NOT_FOUND, RULES
from liushui.providers.longbridge_legacy.wire import CashFlow, RequestBody

TOLERANCE = RULES.clock_skew_max or timedelta(0)
TEXT = (Path(longbridge_legacy.__file__).parent / "MAPPING.md").read_text(encoding="utf-8")


def table(heading: str) -> list[list[str]]:
    """The rows of the table under a heading, its own heading left out."""
    section = TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_parameter_stands_there_and_whether_it_is_required() -> None:
    assert [(cells[0].strip("`"), cells[1] == "yes") for cells in table("Fields of a request")] == [
        (field.name, field.required) for field in msgspec.structs.fields(RequestBody)
    ]
    filters = [cells[0].strip("`") for cells in table("Fields of a request") if cells[1] == "no"]
    assert filters == [known.parameter for known in RULES.filters]


def test_every_field_of_the_wire_stands_there_in_its_order() -> None:
    assert [cells[0].strip("`") for cells in table("Fields of a row")] == list(CashFlow.__struct_fields__)


def test_our_words_are_a_flows() -> None:
    words = [word.strip("` ") for cells in table("Fields of a row") for word in cells[1].split(",")]
    assert set(words) <= set(Flow._fields)
    assert len(words) == len(set(words))


@pytest.mark.parametrize("heading", ["Fields of a request", "Fields of a row", "Errors"])
def test_everything_has_its_source(heading: str) -> None:
    assert {cells[-1] for cells in table(heading)} <= {"[doc]", "[sdk]", "[own]"}


def test_codes_and_classes() -> None:
    assert {int(cells[1]): cells[3] for cells in table("Errors")} == {
        code: known.__name__ for code, known in ERRORS.items()
    }
    assert [int(cells[1]) for cells in table("Errors")[:4]] == [BAD_REQUEST, FORBIDDEN, NOT_FOUND, LIMITED]
    assert all(cells[1].endswith(cells[0]) for cells in table("Errors")[:4]), "a code ends with its HTTP status"


@pytest.mark.parametrize(
    "statement",
    [
        f"1 to {RULES.paging.size_max} [own]",
        f"{RULES.paging.first} to {PAGE_MAX} [own]",
        f"the page, from {RULES.paging.first}",
        f"may differ by {TOLERANCE.total_seconds():.0f} s either way",
        f"those of {RULES.zone}",
        f"begins in {RULES.history_start.year}",
        f"the last {RULES.lookback.total_seconds() / 3600:.0f} hours",
        f"{RULES.rate.calls} calls in {RULES.rate.per.total_seconds():.0f} s",
        f"{RULES.rate.spacing.total_seconds() * 1000:.0f} ms apart",
    ],
)
def test_the_numbers_are_those_of_the_rules(statement: str) -> None:
    assert statement in " ".join(TEXT.split())
