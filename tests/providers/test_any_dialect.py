"""One ledger, any API: rows from one provider are read through every other provider's client, to the last digit."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final

import pytest

from liushui.errors import Refused
from liushui.flow import Category, Direction, Flow, Kind
from liushui.instant import EPOCH
from liushui.ledger.access.keys import create_key
from liushui.ledger.flow_row import read_rows
from liushui.ledger.write.commit import commit_slice, make_account
from liushui.money import EXACT, to_plain_string
from liushui.provider import Provider, Slice
from liushui.providers import get_provider, load_providers
from liushui.sync.fetch import fetch_slice
from liushui.testing.empty_ledger import create_ledger
from liushui.testing.processes import Running, run, serving
from liushui.testing.reader import MemoryReader
from liushui.testing.transport import DialectTransport, clients_over
from tests.providers.longbridge.asking import ask
from tests.providers.longbridge.test_sdk import EVER

ACCOUNT: Final = "held"
NOW: Final = datetime.now(UTC).replace(microsecond=0)
RECENT: Final = Slice(NOW - timedelta(days=11), NOW - timedelta(days=5))
"""Read by every provider's rules: published, kept, and within one request."""


def flow(number: int, amount: str, currency: str, **said: object) -> Flow:
    at = RECENT.since + timedelta(hours=number, milliseconds=7 * number)
    return Flow(f"id{number}", at, Decimal(amount), currency, **said)  # type: ignore[arg-type] # a test's own words


LONG_AMOUNT: Final = "12345678901234567890.123456789012345678"

BROKER = [
    flow(1, "-248.60", "USD", direction=Direction.OUT, kind=Kind.TRADE, category=Category.STOCK, symbol="AAPL.US"),
    flow(2, "10000.00", "HKD", direction=Direction.IN, kind=Kind.DEPOSIT, category=Category.CASH, note="FPS"),
    flow(3, "1.230", "USD", direction=Direction.OUT, kind=Kind.DIVIDEND, label="現金股息", symbol="700.HK"),
    flow(4, "0.00", "USD", direction=Direction.OUT, kind=Kind.FEE, symbol=""),
    flow(5, LONG_AMOUNT, "JPY", kind=Kind.OTHER),
    flow(6, "-0.000001", "USD", kind=Kind.INTEREST, category=Category.FUND, symbol="HK0000584745"),
]
FUTURES = [
    flow(number, amount, "USDT", kind=kind, category=Category.FUTURES, subaccount=account, symbol="BTCUSDT", ref=str(9))
    for number, (amount, kind, account) in enumerate(
        [
            ("-0.37500000", Kind.TRANSFER, "futures"),
            ("15.00000001", Kind.REALIZED_PNL, "copy_trading"),
            ("-0.00000001", Kind.FUNDING, "futures"),
            ("-0.01000000", Kind.FEE, "futures"),
            ("-3.00000000", Kind.LIQUIDATION, "copy_trading"),
        ]
    )
]
SHOP = [
    flow(number, amount, "CNY", kind=kind, subaccount="1900000109", balance_after=Decimal("1.00"), ref=f"42{number}")
    for number, (amount, kind) in enumerate(
        [
            ("88.00", Kind.RECEIPT),
            ("-0.53", Kind.FEE),
            ("-8.00", Kind.REFUND),
            ("8.00", Kind.REFUND),
            ("-79.00", Kind.WITHDRAWAL),
            ("0.01", Kind.OTHER),
        ]
    )
]
HELD: Final = {"broker": BROKER, "futures": FUTURES, "shop": SHOP}
NAMED: Final = {
    **{name: {"CNY"} for name in ("alipay", "wechatpay", "wecom")},
    "stripe": {"CNY", "HKD", "JPY", "USD"},
}
"""The currencies that a dialect can name, where it cannot name any."""
MISREAD: Final = {"longbridge": {LONG_AMOUNT}, "stripe": {LONG_AMOUNT, "-0.000001"}}
"""The amounts that a dialect refuses: its own clients would misread them, or its minor units are not as fine."""
MINOR_UNITS: Final = {"stripe"}
"""The dialects that state an amount with all places of its currency, whatever zeros it ends with."""


def read_through(provider: Provider, flows: list[Flow]) -> list[Flow]:
    """What a provider's client reads of flows that came from elsewhere."""
    reader = MemoryReader()
    reader.add_flows(ACCOUNT, flows)
    key = reader.create_key(provider, ACCOUNT)

    async def rows() -> list[bytes]:
        client = provider.connect(base_url="https://provider.test", credentials=key.credentials, rate=None, timeout_s=5)
        try:
            return await fetch_slice(client, RECENT, provider.rules, provider.rules.paging.size_max, can_split=True)
        finally:
            await client.close()

    with clients_over(DialectTransport(load_providers(), reader)):
        received, rejected = read_rows(provider.codec, asyncio.run(rows()))
    assert rejected == []
    return [one.flow for one in received]


def money(flows: list[Flow], step: timedelta) -> Counter[tuple[datetime, str, str]]:
    """What must be the same on any wire: when, as finely as it tells time, how much, in which currency."""
    return Counter((one.at - (one.at - EPOCH) % step, to_plain_string(one.amount), one.currency) for one in flows)


def normalized(flows: list[Flow]) -> list[Flow]:
    """The flows without the zeros at the ends of their amounts."""
    return [one._replace(amount=one.amount.normalize(EXACT)) for one in flows]


@pytest.mark.parametrize("held", HELD)
@pytest.mark.parametrize("provider", [pytest.param(found, id=name) for name, found in load_providers().items()])
def test_any_account_through_any_dialect(provider: Provider, held: str) -> None:
    flows = HELD[held]
    named = NAMED.get(provider.name)
    if named is not None and not {one.currency for one in flows} <= named:
        with pytest.raises(Refused, match=r"USD|USDT|HKD|JPY"):
            read_through(provider, flows)
        return
    misread = [one for one in flows if to_plain_string(one.amount) in MISREAD.get(provider.name, ())]
    while misread:  # a page names the first one that it comes to
        amounts = "|".join(to_plain_string(one.amount) for one in misread)
        with pytest.raises(Refused, match=f"got ({amounts}) ") as refusal:
            read_through(provider, flows)
        (first,) = [one for one in misread if f"got {to_plain_string(one.amount)} " in str(refusal.value)]
        misread.remove(first)
        flows = [other for other in flows if other is not first]
    got = read_through(provider, flows)
    step = provider.rules.resolution
    if provider.name in MINOR_UNITS:
        got, flows = normalized(got), normalized(flows)
    assert money(got, step) == money(flows, step)


@pytest.mark.parametrize("amount", ["1.005", "0.001", "-88.123456", "90071992547409.92"])
def test_a_sum_that_a_dialect_has_no_number_for(amount: str) -> None:
    with pytest.raises(Refused, match=amount.removeprefix("-")):
        read_through(get_provider("wecom"), [flow(1, amount, "CNY")])


# ---------------------------------------------------------------- the official client of one, the accounts of others


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, dict[str, dict[str, str]]]]:
    """A ledger of a WOO X and a WeCom account, received from their own wires, served; a Longbridge key for each."""
    path = tmp_path_factory.mktemp("others") / "ledger.db"
    ledger = create_ledger(str(path))
    keys = {}
    for account, name in (("futures", "wooxpro"), ("shop", "wecom")):
        provider = get_provider(name)
        make_account(ledger, account, name, provider.rules.zone)
        received, rejected = read_rows(provider.codec, [provider.codec.write(one) for one in HELD[account]])
        assert rejected == []
        commit_slice(ledger, account, RECENT, read_at=NOW, received=received)
        keys[account] = create_key(ledger, get_provider("longbridge"), [account], paced=False)
    ledger.close()
    with serving(path) as running:
        yield running, keys


@pytest.mark.parametrize("client", ["longbridge", "longbridge http", "longport"])
@pytest.mark.parametrize("account", ["futures", "shop"])
def test_longbridges_client_reads_the_others_accounts(
    others: tuple[Running, dict[str, dict[str, str]]], client: str, account: str
) -> None:
    running, keys = others
    (result,) = ask(client, running, keys[account], EVER | {"size": 3, "drain": True})
    got = Counter((row["balance"], row["currency"]) for row in result["rows"])
    assert got == Counter((to_plain_string(one.amount), one.currency) for one in HELD[account])


def test_a_key_reads_accounts_of_several_providers_as_one(tmp_path: Path) -> None:
    """Through the command line, as a user makes it: rows of both, newest first, one order over all pages."""
    path = tmp_path / "ledger.db"
    for account, name in (("futures", "wooxpro"), ("shop", "wecom")):
        codec = get_provider(name).codec
        file = tmp_path / f"{account}.json"
        file.write_bytes(b"[" + b",".join(codec.write(one) for one in HELD[account]) + b"]")
        run("import", str(file), "--provider", name, "--account", account, ledger=path)
    made = run(
        *("key", "create", "--dialect", "longbridge", "--account", "futures", "--account", "shop", "--format", "json"),
        ledger=path,
    )
    with serving(path) as running:
        (result,) = ask("longbridge", running, json.loads(made), EVER | {"size": 4, "drain": True})
    times = [row["time"] for row in result["rows"]]
    assert times == sorted(times, reverse=True)
    assert len(result["rows"]) == len(FUTURES) + len(SHOP)
