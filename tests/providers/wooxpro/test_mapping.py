"""MAPPING.md says what the code does: its tables are compared with it."""

from pathlib import Path

import pytest

from liushui.flow import Flow, Kind
from liushui.providers import wooxpro
from liushui.providers.wooxpro.codec import ACCOUNT, ACCOUNTS, CODES, FLOW_TYPE, OTHER_TYPE, TYPES, read
from liushui.providers.wooxpro.rules import ERRORS, REFUSALS, RULES, SUCCESS
from liushui.providers.wooxpro.server import SYMBOL_MAX
from liushui.providers.wooxpro.wire import PATH, Transaction
from tests.providers.wooxpro.rows import of_type, wire

TEXT = (Path(wooxpro.__file__).parent / "MAPPING.md").read_text(encoding="utf-8")


def table(heading: str) -> list[list[str]]:
    """The rows of the first table under a heading, its own heading left out."""
    section = TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_field_of_the_wire_stands_there_in_its_order() -> None:
    assert [cells[0].strip("`") for cells in table("Fields of a row")] == list(Transaction.__struct_fields__)


def test_our_words_are_a_flows() -> None:
    words = [word.strip("` ") for cells in table("Fields of a row") for word in cells[1].split(",")]
    assert set(words) <= set(Flow._fields)
    assert len(words) == len(set(words))


@pytest.mark.parametrize("heading", ["Fields of a row", "Errors"])
def test_every_fact_has_its_source(heading: str) -> None:
    assert {cells[-1] for cells in table(heading)} <= {"[doc]", "[live]", "[own]"}


def test_types_and_kinds() -> None:
    *typed, other = table("Types and kinds")
    assert [[int(cells[0]), cells[1]] for cells in typed] == [[code, words] for code, words in TYPES.items()]
    for code, _, kind, written in typed:
        assert read(wire(of_type(int(code)))).flow.kind == kind
        assert {known.value for known, coded in CODES.items() if coded == int(code)} == set(written.split(", "))
    assert (int(other[0]), other[2]) == (OTHER_TYPE, "other")
    assert other[3].split(", ") == [kind.value for kind in Kind if kind not in CODES]


def test_codes_and_classes() -> None:
    assert {int(cells[1]): cells[3] for cells in table("Errors")} == {
        code: known.__name__ for code, known in ERRORS.items()
    }


@pytest.mark.parametrize(
    "statement",
    [
        f"`GET {PATH}`",
        f"`detail` as `{FLOW_TYPE}`",
        f"neither of the two as `{ACCOUNT}`",
        f"`code` {SUCCESS}",
        f"neither `{ACCOUNTS[0]}` nor `{ACCOUNTS[1]}`",
        f"`page_size` is {RULES.paging.size_default} by default, and at most {RULES.paging.size_max} [doc]",
        f"the last {(RULES.window_default or RULES.lookback).days} days [doc]",
        f"A `symbol` has 1 to {SYMBOL_MAX} printable characters",
        f"{RULES.rate.calls} calls in {RULES.rate.per.seconds} s for each key [live]",
        f"Up to {REFUSALS.calls} refusals in {REFUSALS.per.seconds} s",
        f"our client waits {REFUSALS.per.seconds} s",
        f"those of {RULES.zone}",
        f"begins in {RULES.history_start.year}",
        f"the last {RULES.lookback.days * 24} hours",
        f"halved, down to {'one millisecond' if RULES.resolution.microseconds == 1000 else '?'}",
        f"split by {' and '.join(f'`{name}`' for name in RULES.paging.split_by)}",
        f"requests each {', '.join(f'`{name}`' for name in RULES.paging.partition_by)} separately",
    ],
)
def test_the_numbers_are_those_of_the_rules(statement: str) -> None:
    assert statement in " ".join(TEXT.split())
