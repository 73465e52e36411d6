"""MAPPING.md says what the code does: its tables are compared with it."""

from pathlib import Path

import pytest

from liushui.flow import Category, Flow
from liushui.providers import hkus
from liushui.providers.hkus import PROVIDER, codec
from liushui.providers.hkus.kinds import MARKET_SUFFIXES, NOT, OTHER, STOCK_SUFFIXES, SUB_TYPES, kind_of
from liushui.providers.hkus.rules import ERRORS, RULES
from liushui.providers.hkus.server import PAGE_MAX
from liushui.providers.hkus.wire import Transaction
from tests.providers.hkus.rows import ID_MAX, REQUIRED, row, wire

TEXT = (Path(hkus.__file__).parent / "MAPPING.md").read_text(encoding="utf-8")


def table(heading: str) -> list[list[str]]:
    """The rows of the table under a heading, its own heading left out."""
    section = TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_field_of_the_wire_stands_there_in_its_order() -> None:
    for heading in ("Fields of a row", "Flows of other providers"):
        assert [cells[0].strip("`") for cells in table(heading)] == list(Transaction.__struct_fields__)


def test_our_words_are_a_flows() -> None:
    words = {word.strip("` ") for cells in table("Fields of a row") for word in cells[1].split(",")}
    assert words <= set(Flow._fields)
    flow = codec.read(wire(row(id=1, account_id=1, fx_ccy="HKD"))).flow
    set_there = {name for name, value in flow._asdict().items() if value != Flow._field_defaults.get(name)}
    assert set_there - {"identity"} <= words


def test_every_field_has_its_source_and_says_whether_it_is_required() -> None:
    assert {cells[-1] for cells in table("Fields of a row")} == {"[doc]"}
    required = [cells[0].strip("`") for cells in table("Fields of a row") if cells[4].startswith("required")]
    assert tuple(required) == REQUIRED


def test_markets() -> None:
    assert {cells[0].strip("`"): cells[1].strip("`.") for cells in table("Markets")} == MARKET_SUFFIXES


def test_business_types() -> None:
    read = {cells[0].strip("`"): cells[1] for cells in table("Business types")}
    for name, category in read.items():
        assert codec.read(wire(row(business_type=name))).flow.category is Category(category)
    assert set(read) == {*STOCK_SUFFIXES, OTHER, "anything else"}
    for name, end in STOCK_SUFFIXES.items():
        assert f"| `{name}` | stock | stock with a symbol that ends with `{end}` |" in TEXT


def test_kinds() -> None:
    assert {cells[0].strip("`"): cells[1] for cells in table("Kinds")} == {
        word: kind.value for word, kind in SUB_TYPES.items()
    }
    assert all(kind_of("us_stock", word, is_priced=True) is kind for word, kind in SUB_TYPES.items())
    assert NOT not in SUB_TYPES


def test_codes_and_classes() -> None:
    assert {int(cells[1]): cells[3] for cells in table("Errors")} == {
        code: known.__name__ for code, known in ERRORS.items()
    }


TOLERANCE = RULES.clock_skew_max


@pytest.mark.parametrize(
    "statement",
    [
        f"may differ by {TOLERANCE.total_seconds() if TOLERANCE else 0:.0f} s either way",
        f"`page_size` is {RULES.paging.size_default} by default [doc], and 1 to {RULES.paging.size_max}",
        f"`page` is {RULES.paging.first} by default [doc], and {RULES.paging.first} to {PAGE_MAX}",
        f"integer from 0 to {ID_MAX}",
        f"to {codec.ID_DIGITS} digits",
        f"those of {RULES.zone}",
        f"begins in {RULES.history_start.year}",
        f"the last {RULES.lookback.total_seconds() / 3600:.0f} hours",
        f"{RULES.rate.calls} calls in {RULES.rate.per.total_seconds():.0f} s",
        f"Keys have {len(PROVIDER.new_credentials(bytes)['api_key'])} hex digits and "
        f"secrets {len(PROVIDER.new_credentials(bytes)['api_secret'])}",
    ],
)
def test_the_numbers_are_those_of_the_rules(statement: str) -> None:
    assert statement in " ".join(TEXT.split())
