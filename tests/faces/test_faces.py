"""All faces show the same numbers and verdicts as a naive computation, for any ledger, on every engine."""

from collections.abc import Iterator
from contextlib import ExitStack
from copy import deepcopy
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from liushui.errors import ConfigError
from liushui.flow import Flow, Kind
from liushui.instant import to_iso
from liushui.ledger.engine import Ledger, open_ledger
from liushui.ledger.jobs.sources import add_source, list_sources, remove_source
from liushui.ledger.write.commit import commit_gap, make_account
from liushui.ledger.write.stated_balances import Statement as StatedFacts
from liushui.ledger.write.stated_balances import state_balance, withdraw_balance
from liushui.provider import DecodedRow, Slice
from liushui.providers import load_providers
from liushui.testing.clock import MovableClock
from tests.engines import ENGINES, LedgerStore, store_of
from tests.faces.faces import Faces, open_faces
from tests.faces.naive import CELL, ORIGIN, NaiveAccount, Row, Statement, between, sums
from tests.ledger.ledgers import commit_read, import_page, import_rejected, rejected_row

ACCOUNTS: Final = {
    "broker": ("longbridge", "Asia/Hong_Kong"),
    "shop": ("wecom", "Asia/Shanghai"),
    "desk": ("hkus", "America/New_York"),
}
CELLS: Final = 14
"""Reads are of these cells, the first of which begins at ORIGIN, or of everything before it."""
HISTORY: Final = range((datetime(2009, 12, 1, tzinfo=ORIGIN.tzinfo) - ORIGIN) // CELL, 0)
"""The cells before ORIGIN, as far back as any provider goes."""

accounts = st.sampled_from(sorted(ACCOUNTS))
numbers = st.integers(0, CELLS - 1)
amounts = st.sampled_from([Decimal(text) for text in ("1.00", "-2.5", "0", "0.001", "-1000000.00", "12345678.9")])
currencies = st.sampled_from(["USD", "CNY", "usdt"])
kinds = st.sampled_from([Kind.DEPOSIT, Kind.FEE, Kind.TRADE])
moments = st.integers(0, CELL // timedelta(seconds=1) - 1)
days = st.dates(date(2022, 8, 20), date(2023, 3, 10))
stated = st.sampled_from([None, None, Decimal("1.00"), Decimal("7.5")])
facts = st.tuples(moments, amounts, currencies, kinds, stated)

Facts = tuple[int, Decimal, str, Kind, Decimal | None]
"""What a row is made of."""


class Faced(RuleBasedStateMachine):
    """Makes a ledger out of events, and asks every face about it."""

    engine: str
    stores: Iterator[LedgerStore]
    store: LedgerStore

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.clock = MovableClock()
        self.ledger: Ledger = open_ledger(self.store.fresh(), create=True, clock=self.clock)
        self.stack.callback(self.ledger.close)
        rules = {name: provider.rules for name, provider in load_providers().items()}
        self.accounts = {}
        for name, (provider, zone) in ACCOUNTS.items():
            make_account(self.ledger, name, provider, zone)
            self.accounts[name] = NaiveAccount(name, rules[provider], ZoneInfo(zone))
        self.faces: Faces = self.stack.enter_context(open_faces(self.ledger))
        self.made = 0
        self.past: list[tuple[str, dict[str, NaiveAccount]]] = []

    def teardown(self) -> None:
        """Ask once more, and close the ledger."""
        try:
            self.balances_are_alike()
        finally:
            self.stack.close()

    # ------------------------------------------------------------ events

    def row(self, number: int, second: int, amount: Decimal, currency: str, kind: Kind, balance: Decimal | None) -> Row:
        """A new row in a cell, at a time of its own."""
        self.made += 1
        at = ORIGIN + number * CELL + timedelta(seconds=second, microseconds=self.made)
        return Row(f"r{self.made}", at, amount, currency, kind.value, balance)

    @rule(name=accounts, number=st.none() | st.integers(-2, CELLS - 1))
    def give_it_a_source(self, name: str, number: int | None) -> None:
        """The source begins with the provider's history, or at some cell."""
        account = self.accounts[name]
        if any(source.account == name for source in list_sources(self.ledger)):
            remove_source(self.ledger, name)
        since = account.rules.history_start if number is None else ORIGIN + number * CELL
        add_source(self.ledger, account=name, base_url="http://127.0.0.1:1", credentials={}, since=since, paced=True)
        account.since = since

    @rule(name=accounts)
    def take_its_source_away(self, name: str) -> None:
        if self.accounts[name].since is not None:
            remove_source(self.ledger, name)
            self.accounts[name].since = None

    @rule(
        name=accounts,
        number=numbers,
        rows=st.lists(facts, max_size=4),
        rejected=st.sampled_from([0, 0, 0, 1, 2]),
    )
    def read_a_cell(self, name: str, number: int, rows: list[Facts], rejected: int) -> None:
        """A read withdraws what was there before and it does not have."""
        self.commit(name, range(number, number + 1), [self.row(number, *values) for values in rows], rejected)

    @rule(name=accounts, number=numbers, amount=amounts)
    def restate(self, name: str, number: int, amount: Decimal) -> None:
        """A read has the same rows, with another amount."""
        cell = self.accounts[name].cell(number)
        if cell.is_read and cell.rows:
            self.commit(name, range(number, number + 1), [row._replace(amount=amount) for row in cell.rows], 0)

    @rule(name=accounts, last=numbers)
    def read_its_history(self, name: str, last: int) -> None:
        """One read of everything up to a cell. Nothing is in it."""
        self.commit(name, range(HISTORY.start, last + 1), [], 0)

    def commit(self, name: str, numbers: range, rows: list[Row], rejected: int) -> None:
        account = self.accounts[name]
        asked = Slice(ORIGIN + numbers.start * CELL, ORIGIN + numbers.stop * CELL)
        self.made += 1
        rejects = [rejected_row(f"{self.made}-{one}") for one in range(rejected)]
        commit_read(self.ledger, asked, *map(decoded, rows), rejected=rejects, account=name, read_at=self.clock())
        for number in numbers:
            cell = account.cell(number)
            cell.is_read, cell.has_failed, cell.rows, cell.rejected = True, False, [], 0
        if len(numbers) == 1:
            account.cells[numbers.start].rows = rows
            account.cells[numbers.start].rejected = rejected
        account.had |= {row.currency for row in rows}
        account.imported = [row for row in account.imported if not asked.since <= row.at < asked.until]

    @rule(name=accounts, number=numbers)
    def fail_to_read(self, name: str, number: int) -> None:
        asked = Slice(ORIGIN + number * CELL, ORIGIN + (number + 1) * CELL)
        commit_gap(self.ledger, name, asked, tried_at=self.clock(), reason="HTTP 502")
        cell = self.accounts[name].cell(number)
        cell.has_failed = not cell.is_read

    @rule(
        name=accounts,
        number=numbers,
        rows=st.lists(facts, min_size=1, max_size=3),
    )
    def import_rows(self, name: str, number: int, rows: list[Facts]) -> None:
        made = [self.row(number, *values) for values in rows]
        import_page(self.ledger, *map(decoded, made), account=name)
        self.accounts[name].imported += made
        self.accounts[name].had |= {row.currency for row in made}

    @rule(name=accounts)
    def import_a_row_that_cannot_be_read(self, name: str) -> None:
        self.made += 1
        import_rejected(self.ledger, rejected_row(f"import-{self.made}"), account=name)
        self.accounts[name].imported_rejects += 1

    @rule(name=accounts, at=days, amount=amounts, currency=currencies)
    def state_a_balance(self, name: str, at: date, amount: Decimal, currency: str) -> None:
        """A person states what the account holds, unless somebody did so for that moment before."""
        account = self.accounts[name]
        moment = account.day(at)
        statement = StatedFacts(name, at, currency, amount)
        if not account.may_have(currency) or moment < account.rules.history_start:
            with pytest.raises(ConfigError, match=r"currency: account|at: the provider"):
                state_balance(self.ledger, statement, account.rules)
            return
        if any((one.at, one.currency) == (moment, currency) for one in account.statements):
            return
        result = state_balance(self.ledger, statement, account.rules)
        account.statements.append(Statement(result.id, moment, amount, currency))

    @rule(name=accounts, data=st.data())
    def withdraw_a_balance(self, name: str, data: st.DataObject) -> None:
        account = self.accounts[name]
        if account.statements:
            gone = data.draw(st.sampled_from(account.statements))
            withdraw_balance(self.ledger, gone.id, "wrong")
            account.statements.remove(gone)

    @rule(days=st.integers(1, 500))
    def wait(self, days: int) -> None:
        """Time passes: providers publish, and forget."""
        self.past.append((to_iso(self.clock()), deepcopy(self.accounts)))
        self.clock.move(timedelta(days=days))
        self.faces.visitor.log_in()  # the session has expired

    # ------------------------------------------------------------ questions

    def expected_balances(
        self, at: date | None, accounts: dict[str, NaiveAccount] | None = None
    ) -> dict[tuple[str, str], tuple[Decimal, int, bool, bool, str]]:
        expected = {}
        for name, account in (accounts or self.accounts).items():
            until = None if at is None else account.day(at)
            moved = sums(between(account, None, at))
            anchored = {currency for currency in account.currencies() if account.anchor(currency) is not None}
            for currency in {*moved, *anchored}:
                count, money_in, money_out = moved.get(currency, (0, Decimal(0), Decimal(0)))
                opening = account.opening(currency)
                amount = money_in + money_out + (opening or 0)
                check, complete = account.check(currency, until), account.is_balance_complete(currency, until)
                expected[name, currency] = amount, count, complete, opening is not None, check
        return expected

    @rule()
    def balances_are_alike(self) -> None:
        expected = self.expected_balances(None)
        complete = all(account.is_complete(None, None) for account in self.accounts.values())
        complete = complete and all(is_complete for _, _, is_complete, _, _ in expected.values())
        cli_complete, cli = self.faces.cli_balances()
        api_complete, api = self.faces.api_balances()
        assert cli == expected
        assert api == expected
        overview = self.faces.visitor.get("/").text
        assert self.faces.page_balances(overview) == expected
        assert api_complete == complete
        differs = {name for (name, _), (*_, check) in expected.items() if check == "fail"}
        assert cli_complete == (complete and not differs)
        code, statuses = self.faces.run("status")
        assert {row["account"] for row in statuses if row["failed_checks"]} == differs
        assert code == 3 or not differs
        assert self.faces.api_alarmed("balance") == differs
        assert self.faces.page_alarmed("Balance differs", overview) == differs
        _, as_of = self.faces.cli_balances("--as-of", to_iso(self.clock()))
        assert as_of == expected

    @rule(at=days)
    def balances_of_a_day_are_alike(self, at: date) -> None:
        expected = self.expected_balances(at)
        _, cli = self.faces.cli_balances("--at", at.isoformat())
        _, api = self.faces.api_balances(at=at.isoformat())
        _, as_of = self.faces.cli_balances("--at", at.isoformat(), "--as-of", to_iso(self.clock()))
        assert cli == expected
        assert api == expected
        assert as_of == expected

    @precondition(lambda self: self.past)
    @rule(data=st.data())
    def balances_as_of_then_are_what_they_were(self, data: st.DataObject) -> None:
        when, accounts_then = data.draw(st.sampled_from(self.past))
        for name, account in accounts_then.items():
            account.since = self.accounts[name].since  # sources have no history
        expected = self.expected_balances(None, accounts_then)
        _, shown = self.faces.cli_balances("--as-of", when)
        assert {key: (one.amount, one.flows, one.is_balance, one.check) for key, one in shown.items()} == {
            key: (amount, flows, is_balance, check) for key, (amount, flows, _, is_balance, check) in expected.items()
        }

    @rule(name=accounts, first=days, length=st.integers(1, 60))
    def sums_of_days_are_alike(self, name: str, first: date, length: int) -> None:
        account, until = self.accounts[name], first + timedelta(days=length)
        rows = between(account, first, until)
        expected = sums(rows)
        complete = account.is_complete(account.day(first), account.day(until))
        by_kind = self.faces.cli_summary(name, first, until)
        api_complete, api = self.faces.api_summary(name, first, until - timedelta(days=1))
        page = self.faces.page_totals(f"account={name}&since={first}&until={until}")
        assert api == expected
        assert api_complete == complete
        assert page == {currency: (*total, complete) for currency, total in expected.items()}
        assert by_kind == {
            (currency, kind): total
            for kind in {row.kind for row in rows}
            for currency, total in sums(row for row in rows if row.kind == kind).items()
        }

    @rule(name=accounts, first=days, length=st.integers(1, 60), currency=st.none() | currencies)
    def flows_are_alike(self, name: str, first: date, length: int, currency: str | None) -> None:
        account, until = self.accounts[name], first + timedelta(days=length)
        rows = [row for row in between(account, first, until) if currency in (None, row.currency)]
        expected = sorted(row.identity for row in rows)
        complete = account.is_complete(account.day(first), account.day(until))
        words = [name, "--since", first.isoformat(), "--until", until.isoformat()]
        params = {"account": name, "since": first.isoformat(), "until": until.isoformat()}
        if currency is not None:
            words += ["--currency", currency.swapcase()]
            params["currency"] = currency.swapcase()
        query = "&".join(f"{key}={value}" for key, value in params.items())
        _, cli = self.faces.cli_flows(*words)
        api_complete, api = self.faces.api_flows(**params)
        assert cli == expected
        assert api == expected
        assert api_complete == complete
        if currency is None or any(row.currency == currency for one in self.accounts.values() for row in one.rows):
            assert self.faces.page_flows(query) == expected


def decoded(row: Row) -> DecodedRow:
    """A row as a codec gives it."""
    flow = Flow(
        row.identity, row.at, row.amount, row.currency, kind=Kind(row.kind), label="x", balance_after=row.balance
    )
    return DecodedRow(flow, msgspec.json.encode([row.identity, str(row.amount)]), None)


@pytest.mark.parametrize("engine", ENGINES)
def test_every_face_shows_the_same(engine: str, request: pytest.FixtureRequest) -> None:
    with TemporaryDirectory() as folder:
        request.param = engine
        for store in store_of(request, Path(folder)):
            machine = type("Machine", (Faced,), {"store": store})
            run_state_machine_as_test(
                machine,
                settings=settings(
                    max_examples=15,
                    stateful_step_count=14,
                    deadline=None,
                    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
                ),
            )
