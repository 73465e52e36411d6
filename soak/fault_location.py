"""How well breaks of balance chains are located: one fault is planted in a chain, and the report has to name its row.

`python -m soak.fault_location --rows 210000 --faults 2000` prints the figures of docs/proof.md. The chains are those of
simulated accounts and of a made-up exchange with 200 rows a second. As after a sync, the rows around a fault are
checked, from a balance that is known: REACH rows on either side.
"""

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from random import Random
from typing import Final, NamedTuple

from liushui.instant import to_us
from liushui.money import EXACT
from liushui.providers import load_providers
from liushui.reconcile.chain import Break, BreakCause, ChainChecker, ChainRow, explain
from liushui.rules import BALANCE_RULES, BalanceRules
from liushui.simulate.people import institutions_of
from liushui.simulate.world import Parameters, World

REACH: Final = 600
"""Rows on either side of a fault that are checked."""
REACH_OF_EXCHANGE: Final = 4_000
"""The same for the exchange: 20 seconds."""
APART: Final = timedelta(seconds=12)
ROWS_APART: Final = 20
"""How far rows are moved: this number of rows, and further than the window. Within the window, another order is not a
fault."""
EXCHANGE: Final = "exchange"
EXACTLY, SECOND, MISSED, UNSEEN = "located exactly", "to the second", "not found", "without a trace"
WORLD_ROWS: Final = 400
"""Rows of each account of a healthy world."""


class Faulty(NamedTuple):
    """A chain with one fault. `rows` are the wrong rows. `gap` holds the balances around a missing row."""

    chain: list[ChainRow]
    rows: tuple[ChainRow, ...]
    gap: tuple[Decimal, Decimal] | None = None


def _balance(row: ChainRow) -> Decimal:
    if row.balance_after is None:
        raise ValueError("expected a row that states its balance")
    return row.balance_after


def _before(row: ChainRow) -> Decimal:
    return EXACT.subtract(_balance(row), row.amount)


def lose(chain: Sequence[ChainRow], at: int, _chance: Random) -> Faulty:
    """A row is missing."""
    row = chain[at]
    return Faulty([*chain[:at], *chain[at + 1 :]], (row,), (_before(row), _balance(row)))


def double(chain: Sequence[ChainRow], at: int, _chance: Random) -> Faulty:
    """A row is there twice."""
    row = chain[at]
    return Faulty([*chain, row._replace(id=f"{row.id}~1")], (row,))


def change(chain: Sequence[ChainRow], at: int, chance: Random) -> Faulty:
    """The amount of a row is wrong, and its balance is right."""
    row = chain[at]
    wrong = row._replace(amount=EXACT.add(row.amount, Decimal(chance.randrange(1, 99_999)).scaleb(-2)))
    return Faulty([*chain[:at], wrong, *chain[at + 1 :]], (wrong,))


def swap(chain: Sequence[ChainRow], at: int, _chance: Random) -> Faulty:
    """Two rows have each other's times."""
    row, other_at = chain[at], _far(chain, at)
    other = chain[other_at]
    moved = list(chain)
    moved[at], moved[other_at] = other._replace(at_us=row.at_us), row._replace(at_us=other.at_us)
    return Faulty(moved, (moved[at], moved[other_at]))


def hide(chain: Sequence[ChainRow], at: int, chance: Random) -> Faulty:
    """Two to five adjacent rows are missing."""
    count = chance.randrange(2, 6)
    hidden = tuple(chain[at : at + count])
    return Faulty([*chain[:at], *chain[at + count :]], hidden, (_before(hidden[0]), _balance(hidden[-1])))


def restate(chain: Sequence[ChainRow], at: int, chance: Random) -> Faulty:
    """The amount of a row and its balance are wrong."""
    row, more = chain[at], Decimal(chance.randrange(1, 99_999)).scaleb(-2)
    wrong = row._replace(amount=EXACT.add(row.amount, more), balance_after=EXACT.add(_balance(row), more))
    return Faulty([*chain[:at], wrong, *chain[at + 1 :]], (wrong,))


def shift(chain: Sequence[ChainRow], at: int, _chance: Random) -> Faulty:
    """The time of a row is that of a later one."""
    row = chain[at]
    moved = row._replace(at_us=chain[_far(chain, at)].at_us)
    return Faulty([*chain[:at], moved, *chain[at + 1 :]], (moved, row))


def _far(chain: Sequence[ChainRow], at: int) -> int:
    """Return the index of a later row that is far enough away."""
    apart_us = APART // timedelta(microseconds=1)
    far = (number for number in range(at + ROWS_APART, len(chain)) if chain[number].at_us - chain[at].at_us >= apart_us)
    return next(far, len(chain) - 1)


FAULTS: Final[dict[str, Callable[[Sequence[ChainRow], int, Random], Faulty]]] = {
    "lost": lose,
    "doubled": double,
    "amount changed": change,
    "swapped": swap,
    "hidden": hide,
    "restated": restate,
    "time shifted": shift,
}


def check(rows: Sequence[ChainRow], rules: BalanceRules, balance: Decimal | None) -> list[Break]:
    """Return the breaks of rows in any order."""
    checker = ChainChecker(rules, balance)
    for _, instant in groupby(sorted(rows, key=lambda row: row.key), key=lambda row: row.at_us):
        checker.add(list(instant))
    checker.finish()
    return explain(checker.breaks)


def score(faulty: Faulty, breaks: Sequence[Break]) -> str:
    """Return how well a fault is located. Exactly means that a break names one of its rows, or has the balances around
    the gap.

    Missing rows whose sum is zero leave no trace in the balances.
    """
    keys = {row.key for row in faulty.rows}
    seconds = {row.at_us // 1_000_000 for row in faulty.rows}
    for one in breaks:
        named = {one.after, *one.rows, *([one.before] if one.before and one.cause is not BreakCause.TWICE else [])}
        if faulty.gap == (one.expected, one.stated) or (faulty.gap is None and named & keys):
            return EXACTLY
    for one in breaks:
        around = {key[0] // 1_000_000 for key in (one.before, one.after) if key is not None}
        if around & {second + more for second in seconds for more in (-1, 0, 1)}:
            return SECOND
    return UNSEEN if faulty.gap is not None and faulty.gap[0] == faulty.gap[1] else MISSED


def plant(chain: Sequence[ChainRow], rules: BalanceRules, kind: str, chance: Random, reach: int = REACH) -> str:
    """Plant one fault in a chain and return how well it is located."""
    while True:
        at = chance.randrange(reach, len(chain) - reach)
        if chain[at].amount:
            break
    low, high = at - reach, at + reach
    while chain[low - 1].at_us == chain[low].at_us and low > 1:  # whole instants
        low -= 1
    while high < len(chain) and chain[high].at_us == chain[high - 1].at_us:
        high += 1
    faulty = FAULTS[kind](chain[low:high], at - low, chance)
    return score(faulty, check(faulty.chain, rules, _before(chain[low])))


# ---------------------------------------------------------------- chains


def simulated(account: str, rows: int, seed: int) -> dict[tuple[str, str], list[ChainRow]]:
    """The chains of a simulated account, in their true order."""
    world = World(Parameters(accounts=1, flows=rows, seed=seed), institutions_of(load_providers()))
    chains: defaultdict[tuple[str, str], list[ChainRow]] = defaultdict(list)
    for flow in world.flows(account, world.parameters.begin, world.parameters.end):
        row = ChainRow(to_us(flow.at), flow.identity, flow.amount, flow.balance_after)
        chains[flow.subaccount, flow.currency].append(row)
    return chains


def exchange(rows: int, seed: int, begin: datetime = datetime(2024, 1, 1, tzinfo=UTC)) -> list[ChainRow]:
    """A chain with 200 rows a second, half of which are fees and funding of a few repeated amounts."""
    chance = Random(seed)  # noqa: S311 - reproducible
    balance, chain = Decimal("1000000.00000000"), []
    fees = [Decimal(chance.randrange(1, 9_999)).scaleb(-8) for _ in range(20)]
    for number in range(rows):
        amount = -chance.choice(fees) if number % 2 else Decimal(chance.randrange(-(10**10), 10**10)).scaleb(-8)
        balance = EXACT.add(balance, amount)
        at_us = to_us(begin) + number // 200 * 1_000_000
        chain.append(ChainRow(at_us, f"{chance.getrandbits(64):016x}", amount, balance))
    return chain


def accounts() -> dict[str, str]:
    """The simulated account of each provider whose rows state balances."""
    return {"WeCom": "shop-1", "hkus": "trader-1"}


def named_chains(rows: int, seed: int) -> Iterator[tuple[str, list[ChainRow], BalanceRules]]:
    """The longest chain of each account, and that of the exchange."""
    for name, account in accounts().items():
        chains = simulated(account, rows, seed)
        yield name, max(chains.values(), key=len), BALANCE_RULES
    yield EXCHANGE, exchange(rows, seed), BALANCE_RULES


def false_alarms(worlds: int) -> int:
    """Return how many of this number of healthy worlds have a break. The balances before the first row are unknown."""
    alarms = 0
    for seed in range(1, worlds + 1):
        chains = [chain for account in accounts().values() for chain in simulated(account, WORLD_ROWS, seed).values()]
        chains.append(exchange(WORLD_ROWS, seed))
        alarms += any(check(chain, BALANCE_RULES, None) for chain in chains)
    return alarms


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m soak.fault_location", description=__doc__)
    parser.add_argument("--rows", type=int, default=210_000, help="rows of each account")
    parser.add_argument("--faults", type=int, default=2_000, help="faults of each kind in each chain")
    parser.add_argument("--worlds", type=int, default=1_000, help="healthy worlds")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    _print("| fault | chain | located exactly | to the second | not found | without a trace |")
    _print("|---|---|---|---|---|---|")
    for name, chain, rules in named_chains(options.rows, options.seed):
        for kind in FAULTS:
            chance = Random(f"{options.seed} {name} {kind}")  # noqa: S311 - reproducible
            reach = REACH_OF_EXCHANGE if name == EXCHANGE else REACH
            counts = Counter(plant(chain, rules, kind, chance, reach) for _ in range(options.faults))
            figures = " | ".join(f"{counts[score_]:,}" for score_ in (EXACTLY, SECOND, MISSED, UNSEEN))
            _print(f"| {kind} | {name}, {len(chain):,} rows | {figures} |")
    _print(f"\nHealthy worlds with an alarm: {false_alarms(options.worlds):,} of {options.worlds:,}.")


if __name__ == "__main__":
    main()
