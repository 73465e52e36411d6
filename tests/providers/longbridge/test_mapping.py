"""MAPPING.md says what the code does: its tables are compared with it."""

from datetime import timedelta
from pathlib import Path

import pytest

from liushui.flow import Flow
from liushui.providers import longbridge
from liushui.providers._longbridge.codec import LABELS, LANGUAGES
from liushui.providers._longbridge.server import PAGE_MAX
from liushui.providers.longbridge.rules import ERRORS, RULES
from liushui.providers.longbridge.socket import PASSWORD_LIFE, SESSION_LIFE
from liushui.providers.longbridge.wire import CashFlow

TOLERANCE = RULES.clock_skew_max or timedelta(0)
TEXT = (Path(longbridge.__file__).parent / "MAPPING.md").read_text(encoding="utf-8")


def table(heading: str) -> list[list[str]]:
    """The rows of the table under a heading, its own heading left out."""
    section = TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_field_of_the_wire_stands_there_in_its_order() -> None:
    assert [cells[0].strip("`") for cells in table("Fields of a row")] == list(CashFlow.__struct_fields__)


def test_our_words_are_a_flows() -> None:
    words = [word.strip("` ") for cells in table("Fields of a row") for word in cells[1].split(",")]
    assert set(words) <= set(Flow._fields)
    assert len(words) == len(set(words))


def test_every_field_has_its_source() -> None:
    assert {cells[-1] for cells in table("Fields of a row")} <= {"[doc]", "[sdk]", "[live]", "[own]"}


def test_names_and_kinds() -> None:
    expected = [[label.kind.value, label.direction or "either", *label.names] for label in LABELS]
    assert table("Names and kinds") == expected
    assert f"| kind | direction | {' | '.join(LANGUAGES)} |" in TEXT


def test_codes_and_classes() -> None:
    assert {int(cells[1]): cells[3] for cells in table("Errors")} == {
        code: known.__name__ for code, known in ERRORS.items()
    }


@pytest.mark.parametrize(
    "statement",
    [
        f"may differ by {TOLERANCE.total_seconds():.0f} s either way",
        f"`size` is {RULES.paging.size_default} by default, and 1 to {RULES.paging.size_max} [doc]",
        f"`page` is {RULES.paging.first} by default, and {RULES.paging.first} to {PAGE_MAX} [own]",
        f"those of {RULES.zone}",
        f"begins in {RULES.history_start.year}",
        f"the last {RULES.lookback.total_seconds() / 3600:.0f} hours",
        f"{RULES.rate.calls} calls in {RULES.rate.per.total_seconds():.0f} s",
        f"{RULES.rate.spacing.total_seconds() * 1000:.0f} ms apart",
        f"valid for {'five' if PASSWORD_LIFE.total_seconds() == 300 else '?'} minutes",
        f"its session for {SESSION_LIFE.total_seconds() / 3600:.0f} hours",
    ],
)
def test_the_numbers_are_those_of_the_rules(statement: str) -> None:
    assert statement in " ".join(TEXT.split())
