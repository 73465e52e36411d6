"""A served world: a sync over HTTP with each provider's client gets exactly the world's rows."""

import json
from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest

from liushui.errors import ConfigError
from liushui.flow import Flow
from liushui.instant import from_us, system_clock, to_us
from liushui.provider import Provider
from liushui.providers import get_provider, load_providers
from liushui.simulate.people import institutions_of
from liushui.simulate.serve import providers_named, simulated_accounts
from liushui.simulate.world import Parameters, World
from liushui.testing.processes import run, simulating

FLOWS: Final = 700
INCOMPLETE: Final = 3
"""The exit code of `flows` where a provider does not keep the oldest rows any more."""
TODAY: Final = system_clock().replace(hour=0, minute=0, second=0, microsecond=0)
BEGIN: Final = TODAY - timedelta(days=200)
END: Final = TODAY - timedelta(days=2)
"""The shortest time for which a provider keeps rows is three months: a quarter of the rows are kept everywhere."""
PARAMETERS: Final = Parameters(accounts=1, flows=FLOWS, seed=3, begin=BEGIN, end=END)

Facts = tuple[str, Decimal, str, object]


@pytest.fixture(scope="module")
def world() -> World:
    """The served world."""
    return World(PARAMETERS, institutions_of(load_providers()))


def test_every_account_is_read_completely_by_its_client(tmp_path: Path, world: World) -> None:
    ledger = tmp_path / "ledger.db"
    with simulating(flows=FLOWS, seed=3, providers=(), begin=BEGIN.date(), end=END.date()) as simulator:
        assert [account.name for account in simulator.accounts] == list(world.accounts)
        assert {account.provider for account in simulator.accounts} == set(load_providers())
        for account in simulator.accounts:
            words = ("source", "add", account.provider, account.name, "--base-url", simulator.base_url, "--unpaced")
            run(
                *words,
                "--since",
                (BEGIN - timedelta(days=30)).date().isoformat(),
                "--credentials",
                "-",
                ledger=ledger,
                given=json.dumps(account.credentials),
            )
        now = system_clock()
        run("sync", ledger=ledger)
    for account in simulator.accounts:
        provider = get_provider(account.provider)
        printed = run("flows", account.name, "--format", "jsonl", ledger=ledger, codes=(0, INCOMPLETE)).splitlines()
        assert Counter(map(_facts_of, map(json.loads, printed))) == _truth(world, account.name, provider, now)


def _facts_of(row: dict[str, Any]) -> Facts:
    balance = row["balance_after"]
    return row["at"], Decimal(row["amount"]), row["currency"], None if balance is None else Decimal(balance)


def _truth(world: World, account: str, provider: Provider, now: datetime) -> Counter[Facts]:
    """The facts of an account's rows, as precise as its wire states them."""
    (begin, _), (_, end) = provider.rules.provable(now), provider.rules.readable(now)
    flows = world.flows(account, max(begin, world.parameters.begin), end)
    found = Counter(_as_stated(provider.codec.read(provider.codec.write(flow)).flow) for flow in flows)
    assert found.total() > FLOWS // 4
    return found


def _as_stated(flow: Flow) -> Facts:
    at = flow.at.isoformat(timespec="microseconds" if flow.at.microsecond else "seconds").replace("+00:00", "Z")
    return at, flow.amount, flow.currency, flow.balance_after


def test_no_dialect_changes_amounts_or_times(world: World) -> None:
    for account in simulated_accounts(PARAMETERS):
        provider = account.provider
        step_us = provider.rules.resolution // timedelta(microseconds=1)
        for flow in world.flows(account.name, world.parameters.begin, world.parameters.end):
            read = provider.codec.read(provider.codec.write(flow)).flow
            assert (read.amount, read.currency) == (flow.amount, flow.currency)
            assert read.at == from_us(to_us(flow.at) // step_us * step_us)
            assert read.balance_after in (flow.balance_after, None)
            assert read.kind == flow.kind


def test_only_the_named_providers_are_simulated() -> None:
    assert providers_named(()) == load_providers()
    (account,) = simulated_accounts(Parameters(accounts=1, flows=5), ["longbridge"])
    assert (account.name, account.flows) == ("trader-1", 5)
    with pytest.raises(ConfigError, match="provider: expected "):
        simulated_accounts(Parameters(accounts=1, flows=5), ["bank"])
