"""The database compares amounts as numbers, and texts regardless of case, in the same way on every engine."""

import sys
from collections.abc import Iterator
from decimal import Decimal

import pytest
import sqlalchemy as sa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from liushui.ledger.engine import Ledger
from liushui.ledger.engines.condition_sql import at_least, at_most, contains_folded, equals_folded, has_no_case
from liushui.ledger.engines.sql_dialects import fold
from liushui.money import parse_decimal, to_plain_string
from liushui.testing.empty_ledger import create_ledger

amounts = st.one_of(
    st.decimals(-1000, 1000, allow_nan=False, places=2),
    st.decimals(-2, 2, allow_nan=False, places=1),
    st.sampled_from(["0", "-0", "0.00", "-0.00", "1", "1.0", "-1.000", "10", "100", "-100", "0.1", "0.10", "99.9"]).map(
        Decimal
    ),
    st.decimals(allow_nan=False, allow_infinity=False).filter(lambda one: len(to_plain_string(one)) < 90),
).map(to_plain_string)


@pytest.fixture(scope="module")
def engine() -> sa.Engine:
    return sa.create_engine("sqlite://")


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    ledger = create_ledger(str(tmp_path_factory.mktemp("folded") / "ledger.db"))
    yield ledger
    ledger.close()


@settings(max_examples=300)
@given(amounts, amounts)
@example("261369858685161.95176927716124", "261369858685161.95176927716124")
def test_amounts_are_compared_as_numbers(engine: sa.Engine, amount: str, bound: str) -> None:
    number = parse_decimal("bound", bound)
    column = sa.literal(amount, sa.Text())
    with engine.connect() as connection:
        found = connection.execute(sa.select(at_least(column, number), at_most(column, number))).one()
    expected = [Decimal(amount) >= number, Decimal(amount) <= number]
    assert [bool(one) for one in found] == expected, f"{amount} and {bound}"


@pytest.mark.parametrize(
    ("stored", "wanted", "equals", "contains"),
    [
        ("Aapl.US", "AAPL.us", True, True),
        ("Aapl.US", "apl", False, True),
        ("Überweisung", "ÜBER", False, True),
        ("Überweisung", "übERWEISUNG", True, True),
        ("ΟΔΟΣ", "οδος", True, True),
        ("straße", "STRASSE", False, False),
        ("straße", "STRAßE", True, True),
        ("100%", "0%", False, True),
        ("1000", "0%", False, False),
        ("ABC_DE", "c_d", False, True),
        ("ABCXDE", "c_d", False, False),
        ("ſ", "s", False, False),
        ("提现 100%", "提现", False, True),
        ("提现 100%", "现 100%", False, True),
        ("提现 1000", "现 100%", False, False),
        ("提现", "提现", True, True),
        ("提现 usd", "提现 US", False, True),
        ("12/3", "2/3", False, True),
        (None, "提现", None, None),
        (None, "a", None, None),
    ],
)
def test_texts_are_compared_whatever_their_case(
    ledger: Ledger, stored: str | None, wanted: str, equals: bool | None, contains: bool | None
) -> None:
    column = sa.literal(stored, sa.Text())
    with ledger.reading() as connection:
        query = sa.select(equals_folded(column, wanted), contains_folded(column, wanted))
        found = [None if value is None else bool(value) for value in connection.execute(query).one()]
    assert found == [equals, contains]


def test_a_character_without_case_is_none_that_folding_changes_or_makes() -> None:
    for sign in map(chr, range(sys.maxunicode + 1)):
        folded = fold(sign)
        if folded != sign:
            assert folded is not None
            assert not has_no_case(sign)
            assert not any(map(has_no_case, folded)), sign
    assert has_no_case("提現 1,000.00 (%)")
    assert has_no_case("入金")
    assert not has_no_case("USD 提现")


@settings(max_examples=100)
@given(st.text(max_size=4), st.text(max_size=12), st.text(max_size=2), st.text(max_size=2))
def test_sqlite_finds_a_text_where_its_folded_form_is_found(
    sqlite: Ledger, wanted: str, other: str, before: str, after: str
) -> None:
    texts = [text for text in (other, f"{before}{wanted}{after}") if "\0" not in text]
    wanted = wanted.replace("\0", "")
    with sqlite.reading() as connection:
        for text in texts:
            query = sa.select(contains_folded(sa.literal(text, sa.Text()), wanted))
            expected = _fold_as(wanted, wanted) in _fold_as(wanted, text)
            assert bool(connection.scalar(query)) == expected, (text, wanted)


def _fold_as(wanted: str, text: str) -> str:
    """A text as it is compared with another one: where that is ASCII, only ASCII letters have a case."""
    if wanted.isascii():
        return "".join(sign.upper() if sign.isascii() else sign for sign in text)
    return fold(text) or ""
