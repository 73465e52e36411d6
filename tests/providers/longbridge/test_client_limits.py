"""A row that the official clients would misread is refused by name, even if it was received from the provider."""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest

from liushui.errors import NotRepresentable
from liushui.instant import UNIX_SECONDS_MAX, UNIX_SECONDS_MIN
from liushui.ledger.access.keys import create_key
from liushui.ledger.engine import open_ledger
from liushui.provider import UNSERVABLE, Provider
from liushui.providers import get_provider
from liushui.providers.longbridge import PROVIDER, codec
from liushui.providers.longbridge_legacy import codec as legacy_codec
from liushui.testing.clock import MovableClock
from liushui.testing.processes import Running, run, serving
from liushui.testing.reader import MemoryReader
from tests.providers.longbridge.asking import ask
from tests.providers.longbridge.caller import Caller
from tests.providers.longbridge.rows import HELD_TIMES, row, wire

FIT: Final = (
    "79228162514264337593543950335",
    "-7.9228162514264337593543950335",
    "-0.0000000000000000000000000001",
    "0",
)
"""The crate `rust_decimal`, which the clients use, holds a mantissa of 96 bits and 28 decimals."""
TOO_LONG: Final = (
    "79228162514264337593543950336",
    "7922816251426433759354395033.55",
    "-0.00000000000000000000000000010",
)
TOO_FAR: Final = (UNIX_SECONDS_MIN, HELD_TIMES[0] - 1, HELD_TIMES[1] + 1, UNIX_SECONDS_MAX)
ODD_TEXTS: Final = ("", "\U0001f600", "\u2028\u202e", "\ufffe", "a\tb\nc", "x" * 100_000)
EVER: Final = {"start_time": "1970-01-01T00:00:00", "end_time": "2100-01-01T00:00:00"}


@pytest.mark.parametrize("amount", FIT)
def test_what_a_client_can_hold_is_served(amount: str) -> None:
    read = codec.read(wire(row(balance=amount)))
    assert json.loads(codec.write(read.flow))["balance"] == amount
    assert read.served is None


@pytest.mark.parametrize("amount", TOO_LONG)
def test_an_amount_that_a_client_would_misread(amount: str) -> None:
    read = codec.read(wire(row(balance=amount)))
    assert (read.flow.amount, read.served) == (Decimal(amount), UNSERVABLE)
    with pytest.raises(NotRepresentable, match=f"^balance: expected an amount .*, got {amount}$"):
        codec.write(read.flow)


@pytest.mark.parametrize("seconds", TOO_FAR)
def test_a_time_that_a_client_has_no_date_for(seconds: int) -> None:
    read = codec.read(wire(row(business_time=str(seconds))))
    assert read.served == UNSERVABLE
    with pytest.raises(NotRepresentable, match=r"^business_time: expected a time from 0001-01-03T00:00:00Z to .*, got"):
        codec.write(read.flow)
    assert codec.read_many([wire(row(business_time=str(seconds)))]) is None


def test_what_can_be_held_is_decoded_as_a_batch() -> None:
    rows = [wire(row(business_time=str(seconds))) for seconds in HELD_TIMES]
    assert codec.read_many(rows) is not None
    assert [codec.read(received).served for received in rows] == [None, None]


def test_the_error_is_the_providers_own() -> None:
    clock = MovableClock()
    reader = MemoryReader(clock)
    caller = Caller(reader, clock, reader.create_key(PROVIDER, "trader-1"))
    reader.add_rows("trader-1", PROVIDER, [wire(row(balance=TOO_LONG[1])), wire(row(business_time="1"))])
    answer = caller.get()
    assert answer.fault == (400, 202202)
    assert answer.message.startswith("a cash flow of this time cannot be represented in this api: balance: expected")
    assert answer.message.endswith(f"got {TOO_LONG[1]}")
    assert len(caller.get(end_time=2).rows) == 1


def test_the_first_draft_has_no_client_that_holds_amounts_as_numbers() -> None:
    """Its only client is generic, and hands the row on as text: nothing is misread, so everything is served."""
    for amount in TOO_LONG:
        values = row(balance=amount, business_time=UNIX_SECONDS_MAX)
        read = legacy_codec.read(wire(values))
        assert (read.served, json.loads(legacy_codec.write(read.flow))["balance"]) == (None, amount)


# ---------------------------------------------------------------- the official clients themselves


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, dict[str, dict[str, str]]]]:
    """A ledger with an account of rows that clients can just hold, and one of each row that they cannot, served."""
    folder = tmp_path_factory.mktemp("limits")
    path = folder / "ledger.db"
    held = [row(balance=amount) for amount in FIT]
    held += [row(transaction_flow_name=text, symbol=text, description=text) for text in ODD_TEXTS]
    accounts = {
        "held": (PROVIDER, held),
        "distant": (PROVIDER, [row(business_time=str(seconds)) for seconds in HELD_TIMES]),
        **{f"amount-{index}": (PROVIDER, [row(balance=amount)]) for index, amount in enumerate(TOO_LONG)},
        "first-draft": (
            get_provider("longbridge_legacy"),
            [row(balance=amount, business_time=1621507957) for amount in TOO_LONG],
        ),
    }
    for account, (provider, rows) in accounts.items():
        _import(folder / f"{account}.json", account, provider, rows, ledger=path)
    ledger = open_ledger(str(path))
    keys = {name: create_key(ledger, provider, [name], paced=False) for name, (provider, _) in accounts.items()}
    ledger.close()
    with serving(path) as running:
        yield running, keys


def _import(file: Path, account: str, provider: Provider, rows: list[dict[str, Any]], *, ledger: Path) -> None:
    file.write_bytes(b"[" + b",".join(map(wire, rows)) + b"]")
    run("import", str(file), "--provider", provider.name, "--account", account, ledger=ledger)


@pytest.mark.parametrize("client", ["longbridge", "longport"])
def test_a_client_reads_what_it_can_hold(served: tuple[Running, dict[str, dict[str, str]]], client: str) -> None:
    running, keys = served
    (result,) = ask(client, running, keys["held"], EVER | {"size": 100})
    seen = {(row["balance"], row["description"]) for row in result["rows"]}
    assert seen == {(amount, "AAPL") for amount in FIT} | {("-248.60", text) for text in ODD_TEXTS}


@pytest.mark.parametrize("zone", ["UTC", "Etc/GMT+12", "Pacific/Kiritimati", "Asia/Shanghai"])
def test_a_client_has_a_date_for_the_farthest_times_in_any_zone(
    served: tuple[Running, dict[str, dict[str, str]]], zone: str
) -> None:
    running, keys = served
    ever = {"start_time": "0001-01-03T00:00:00", "end_time": "9999-12-30T23:59:59"}
    for client in ("longbridge", "longport"):
        (result,) = ask(client, running, keys["distant"], ever, zone=zone)
        assert len(result["rows"]) == 2, (client, zone, result)


@pytest.mark.parametrize("client", ["longbridge", "longport"])
@pytest.mark.parametrize("index", range(len(TOO_LONG)))
def test_a_client_is_told_which_amount_it_cannot_hold(
    served: tuple[Running, dict[str, dict[str, str]]], client: str, index: int
) -> None:
    running, keys = served
    (result,) = ask(client, running, keys[f"amount-{index}"], EVER)
    assert result["error"]["code"] == 202202
    assert re.search(f"got {TOO_LONG[index]}$", result["error"]["message"])


def test_the_generic_client_hands_on_the_first_drafts_amounts(
    served: tuple[Running, dict[str, dict[str, str]]],
) -> None:
    running, keys = served
    ever = {"start_time": 0, "end_time": UNIX_SECONDS_MAX, "page": 1, "size": 100}
    (result,) = ask("longbridge post", running, keys["first-draft"], ever)
    assert sorted(row["balance"] for row in result["rows"]) == sorted(TOO_LONG)
