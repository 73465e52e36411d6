"""The account map: which account of the target's books each account, currency and kind of flow belongs to. A TOML file.

    opening = "Equity:Opening-Balances"

    [[asset]]                    # where the money is: by account, subaccount, currency
    account = "broker"
    target = "Assets:Broker"

    [[counter]]                  # the other side: by account, subaccount, currency, kind
    kind = "fee"
    target = "Expenses:Fees"

    [commodity]                  # what the target calls a currency, if not the same
    USDT = "USDT"

A rule applies if all of its keys match. A key that it leaves out matches any value. If several rules apply, the one
with the most keys wins; among rules with the same number of keys, the first one. If some flows have no target, an error
lists what is missing.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from liushui.errors import ConfigError, short_repr
from liushui.flow import Kind

ASSET_FIELDS: Final = ("account", "subaccount", "currency")
COUNTER_FIELDS: Final = (*ASSET_FIELDS, "kind")
OPENING: Final = "opening"


class Rule(NamedTuple):
    """One table of the map. A field that is None matches anything."""

    target: str
    account: str | None = None
    subaccount: str | None = None
    currency: str | None = None
    kind: str | None = None

    @property
    def named(self) -> int:
        """The number of fields that are not None."""
        return sum(value is not None for value in self[1:])

    def holds(self, values: Sequence[str]) -> bool:
        """Whether the rule applies to an account, subaccount, currency and, if given, kind."""
        return all(mine is None or mine == value for mine, value in zip(self[1:], values, strict=False))


class MissingTargets(ConfigError):
    """The account map lacks targets. `missing` lists all of them, each as a table that could be added."""

    def __init__(self, missing: Sequence[str]) -> None:
        count = f"map: {len(missing)} target{'' if len(missing) == 1 else 's'} missing"
        advice = "add them to the account map; `--propose-map` writes a first one"
        super().__init__(f"{count}: {'; '.join(missing)}. {advice.capitalize()}")
        self.missing = tuple(missing)
        self.summary = f"{count}: {advice}"
        """The message after the list of missing targets."""


class AccountMap:
    """The rules of an account map."""

    def __init__(
        self, assets: Sequence[Rule], counters: Sequence[Rule], opening: str, commodities: Mapping[str, str]
    ) -> None:
        self._rules = {"asset": _sorted(assets), "counter": _sorted(counters)}
        self._targets: dict[tuple[str, ...], str] = {}
        self.opening = opening
        """The account that opening balances come from. Empty: the map does not name it."""
        self.commodities = dict(commodities)

    def asset(self, account: str, subaccount: str, currency: str) -> str:
        """The target of an account's money; empty if there is none."""
        return self._target("asset", account, subaccount, currency)

    def counter(self, account: str, subaccount: str, currency: str, kind: str) -> str:
        """The target of the other side of flows; empty if there is none."""
        return self._target("counter", account, subaccount, currency, kind)

    def _target(self, table: str, *values: str) -> str:
        key = (table, *values)
        target = self._targets.get(key)
        if target is None:
            target = next((rule.target for rule in self._rules[table] if rule.holds(values)), "")
            self._targets[key] = target
        return target

    def check(self, keys: Iterable[tuple[str, str, str, str]], *, opening: bool) -> None:
        """Check that there is a target for each account, subaccount, currency and kind. Raises MissingTargets.

        `opening` says whether opening balances are written.
        """
        missing = [table_line(OPENING)] if opening and not self.opening else []
        for key in sorted(set(keys)):
            if not self.asset(*key[:3]):
                missing.append(table_line("asset", *key[:3]))
            if not self.counter(*key):
                missing.append(table_line("counter", *key))
        if missing:
            raise MissingTargets(list(dict.fromkeys(missing)))


def _sorted(rules: Sequence[Rule]) -> list[Rule]:
    return sorted((rule for rule in rules if rule.target), key=lambda rule: -rule.named)


def table_line(table: str, *values: str) -> str:
    """Return a table of the map in one line: `[[asset]] account="broker" currency="USD"`."""
    if table == OPENING:
        return f"{OPENING}=…"
    pairs = zip(COUNTER_FIELDS, values, strict=False)
    named = " ".join(f"{name}={toml_text(value)}" for name, value in pairs if value or name != "subaccount")
    return f"[[{table}]] {named}"


def toml_text(text: str) -> str:
    """Return a TOML string."""
    escaped = "".join(
        f"\\u{ord(char):04x}" if ord(char) < 0x20 or ord(char) == 0x7F else f"\\{char}" if char in '"\\' else char
        for char in text
    )
    return f'"{escaped}"'


# ---------------------------------------------------------------- reading


def read_account_map(text: str) -> AccountMap:
    """Read the map in a TOML text. Raises ConfigError with all faults."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"map: expected TOML, got {error}") from None
    faults = [
        f"{name}: expected one of opening, asset, counter, commodity"
        for name in document
        if name not in (OPENING, "asset", "counter", "commodity")
    ]
    assets = list(_rules(document, "asset", ASSET_FIELDS, faults))
    counters = list(_rules(document, "counter", COUNTER_FIELDS, faults))
    opening = _text(document, OPENING, OPENING, faults)
    commodities = document.get("commodity", {})
    if not isinstance(commodities, dict):
        faults.append(f"commodity: expected a table such as [commodity], got {short_repr(commodities)}")
        commodities = {}
    names = {currency: _text(commodities, currency, f"commodity.{currency}", faults) for currency in commodities}
    if faults:
        raise ConfigError(f"map: {'; '.join(faults)}")
    return AccountMap(assets, counters, opening, names)


def _rules(document: Mapping[str, Any], table: str, fields: Sequence[str], faults: list[str]) -> Iterator[Rule]:
    tables = document.get(table, [])
    if not isinstance(tables, list) or not all(isinstance(one, dict) for one in tables):
        faults.append(f"{table}: expected tables such as [[{table}]], got {short_repr(tables)}")
        return
    for number, one in enumerate(tables, 1):
        where = f"{table} {number}"
        unknown = [name for name in one if name not in (*fields, "target")]
        faults += [f"{where}: expected {', '.join(fields)} and target, got {short_repr(name)}" for name in unknown]
        if "target" not in one:
            faults.append(f"{where}: expected a target, got none")
        values = {name: _text(one, name, f"{where}: {name}", faults) for name in one if name not in unknown}
        kind = values.get("kind")
        if kind is not None and kind not in set(Kind):
            faults.append(f"{where}: kind: expected one of {', '.join(Kind)}, got {short_repr(kind)}")
        yield Rule(values.pop("target", ""), **values)


def _text(table: Mapping[str, Any], name: str, where: str, faults: list[str]) -> str:
    value = table.get(name, "")
    if isinstance(value, str):
        return value
    faults.append(f"{where}: expected text, got {short_repr(value)}")
    return ""


# ---------------------------------------------------------------- a first map

_PROPOSED: Final[Mapping[Kind, str]] = {
    Kind.DEPOSIT: "Equity:Deposits",
    Kind.WITHDRAWAL: "Equity:Withdrawals",
    Kind.TRANSFER: "Assets:Transfers",
    Kind.TRADE: "Assets:Securities",
    Kind.FEE: "Expenses:Fees",
    Kind.REBATE: "Income:Rebates",
    Kind.FUNDING: "Expenses:Funding",
    Kind.REALIZED_PNL: "Income:Trading",
    Kind.LIQUIDATION: "Expenses:Liquidation",
    Kind.DIVIDEND: "Income:Dividends",
    Kind.INTEREST: "Income:Interest",
    Kind.TAX: "Expenses:Tax",
    Kind.RECEIPT: "Income:Sales",
    Kind.REFUND: "Income:Refunds",
    Kind.CONVERSION: "Equity:Conversions",
    Kind.ADJUSTMENT: "Equity:Adjustments",
}
"""The other side of a flow by kind. `other` is not in it, because a person has to decide on its account."""


def propose_map(
    keys: Iterable[tuple[str, str, str, str]], providers: Mapping[str, str], *, has_codes: bool = False
) -> str:
    """Return a first account map, as TOML, for these accounts, subaccounts, currencies and kinds. `providers` maps
    accounts to providers.

    Targets that only a person can choose are left empty and count as missing. With `has_codes`, all targets are left
    empty.
    """
    every = sorted(set(keys))
    lines = [] if has_codes else ['opening = "Equity:Opening-Balances"', ""]
    for account, subaccount in sorted({key[:2] for key in every}):
        parts = (providers.get(account, "").capitalize(), account, subaccount)
        names = ["Assets", *(component for part in parts if (component := _component(part)))]
        target = "" if has_codes else ":".join(names)
        lines += ["[[asset]]", f"account = {toml_text(account)}"]
        lines += [f"subaccount = {toml_text(subaccount)}"] if subaccount else []
        lines += [f"target = {toml_text(target)}", ""]
    for kind in sorted({key[3] for key in every}):
        target = "" if has_codes else _PROPOSED.get(Kind(kind), "")
        lines += ["[[counter]]", f"kind = {toml_text(kind)}", f"target = {toml_text(target)}", ""]
    return "\n".join(lines)


def _component(text: str) -> str:
    """Return a part of a target's name: letters and digits, the first one a capital; words joined by `-`."""
    words = "".join(char if char.isalnum() else " " for char in text).split()
    name = "-".join(words)
    return name[:1].upper() + name[1:]
