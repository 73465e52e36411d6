"""MAPPING.md says what the code does: its tables are compared with it."""

from pathlib import Path

import pytest

from liushui.flow import Flow
from liushui.providers import stripe
from liushui.providers.stripe import codec
from liushui.providers.stripe.rules import ERROR_TYPES, ERRORS, PLACES, RULES
from liushui.providers.stripe.wire import BalanceTransaction

TEXT = (Path(stripe.__file__).parent / "MAPPING.md").read_text(encoding="utf-8")
ONE_LINE = " ".join(TEXT.split())


def table(heading: str) -> list[list[str]]:
    """The rows of the table under a heading, its own heading left out."""
    section = TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_field_of_the_wire_stands_there_in_its_order() -> None:
    assert [cells[0].strip("`") for cells in table("Fields of a row")] == list(BalanceTransaction.__struct_fields__)


def test_our_words_are_a_flows() -> None:
    words = {word.strip("`, ") for cells in table("Fields of a row") for word in cells[1].split()} - {"–"}
    assert words <= set(Flow._fields)


@pytest.mark.parametrize(
    "key", [codec.REPORTING_CATEGORY, codec.GROSS, codec.FEE, codec.FEE_DETAILS, codec.EXCHANGE_RATE]
)
def test_keys_of_detail(key: str) -> None:
    assert f"`{key}`" in TEXT


@pytest.mark.parametrize(("words", "places"), [("Without places: ", 0), ("With three: ", 3)])
def test_currencies_without_two_places(words: str, places: int) -> None:
    listed = ONE_LINE.split(words)[1].split(".")[0].split(", ")
    assert sorted(listed) == sorted(code for code, known in PLACES.items() if known == places)
    assert PLACES["ISK"] == PLACES["UGX"] == PLACES["HUF"] == PLACES["TWD"] == 2


def test_codes_and_classes() -> None:
    assert {cells[0]: cells[1] for cells in table("Errors")} == {
        code: known.__name__ for code, known in {**ERRORS, **ERROR_TYPES}.items()
    }


def test_kinds_that_are_written() -> None:
    written = dict(cells[2].split(": ") for cells in table("Kinds") if cells[2] != "–")
    assert written.pop("every other kind") == codec.OTHER_TYPE[0]
    assert written == {kind.value: type_ for kind, (type_, _) in codec.TYPES.items()}


@pytest.mark.parametrize(
    "statement",
    [
        f"`limit` is {RULES.paging.size_default} by default, and 1 to {RULES.paging.size_max}",
        f"{RULES.rate.calls} calls in {RULES.rate.per.total_seconds():.0f} s for each key",
        f"begins in {RULES.history_start.year}",
        f"the last {RULES.lookback.total_seconds() / 3600:.0f} hours",
        f"the newest {RULES.allowed_lateness.total_seconds() / 60:.0f} minutes",
        f"Business days are those of {RULES.zone}",
    ],
)
def test_the_numbers_are_those_of_the_rules(statement: str) -> None:
    assert statement in ONE_LINE
