"""Shared by the plain text accounting formats: entries with two legs, opening and closing balances, names.

A journal books each flow on the account that holds the money and on a counter-account. Both legs have the same digits,
so every entry balances exactly. The journal ends with an assertion of each known balance.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from itertools import chain
from typing import Any, Final, NamedTuple

from liushui.errors import ConfigError
from liushui.export.account_map import MissingTargets, table_line, toml_text
from liushui.export.changes import ADDED, CHANGE, RECORDED_US, negated, reversed_keys
from liushui.export.formats import CannotExport, ExportOptions, Refusal
from liushui.export.rows import InstantTexts
from liushui.export.selection import AccountPart, Selection, StoredRow
from liushui.export.statement import balances_before, digits_of, first_day, first_us, last_day, listed, unfit_flows
from liushui.instant import BusinessDays
from liushui.ledger.flow_row import COLUMNS
from liushui.ledger.read.completeness import Completeness, combine
from liushui.money import EXACT, ZERO, to_plain_string

ID_PREFIX: Final = "liushui-"
CHUNK_ROWS: Final = 500

Target = tuple[str, str]
"""An account of the target's books, and a commodity."""


class Opening(NamedTuple):
    """An account's opening balance in a currency before the range."""

    id: str
    day: date
    target: Target
    amount: Decimal


class Closing(NamedTuple):
    """The closing balance of a target at the end of a day: its opening balances and the flows of the file.
    `completeness` says whether the file has all flows of the range for this target."""

    day: date
    target: Target
    amount: Decimal
    completeness: Completeness


class Entry(NamedTuple):
    """A flow in double entry. `amount` is booked on `asset`. `contra`, the amount with the opposite sign, is booked on
    `counter`.

    `day` is the day of the flow; for reversals and corrections, the day on which the ledger recorded them.
    """

    id: str
    day: str
    time: str
    asset: str
    counter: str
    commodity: str
    amount: str
    contra: str
    row: StoredRow


class Names(NamedTuple):
    """A format's rules for names. `account_error` returns the fault of a target, empty if it is valid. `commodity`
    turns a currency into a commodity, empty if that is not possible. `digits_max`: the most digits of an amount; None:
    no limit."""

    account_error: Callable[[str], str]
    commodity: Callable[[str], str]
    digits_max: int | None = None


_INDEX: Final = {name: index for index, name in enumerate(COLUMNS)}
_ACCOUNT, _AT_US, _ID, _SUBACCOUNT = (_INDEX[name] for name in ("account", "at_us", "id", "subaccount"))
_AMOUNT, _CURRENCY, _KIND = (_INDEX[name] for name in ("amount", "currency", "kind"))


class Journal:
    """A selection in double entry. The constructor raises ConfigError, which lists everything that the map or the
    format lacks."""

    def __init__(self, selection: Selection, options: ExportOptions, names: Names) -> None:
        if options.account_map is None:
            text = "map: expected an account map for this format; `--propose-map` writes a first one"
            raise CannotExport(Refusal.MAP, text)
        self._selection, self._map, self._names = selection, options.account_map, names
        sums = {part.account.name.account: selection.sums(part) for part in selection.parts}
        before = {part.account.name.account: balances_before(selection, part) for part in selection.parts}
        unknown = {(name, *key) for name, one in before.items() for key, amount in one.items() if amount is None}
        assets = {(name, *key[:2]) for name, one in sums.items() for key in one}
        opened = {(name, *key): amount for name, one in before.items() for key, amount in one.items() if amount}
        self.begins_books = options.opening and not any((selection.query.after or {}).values())
        """Whether this file opens the target's books: it does not build on their earlier content."""
        begun = {name for name, batch in (selection.query.after or {}).items() if batch}
        opening = {key: amount for key, amount in opened.items() if options.opening and key[0] not in begun}
        keys = [(name, *key) for name, one in sums.items() for key in one]
        after = selection.query.after
        if after is not None:
            connection = selection.reading.connection
            for part in selection.parts:
                name = part.account.name.account
                keys += [(name, *key) for key in reversed_keys(connection, part.filter, after.get(name, 0))]
            assets |= {key[:3] for key in keys}
        self._commodities = self._checked_commodities({key[2] for key in (*assets, *opened)})
        self._check_map(keys, opened, opening=bool(opening))
        self._check_accounts(keys, opened)
        self._parts = {part.account.name.account: part for part in selection.parts}
        self.openings = [self._opening(key, amount) for key, amount in sorted(opening.items())]
        # Later changes may belong to any day, so an assertion among them would not hold for long.
        self.closings = [] if after is not None else self._closings(sums, opened, unknown)
        self._check_digits([*(one.amount for one in self.openings), *(one.amount for one in self.closings)])
        counters = {self._map.counter(*key) for key in keys}
        equity = {self._map.opening} if self.openings else set()
        self.commodities = sorted(self._commodities.values())
        """Every commodity that the file uses."""
        self.accounts = sorted({self._map.asset(*key) for key in (*assets, *opened)} | counters | equity)
        """Every account of the target's books that the file uses."""
        self.opening_account = self._map.opening
        days = [one.day for one in self.openings] + [first_day(part) for part in selection.parts]
        self.first_day = min(days, default=date(1970, 1, 1))
        """The oldest day of an entry."""
        unsure = sorted({self._target(key) for key in unknown if key in assets})
        self.notes = [
            f"no balance is asserted of {account} in {commodity}: its opening balance is not known"
            for account, commodity in unsure
        ]
        if after is not None:
            self.notes = ["no balance is asserted: later exports may have changes of any day"]

    # ------------------------------------------------------------ entries

    def entries(self) -> Iterator[Entry]:
        """Stream the flows, by account and time."""
        days: dict[str, BusinessDays] = {}
        targets: dict[tuple[str, str, str, str], tuple[str, str, str]] = {}
        texts, identity_of = InstantTexts(), self._selection.identity_of
        for row in chain.from_iterable(self._selection.chunks(CHUNK_ROWS)):
            account, at_us, amount = row[_ACCOUNT], row[_AT_US], row[_AMOUNT]
            key = account, row[_SUBACCOUNT], row[_CURRENCY], row[_KIND]
            target = targets.get(key)
            if target is None:
                asset, counter = self._map.asset(*key[:3]), self._map.counter(*key)
                target = targets[key] = asset, counter, self._commodities[key[2]]
                days.setdefault(account, BusinessDays(self._parts[account].account.name.tz))
            is_correction = len(row) > CHANGE and row[CHANGE] != ADDED
            yield Entry(
                identity_of(account, row[_ID]),
                days[account].day_of(row[RECORDED_US] if is_correction else at_us),
                texts.of(at_us),
                *target,
                amount,
                negated(amount),
                row,
            )

    # ------------------------------------------------------------ balances

    def _opening(self, key: tuple[str, str, str], amount: Decimal) -> Opening:
        part = self._parts[key[0]]
        id_ = self._selection.identity_of(key[0], f"opening {key[1]} {key[2]} {first_us(part)}")
        return Opening(id_, first_day(part), self._target(key), amount)

    def _closings(
        self,
        sums: dict[str, Any],
        opened: dict[tuple[str, str, str], Decimal],
        unknown: set[tuple[str, str, str]],
    ) -> list[Closing]:
        """Return the balance of each target at the end, if every opening balance in it is known."""
        amounts: dict[Target, Decimal] = defaultdict(lambda: ZERO)
        parts: dict[Target, list[AccountPart]] = defaultdict(list)
        unsure = {self._target(key) for key in unknown}
        moved = [((name, *key[:2]), total.net) for name, one in sums.items() for key, total in one.items()]
        for key, amount in (*opened.items(), *moved):
            target = self._target(key)
            amounts[target] = EXACT.add(amounts[target], amount)
            parts[target].append(self._parts[key[0]])
        return [
            Closing(
                max(last_day(self._selection, part) for part in parts[target]),
                target,
                amount,
                combine([part.verdict for part in parts[target]]).status,
            )
            for target, amount in sorted(amounts.items())
            if target not in unsure
        ]

    def _target(self, key: tuple[str, str, str]) -> Target:
        return self._map.asset(*key), self._commodities.get(key[2], "")

    # ------------------------------------------------------------ checks

    def _checked_commodities(self, currencies: Iterable[str]) -> dict[str, str]:
        """Return the commodity of each currency. Raises MissingTargets for currencies without one, ConfigError if two
        currencies share one."""
        given = self._map.commodities
        names = {currency: given.get(currency) or self._names.commodity(currency) for currency in sorted(currencies)}
        missing = [currency for currency, name in names.items() if not name]
        if missing:
            raise MissingTargets([f"[commodity] {toml_text(currency)}=…" for currency in missing])
        wrong = [name for name in names.values() if self._names.commodity(name) != name]
        if wrong:
            raise ConfigError(f"map: commodity: expected a name that the format allows, got {', '.join(wrong)}")
        users: dict[str, list[str]] = defaultdict(list)
        for currency, name in names.items():
            users[name].append(currency)
        shared = [f"{' and '.join(both)} as {name}" for name, both in users.items() if len(both) > 1]
        if shared:
            raise ConfigError(
                f"map: commodity: expected a name of its own for each currency, got {'; '.join(shared)}: name them "
                "under [commodity]"
            )
        return names

    def _check_map(
        self,
        keys: Sequence[tuple[str, str, str, str]],
        opened: Iterable[tuple[str, str, str]],
        *,
        opening: bool,
    ) -> None:
        missing: list[str] = []
        try:
            self._map.check(keys, opening=opening)
        except MissingTargets as error:
            missing += error.missing
        missing += [table_line("asset", *key) for key in opened if not self._map.asset(*key)]
        if missing:
            raise MissingTargets(list(dict.fromkeys(missing)))

    def _check_accounts(
        self, keys: Sequence[tuple[str, str, str, str]], opened: Iterable[tuple[str, str, str]]
    ) -> None:
        """Check the targets. No target may be used on both sides. Raises ConfigError."""
        assets = {self._map.asset(*key[:3]) for key in (*keys, *opened)}
        counters = {self._map.counter(*key) for key in keys} | ({self._map.opening} if self._map.opening else set())
        faults = [
            f"{name}: {fault}" for name in sorted(assets | counters) if (fault := self._names.account_error(name))
        ]
        faults += [
            f"{name}: expected an asset or a counter-account, got both: transfers between your accounts need a "
            "clearing account, because each end is a flow of its own"
            for name in sorted(assets & counters)
        ]
        if faults:
            raise ConfigError(f"map: {'; '.join(faults)}")

    def _check_digits(self, balances: Sequence[Decimal]) -> None:
        """Raise ConfigError for amounts with more digits than the format allows."""
        most = self._names.digits_max
        if most is None:
            return
        faults = [f"balance {to_plain_string(one)}" for one in balances if digits_of(to_plain_string(one)) > most]
        faults += unfit_flows(self._selection, longer_than=most, fits=lambda amount: digits_of(amount) <= most)
        if faults:
            raise CannotExport(Refusal.DIGITS, f"amount: expected at most {most} digits, got more in {listed(faults)}")
