"""MAPPING.md says what the code does: its tables are compared with it."""

from pathlib import Path

import msgspec
import pytest

from liushui.flow import Flow, Kind
from liushui.providers import binance_usdm
from liushui.providers.binance_usdm.kinds import KINDS, type_for
from liushui.providers.binance_usdm.rules import (
    BAN,
    ERRORS,
    RECV_WINDOW,
    RECV_WINDOW_DEFAULT,
    RECV_WINDOW_MAX,
    REFUSALS,
    RULES,
    WEIGHT,
)
from liushui.providers.binance_usdm.wire import PATH, Income

TEXT = (Path(binance_usdm.__file__).parent / "MAPPING.md").read_text(encoding="utf-8")


def table(heading: str) -> list[list[str]]:
    """The rows of the table under a heading, its own heading left out."""
    section = TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_field_of_the_wire_stands_there_in_its_order() -> None:
    names = [field.encode_name for field in msgspec.structs.fields(Income)]
    assert [cells[0].strip("`") for cells in table("Fields of a row")] == names


def test_our_words_are_a_flows() -> None:
    words = {word.strip("` ") for cells in table("Fields of a row") for word in cells[1].split(",")}
    assert words <= set(Flow._fields)


@pytest.mark.parametrize("heading", ["Fields of a row", "Types and kinds", "Errors"])
def test_every_fact_has_its_source(heading: str) -> None:
    assert {cells[-1] for cells in table(heading)} <= {"[doc]", "[live]", "[own]"}


def test_types_and_kinds() -> None:
    *listed, other = table("Types and kinds")
    assert {type_: cells[1] for cells in listed for type_ in cells[0].split(", ")} == KINDS
    assert other[1] == Kind.OTHER
    assert {cells[1]: cells[0].split(", ")[0] for cells in listed} == {
        kind.value: type_for(kind) for kind in set(KINDS.values())
    }


def test_codes_and_classes() -> None:
    assert {int(cells[1]): cells[3] for cells in table("Errors")} == {
        code: known.__name__ for code, known in ERRORS.items()
    }


@pytest.mark.parametrize(
    "statement",
    [
        f"`GET {PATH}`",
        f"`limit` is {RULES.paging.size_default} by default and at most {RULES.paging.size_max} [doc]",
        f"it is {RECV_WINDOW_DEFAULT.seconds} s [doc], and at most {RECV_WINDOW_MAX.seconds} s [own]; our client names "
        f"{RECV_WINDOW.seconds} s [own]",
        f"the last {RULES.window_default.days if RULES.window_default else '?'} days [doc]",
        f"a weight of {WEIGHT} in a budget of {WEIGHT * RULES.rate.calls} a minute [doc]: {RULES.rate.calls} calls",
        f"Up to {REFUSALS.calls} refusals in {REFUSALS.per.seconds} s",
        f"`Retry-After` {RULES.rate.per.seconds}; beyond that the answer is 418 and {BAN.seconds} [own]",
        f"kept for {RULES.retention.months if RULES.retention else '?'} months",
        f"`page` counts from {RULES.paging.first}",
        f"last {RULES.lookback.days * 24} hours",
        f"the newest {RULES.allowed_lateness.seconds // 60} minutes",
        f"those of {RULES.zone}",
        f"begins in {RULES.history_start.year}",
    ],
)
def test_the_numbers_are_those_of_the_rules(statement: str) -> None:
    assert statement in " ".join(TEXT.split())
