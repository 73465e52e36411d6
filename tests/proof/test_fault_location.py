"""Faults planted in balance chains are located, and healthy chains raise no alarm. `soak` tries more of them."""

from decimal import Decimal
from functools import cache
from random import Random

import pytest

from liushui.reconcile.chain import ChainRow
from liushui.rules import BALANCE_RULES
from soak.fault_location import (
    EXACTLY,
    FAULTS,
    MISSED,
    UNSEEN,
    Faulty,
    accounts,
    exchange,
    false_alarms,
    plant,
    score,
    simulated,
)

CHAINS = ("WeCom", "hkus", "exchange")


@cache
def chain_of(name: str) -> list[ChainRow]:
    """A chain of 8,000 rows or so. Made when a test asks, because every worker collects the tests."""
    if name == "exchange":
        return exchange(8_000, 3)
    return max(simulated(accounts()[name], 8_000, 3).values(), key=len)


@pytest.mark.parametrize("kind", [kind for kind in FAULTS if kind not in ("swapped", "time shifted")])
@pytest.mark.parametrize("name", CHAINS)
def test_a_fault_is_located_to_its_row(name: str, kind: str) -> None:
    chance = Random(7)
    assert [plant(chain_of(name), BALANCE_RULES, kind, chance) for _ in range(8)] == [EXACTLY] * 8


@pytest.mark.parametrize("name", ["WeCom", "hkus"])
@pytest.mark.parametrize("kind", ["swapped", "time shifted"])
def test_a_row_at_a_wrong_time_is_located(name: str, kind: str) -> None:
    chance = Random(7)
    assert [plant(chain_of(name), BALANCE_RULES, kind, chance) for _ in range(8)] == [EXACTLY] * 8


def test_healthy_worlds_have_no_alarm() -> None:
    assert false_alarms(8) == 0


def test_only_rows_that_come_to_nothing_leave_no_trace() -> None:
    chain = chain_of("WeCom")
    before, after = Decimal(100), Decimal(90)
    assert score(Faulty(chain, tuple(chain[5:7]), (before, before)), []) == UNSEEN
    assert score(Faulty(chain, tuple(chain[5:7]), (before, after)), []) == MISSED
    assert score(Faulty(chain, tuple(chain[5:7])), []) == MISSED
