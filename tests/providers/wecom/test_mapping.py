"""MAPPING.md says what the code does: its tables are compared with it."""

from pathlib import Path

import pytest

from liushui.flow import Flow, Kind
from liushui.providers import wecom
from liushui.providers.wecom import codec
from liushui.providers.wecom.rules import ERRORS, FLOOR, RULES, TOKEN_LIFE, TOKEN_RATE, WINDOW_MAX
from liushui.providers.wecom.wire import FundFlow
from tests.providers.wecom.caller import SHANGHAI

TEXT = (Path(wecom.__file__).parent / "MAPPING.md").read_text(encoding="utf-8")
SOURCES = {"[doc]", "[sdk]", "[own]"}


def table(heading: str) -> list[list[str]]:
    """The rows of the table under a heading, its own heading left out."""
    section = TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_field_of_the_wire_stands_there_in_its_order() -> None:
    assert [cells[0].strip("`") for cells in table("Fields of a row")] == list(FundFlow.__struct_fields__)


def test_our_words_are_a_flows() -> None:
    words = [cells[1].strip("`") for cells in table("Fields of a row")]
    assert set(words) <= set(Flow._fields)
    assert {word for word in words if words.count(word) > 1} == {"detail"}


@pytest.mark.parametrize("heading", ["Fields of a row", "Kinds", "Errors"])
def test_every_fact_has_its_source(heading: str) -> None:
    assert {cells[-1] for cells in table(heading)} <= SOURCES


@pytest.mark.parametrize("key", [codec.OPERATOR, codec.GROUPS, codec.TRANSACTION_TYPE])
def test_keys_of_detail(key: str) -> None:
    assert f"`{key}`" in TEXT


def test_kinds_read_and_written() -> None:
    cells = table("Kinds")
    assert {int(code): kind for code, kind, *_ in cells} == {code: kind.value for code, kind in codec.KINDS.items()}
    written = {kind.strip(): int(code) for code, _, kinds, _ in cells for kind in kinds.split(",")}
    other = codec.KIND_CODES[Kind.OTHER]
    assert written == {kind.value: codec.KIND_CODES.get(kind, other) for kind in Kind}


def test_codes_and_classes() -> None:
    assert {int(cells[0]): cells[2] for cells in table("Errors")} == {
        code: known.__name__ for code, known in ERRORS.items()
    }


@pytest.mark.parametrize(
    "statement",
    [
        f"`limit` is {RULES.paging.size_default} by default, and 1 to {RULES.paging.size_max} [doc]",
        f"before {FLOOR.astimezone(SHANGHAI):%Y-%m-%d %H:%M} {RULES.zone}",
        f"{WINDOW_MAX.days} days apart [doc]: {WINDOW_MAX.total_seconds():.0f} s are answered",
        f"kept for {RULES.retention.years if RULES.retention else '?'} years",
        f"published at {RULES.publish.at if RULES.publish else '?':%H:%M} the next day, {RULES.zone}",
        f"A token is valid for {TOKEN_LIFE.total_seconds():.0f} s",
        f"{RULES.rate.calls} calls in {RULES.rate.per.total_seconds():.0f} s for rows, and as many for tokens",
        f"the last {RULES.lookback.total_seconds() / 3600:.0f} published hours",
        f"Business days are those of {RULES.zone}",
    ],
)
def test_the_numbers_are_those_of_the_rules(statement: str) -> None:
    assert statement in " ".join(TEXT.split())


def test_rows_and_tokens_have_one_rate() -> None:
    assert RULES.rate == TOKEN_RATE
