"""The filter language, which selects flows. One definition for the command line, the API and the page.

A filter is read from texts by field name. Every invalid text becomes a fault; nothing is ignored. A date without a time
means that day in each account's own zone, and a time without an offset is in that zone too.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from liushui.errors import ConfigError, WireError, short_repr
from liushui.flow import Category, Direction, Kind
from liushui.instant import MIN_INSTANT, BusinessDays, from_us, instant_of, to_us
from liushui.ledger.engines.sql_dialects import fold
from liushui.ledger.read.accounts import AccountName
from liushui.money import EXACT, ZERO, parse_decimal, to_plain_string
from liushui.reconcile.links import seconds_of

if TYPE_CHECKING:
    import sqlalchemy as sa

Bound = date | datetime
"""An end of a range: an aware instant, or a day (its first instant) or a naive time in each account's own zone."""

BEFORE_ALL_US: Final = -(2**62)
AFTER_ALL_US: Final = 2**62
"""Earlier and later than every instant that a datetime can hold."""

TEXT_MAX: Final = 200
"""The most characters of a filter's value."""

CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "kind": tuple(Kind),
    "category": tuple(Category),
    "direction": tuple(Direction),
    "finding": ("side", "same_id", "break"),  # spelled out, because `ledger.findings` imports SQLAlchemy
}
"""Fields whose value has to be one of a few words."""

FIELDS: Final = (
    *("since", "until", "currency", "kind", "category", "direction", "subaccount", "symbol", "ref", "text"),
    *("amount_min", "amount_max", "amount_near", "finding"),
)
"""Every field of a filter except its accounts."""

_TOTALLED: Final = ("currency", "kind", "subaccount")
"""Fields that day totals can answer."""
_SEARCHED: Final = ("label", "name", "note", "symbol", "ref", "order_ref")
"""Columns in which a text is searched."""


class NearAmount(NamedTuple):
    """A range of amounts near a given one: absolute values from `low` to `high`, both included. `sign`: 1 for money in,
    -1 for money out, 0 for both."""

    low: Decimal
    high: Decimal
    sign: int = 0


class FlowFilter(NamedTuple):
    """Selects flows. A field that is None selects any value. `since` <= time < `until`; `amount_min` <= signed amount
    <= `amount_max`."""

    accounts: tuple[str, ...] = ()
    since: Bound | None = None
    until: Bound | None = None
    currency: str | None = None
    kind: str | None = None
    symbol: str | None = None
    limit: int | None = None
    newest_first: bool = False
    category: str | None = None
    direction: str | None = None
    subaccount: str | None = None
    ref: str | None = None
    """A reference of the flow or of its order."""
    amount_min: Decimal | None = None
    amount_max: Decimal | None = None
    text: str | None = None
    """A text in the label, name, note, symbol or references, in upper or lower case."""
    finding: str | None = None
    """One of `findings.KINDS`, or the id of a finding. For a break or an id, `keys` has to be set: see
    finding_lists."""
    keys: "frozenset[tuple[str, int, str]] | None" = None
    """Only the flows with these accounts, times and ids. `keys` is computed from `finding`; users cannot set it."""
    amount_near: NearAmount | None = None
    """An amount, or one near it. Without a sign it means money in and out. A text such as `≈ 88` sets it too."""

    @property
    def needs_rows(self) -> bool:
        """Whether the filter needs rows, because some field is about single flows."""
        asked = (name for name in FIELDS if name not in ("since", "until") and getattr(self, name) is not None)
        return any(name not in _TOTALLED for name in asked)

    @property
    def is_selective(self) -> bool:
        """Whether the filter has a condition besides its range."""
        return any(getattr(self, name) is not None for name in FIELDS if name not in ("since", "until"))

    def of(self, account: AccountName) -> "AccountFilter":
        """Return the filter for one account, with days converted to instants."""
        found = AccountFilter(account, *range_us(self.since, self.until, account.tz), self)
        if self.keys is None:
            return found
        times = [at_us for name, at_us, _id in self.keys if name == account.account]
        return found.within(min(times, default=AFTER_ALL_US), max(times, default=AFTER_ALL_US - 1) + 1)


class AccountFilter(NamedTuple):
    """The filter for one account: [since, until) in microseconds, and the conditions."""

    account: AccountName
    since_us: int
    until_us: int
    conditions: FlowFilter

    def within(self, since_us: int, until_us: int) -> "AccountFilter":
        """Return the same filter for a part of the range."""
        return self._replace(since_us=max(self.since_us, since_us), until_us=min(self.until_us, until_us))

    def apply(self, query: "sa.Select[Any]", table: "sa.Table") -> "sa.Select[Any]":
        """Restrict a query on a table that has the columns of flows."""
        import sqlalchemy as sa

        from liushui.ledger import findings
        from liushui.ledger.engines.condition_sql import at_least, at_most, contains_folded, equals_folded

        c, wanted = table.c, self.conditions
        query = query.where(c.account == self.account.account)
        if self.since_us > BEFORE_ALL_US:
            query = query.where(c.at_us >= self.since_us)
        if self.until_us < AFTER_ALL_US:
            query = query.where(c.at_us < self.until_us)
        for name in ("currency", "symbol"):
            value = getattr(wanted, name)
            if value is not None:
                query = query.where(equals_folded(c[name], value))
        for name in ("kind", "category", "direction", "subaccount"):
            value = getattr(wanted, name)
            if value is not None:
                query = query.where(c[name] == value)
        if wanted.ref is not None:
            query = query.where(sa.or_(c.ref == wanted.ref, c.order_ref == wanted.ref))
        if wanted.amount_min is not None:
            query = query.where(at_least(c.amount, wanted.amount_min))
        if wanted.amount_max is not None:
            query = query.where(at_most(c.amount, wanted.amount_max))
        if wanted.amount_near is not None:
            low, high, sign = wanted.amount_near
            received = sa.and_(at_least(c.amount, low), at_most(c.amount, high))
            paid = sa.and_(at_least(c.amount, high.copy_negate()), at_most(c.amount, low.copy_negate()))
            query = query.where(sa.or_(received, paid) if not sign else received if sign > 0 else paid)
        if wanted.text is not None:
            query = query.where(sa.or_(*(contains_folded(c[name], wanted.text) for name in _SEARCHED)))
        if wanted.keys is not None:
            keys = sorted((at_us, id_) for name, at_us, id_ in wanted.keys if name == self.account.account)
            # The condition on times alone lets SQLite seek in the primary key. With only a list of pairs, it uses just
            # the account.
            query = query.where(c.at_us.in_(sorted({at_us for at_us, _ in keys})))
            query = query.where(sa.tuple_(c.at_us, c.id).in_(keys))
        elif wanted.finding is not None:
            query = query.where(findings.holds(table, wanted.finding))
        return query


def totals_conditions(wanted: FlowFilter) -> "list[sa.ColumnElement[bool]]":
    """Return the conditions on day totals. The filter has to be one that day totals can answer."""
    from liushui.ledger.engines.condition_sql import equals_folded
    from liushui.ledger.schema import day_totals

    t = day_totals.c
    found = [t[name] == getattr(wanted, name) for name in ("kind", "subaccount") if getattr(wanted, name) is not None]
    if wanted.currency is not None:
        found.append(equals_folded(t.currency, wanted.currency))
    return found


def equals_currency(currency: str, asked: str) -> bool:
    """Whether two currency codes are equal, ignoring case."""
    return fold(currency) == fold(asked)


def instant_us(bound: Bound, zone: ZoneInfo) -> int:
    """Return a bound in microseconds since the epoch; for a day, its first instant in the zone.

    Raises NotOneInstant for a local time that the zone's clocks skip or show twice.
    """
    if isinstance(bound, datetime):
        return to_us(bound if bound.tzinfo else instant_of(bound, zone))
    return max(BEFORE_ALL_US, BusinessDays(zone).range_us(bound.isoformat())[0])


def bound_instant(bound: Bound, zone: ZoneInfo) -> datetime:
    """Return a bound as an instant. The calendar's first day begins at its first instant in every zone."""
    return from_us(max(to_us(MIN_INSTANT), instant_us(bound, zone)))


def range_us(since: Bound | None, until: Bound | None, zone: ZoneInfo) -> tuple[int, int]:
    """Return [since, until) in microseconds since the epoch. A missing end is BEFORE_ALL_US or AFTER_ALL_US."""
    return (
        BEFORE_ALL_US if since is None else instant_us(since, zone),
        AFTER_ALL_US if until is None else instant_us(until, zone),
    )


# ---------------------------------------------------------------- days


DAY: Final = timedelta(days=1)

FIRST_DAY, LAST_DAY = "0000-00-00", "9999-99-99"
"""Before and after every day."""


def day_text(days: BusinessDays, at_us: int) -> str:
    """Return the day of an instant; FIRST_DAY or LAST_DAY for the instants before or after all days."""
    return FIRST_DAY if at_us <= BEFORE_ALL_US else LAST_DAY if at_us >= AFTER_ALL_US - 1 else days.day_of(at_us)


def begin_us(days: BusinessDays, day: str) -> int:
    """Return the instant at which a day begins; BEFORE_ALL_US for the calendar's first days, which may begin before
    it."""
    if day in (FIRST_DAY, LAST_DAY):
        return BEFORE_ALL_US if day == FIRST_DAY else AFTER_ALL_US
    return max(BEFORE_ALL_US, days.range_us(day)[0])


def end_us(days: BusinessDays, day: str) -> int:
    """Return the instant at which a day ends; AFTER_ALL_US for the calendar's last days, which may end after it."""
    if day in (FIRST_DAY, LAST_DAY):
        return BEFORE_ALL_US if day == FIRST_DAY else AFTER_ALL_US
    return min(AFTER_ALL_US, days.range_us(day)[1])


def next_day(day: str) -> str:
    """Return the day after a day; LAST_DAY after the calendar's last day."""
    found = date.fromisoformat(day)
    return LAST_DAY if found == date.max else (found + DAY).isoformat()


# ---------------------------------------------------------------- reading a filter


class FaultKind(StrEnum):
    """The kind of fault in one value of a filter."""

    UNKNOWN_FIELD = "unknown_field"
    REPEATED = "repeated"
    NOT_A_CHOICE = "not_a_choice"
    NOT_A_TIME = "not_a_time"
    NOT_AN_AMOUNT = "not_an_amount"
    EMPTY = "empty"
    TOO_LONG = "too_long"
    REVERSED_RANGE = "reversed_range"
    REVERSED_AMOUNTS = "reversed_amounts"


class FilterFault(NamedTuple):
    """One fault of a filter: the field, the expected value, and the received value."""

    field: str
    kind: FaultKind
    expected: str
    got: str


class FilterError(ConfigError):
    """An invalid filter, with all of its faults."""

    def __init__(self, faults: Sequence[FilterFault]) -> None:
        super().__init__("; ".join(f"{fault.field}: expected {fault.expected}, got {fault.got}" for fault in faults))
        self.faults = tuple(faults)


_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d\Z", re.ASCII)
TIME_EXAMPLE: Final = "a date or ISO 8601 time such as 2024-01-31 or 2024-01-31T09:30:00Z"


def read_filter(texts: Mapping[str, str | Sequence[str]], *, accounts: Sequence[str] = ()) -> FlowFilter:
    """Read a filter from texts by field name. Raises FilterError with all faults; nothing is ignored.

    A value may be a sequence of texts, as in a query string; more than one text is a fault.
    """
    faults: list[FilterFault] = []
    values: dict[str, Any] = {}
    for name, given in texts.items():
        text = given if isinstance(given, str) else given[-1] if given else ""
        if name not in FIELDS:
            faults.append(FilterFault(name, FaultKind.UNKNOWN_FIELD, f"one of {', '.join(FIELDS)}", short_repr(name)))
        elif not isinstance(given, str) and len(given) > 1:
            faults.append(FilterFault(name, FaultKind.REPEATED, "one value", f"{len(given)} values"))
        elif name == "text" and text.lstrip().startswith(NEAR_MARKS):
            if texts.get("amount_near"):
                got = f"{short_repr(text)} beside amount_near"
                faults.append(FilterFault(name, FaultKind.REPEATED, "one amount to look near", got))
            else:
                values["amount_near"] = _read_value(name, text, faults, _read_near)
        else:
            values[name] = _read_value(name, text, faults)
    wanted = FlowFilter(accounts=tuple(accounts), **values)
    faults += _reversed(wanted)
    if faults:
        raise FilterError(faults)
    return wanted


def _read_value(
    name: str, text: str, faults: list[FilterFault], read: Callable[[str, str], object] | None = None
) -> object:
    read = read or _READERS.get(name, _read_text)
    try:
        return read(name, text)
    except FilterError as error:
        faults += error.faults
        return None


def read_bound(name: str, text: str) -> Bound:
    """Read a day or a time. Raises FilterError."""
    text = text.strip()
    try:
        if _DAY.match(text):
            return date.fromisoformat(text)
        if "T" in text.upper() or " " in text:
            at = datetime.fromisoformat(text.upper())
            return at if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise FilterError([FilterFault(name, FaultKind.NOT_A_TIME, TIME_EXAMPLE, short_repr(text))])


def _read_amount(name: str, text: str) -> Decimal:
    try:
        return parse_decimal(name, text.strip())
    except WireError as error:
        fault = FilterFault(name, FaultKind.NOT_AN_AMOUNT, "an amount such as -248.60", short_repr(text))
        raise FilterError([fault]) from error


NEAR_MARKS: Final = ("≈", "~")
"""Marks before an amount that ask for amounts near it."""
NEAR_SHARE: Final = Decimal("0.01")
"""How far an amount may differ, as a share of it. At least half a step of its last digit is allowed."""
_GROUPED: Final = re.compile(r"\d{1,3}(,\d{3})+(\.\d+)?\Z", re.ASCII)


def _read_near(name: str, text: str) -> NearAmount:
    """Read `88`, `-88` or `12,345.67`, with or without one of NEAR_MARKS in front."""
    plain = text.strip().removeprefix(NEAR_MARKS[0]).removeprefix(NEAR_MARKS[1]).strip().replace("\u2212", "-")
    sign = -1 if plain.startswith("-") else 1 if plain.startswith("+") else 0
    digits = plain[1:] if sign else plain
    try:
        amount = parse_decimal(name, digits.replace(",", "") if _GROUPED.match(digits) else digits)
        if digits.startswith("-"):
            raise WireError(name, "two signs")
    except WireError as error:
        expected = "an amount to look near, such as 88 or -248.60"
        raise FilterError([FilterFault(name, FaultKind.NOT_AN_AMOUNT, expected, short_repr(text))]) from error
    exponent = amount.as_tuple().exponent
    half_step = Decimal(5).scaleb((exponent if isinstance(exponent, int) else 0) - 1)
    distance = max(EXACT.multiply(amount, NEAR_SHARE), half_step)
    return NearAmount(max(ZERO, EXACT.subtract(amount, distance)), EXACT.add(amount, distance), sign)


def _read_choice(name: str, text: str) -> str:
    if text in CHOICES[name]:
        return text
    raise FilterError(
        [FilterFault(name, FaultKind.NOT_A_CHOICE, f"one of {', '.join(CHOICES[name])}", short_repr(text))]
    )


def _read_finding(name: str, text: str) -> str:
    if text in CHOICES[name] or seconds_of(text) is not None:
        return text
    expected = f"one of {', '.join(CHOICES[name])}, or the id of a finding"
    raise FilterError([FilterFault(name, FaultKind.NOT_A_CHOICE, expected, short_repr(text))])


def _read_text(name: str, text: str) -> str:
    if not text and name != "subaccount":  # the main part of an account has no name
        raise FilterError([FilterFault(name, FaultKind.EMPTY, "some text", "nothing")])
    if len(text) > TEXT_MAX:
        expected, got = f"at most {TEXT_MAX} characters", f"{len(text)} characters"
        raise FilterError([FilterFault(name, FaultKind.TOO_LONG, expected, got)])
    return text


_READERS: Final[Mapping[str, Callable[[str, str], object]]] = {
    **dict.fromkeys(("since", "until"), read_bound),
    **dict.fromkeys(("amount_min", "amount_max"), _read_amount),
    "amount_near": _read_near,
    **dict.fromkeys(CHOICES, _read_choice),
    "finding": _read_finding,
}


def _reversed(wanted: FlowFilter) -> list[FilterFault]:
    faults = []
    if is_reversed(wanted.since, wanted.until):
        expected = f"later than since, {bound_text(wanted.since)}"
        faults.append(FilterFault("until", FaultKind.REVERSED_RANGE, expected, bound_text(wanted.until)))
    low, high = wanted.amount_min, wanted.amount_max
    if low is not None and high is not None and low > high:
        expected = f"at least amount_min, {to_plain_string(low)}"
        faults.append(FilterFault("amount_max", FaultKind.REVERSED_AMOUNTS, expected, to_plain_string(high)))
    return faults


def is_reversed(since: Bound | None, until: Bound | None) -> bool:
    """Whether a range is empty in every zone. If only one end has an offset, the largest offset of any zone is allowed
    for."""
    if since is None or until is None:
        return False
    low_us, high_us = (instant_us(bound, ZoneInfo("UTC")) for bound in (since, until))
    mixed = _is_local(since) is not _is_local(until)
    return low_us >= high_us + (_ZONE_MARGIN_US if mixed else 0)


def _is_local(bound: Bound) -> bool:
    return not isinstance(bound, datetime) or bound.tzinfo is None


_ZONE_MARGIN_US: Final = 14 * 3_600 * 1_000_000
"""The largest offset of any zone from UTC."""


def check_range(since: Bound | None, until: Bound | None) -> None:
    """Raise FilterError if a range is reversed or empty."""
    faults = _reversed(FlowFilter(since=since, until=until))
    if faults:
        raise FilterError(faults)


def bound_text(bound: Bound | None) -> str:
    """Return a bound as text that can be typed."""
    return "" if bound is None else bound.isoformat().replace("+00:00", "Z")
