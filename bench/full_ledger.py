"""A ledger as it looks after years: an account at every provider, with sources that were synced to the end.

The rows go through the codecs and the commits of a sync, without HTTP. Only later steps are measured.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Final

from bench.context import SEED
from liushui.ledger.engine import open_ledger
from liushui.ledger.flow_row import read_rows
from liushui.ledger.jobs.sources import add_source
from liushui.ledger.write.chain_segments import store_chains
from liushui.ledger.write.commit import commit_slice, make_account
from liushui.provider import Slice
from liushui.providers import load_providers
from liushui.simulate.people import institutions_of
from liushui.simulate.world import Parameters, World

YEARS: Final = timedelta(days=5 * 365)
SLICE_ROWS: Final = 7_000
"""The approximate number of rows of a slice, as in a sync."""
NOWHERE: Final = "http://127.0.0.1:9"


def make_full_ledger(path: Path, flows: int, log: Callable[[str], None]) -> Path:
    """Make a ledger with this number of flows over all providers, up to last midnight. Each account is complete from
    its beginning."""
    ledger = open_ledger(str(path), create=True)
    end = ledger.clock().astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    begin = end - YEARS
    providers = load_providers()
    each = flows // len(providers)
    world = World(Parameters(accounts=1, flows=each, seed=SEED, begin=begin, end=end), institutions_of(providers))
    for account in world.accounts:
        provider = providers[world.account(account).institution.name]
        log(f"committing {each:,} flows of {account}")
        make_account(ledger, account, provider.name, provider.rules.zone)
        add_source(
            ledger,
            account=account,
            base_url=NOWHERE,
            credentials=provider.new_credentials(bytes),
            since=begin,
            paced=False,
        )
        for slice_ in _slices(begin, end, each):
            rows = [provider.codec.write(flow) for flow in world.flows(account, *slice_)]
            received, rejected = read_rows(provider.codec, rows)
            commit_slice(ledger, account, slice_, read_at=ledger.clock(), received=received, rejected=rejected)
        store_chains(ledger, account, provider.rules.balances)
    ledger.close()
    return path


def _slices(begin: datetime, end: datetime, flows: int) -> list[Slice]:
    """Equal slices from `begin` to `end`, of whole days."""
    days = max(1, (end - begin).days * SLICE_ROWS // max(1, flows))
    edges = [begin]
    while edges[-1] < end:
        edges.append(min(end, edges[-1] + timedelta(days=days)))
    return [Slice(since, until) for since, until in pairwise(edges)]
