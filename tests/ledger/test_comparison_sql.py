"""Amounts are compared inside the database as numbers, and texts whatever their case, alike on every engine."""

from decimal import Decimal

import pytest
import sqlalchemy as sa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from liushui.ledger.engine import Ledger
from liushui.ledger.engines.condition_sql import at_least, at_most, contains_folded, equals_folded
from liushui.money import parse_decimal, to_plain_string

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
