"""Beancount 3: opens, entries with links and metadata, and an exact assertion of each known balance.

The file's tolerance is zero and every leg has all its digits, so bean-check finds a difference even in the last digit.
Beancount calculates with 28 digits: longer amounts are refused.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from operator import itemgetter
from typing import Final

from babel.numbers import list_currencies

from liushui.export.changes import ADDED, CHANGE, CORRECTED, REVERSED
from liushui.export.formats import ExportOptions
from liushui.export.journal import ID_PREFIX, Entry, Journal, Names
from liushui.export.selection import Selection, StoredRow, coverage_lines
from liushui.instant import add_days
from liushui.ledger.flow_row import COLUMNS
from liushui.money import to_plain_string

DIGITS_MAX: Final = 28
CHUNK_ENTRIES: Final = 500

_ROOTS: Final = ("Assets", "Liabilities", "Equity", "Income", "Expenses")
_NOT_IN_CURRENCY: Final = re.compile(r"[^A-Z0-9'._-]")
_TOKENS: Final = ("TRUE", "FALSE", "NULL")
_SPACES: Final = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
REPEATED: Final = ("account", "subaccount", "kind", "symbol")
"""Fields of a flow that become metadata of its entry. Many flows have the same texts."""
_META: Final = ("quantity", "price", "ref", "order_ref", "balance_after", "fx_currency", "fx_amount")
"""Fields that become metadata after them."""
_KEYS: Final = [f"{ID_PREFIX}{name}" for name in REPEATED]
_FIELDS: Final = [(f"{ID_PREFIX}{name.replace('_', '-')}", COLUMNS.index(name)) for name in _META]
_ID: Final = COLUMNS.index("id")
CACHED: Final = 1_024
"""How many texts of entries are kept while a file is written."""
repeated_of: Final[Callable[[StoredRow], tuple[str, ...]]] = itemgetter(*map(COLUMNS.index, REPEATED))
_texts_of: Final[Callable[[StoredRow], tuple[str, ...]]] = itemgetter(
    *map(COLUMNS.index, ("label", "name", "note", "kind"))
)


def beancount_parts(selection: Selection, options: ExportOptions) -> Iterator[bytes]:
    """Write a Beancount file. Raises ConfigError if the map lacks a target, or if Beancount cannot hold a value."""
    journal = Journal(selection, options, Names(account_error, commodity, DIGITS_MAX))
    yield "\n".join([*_header(journal, selection), "", ""]).encode()
    described, repeated = lru_cache(CACHED)(_described), lru_cache(CACHED)(_metadata)
    entries = (_entry(one, described, repeated) for one in journal.entries())
    while chunk := list(islice(entries, CHUNK_ENTRIES)):
        yield "".join(chunk).encode()
    yield "".join(_assertions(journal)).encode()


def _header(journal: Journal, selection: Selection) -> Iterator[str]:
    yield "; Written by liushui export beancount."
    facts = list(coverage_lines(selection)) + journal.notes
    yield from (f"; {_one_line(fact)}" for fact in facts)
    yield from ("", 'option "tolerance_multiplier" "0"')
    if journal.begins_books:
        yield from (f'option "operating_currency" "{name}"' for name in _operating(journal.commodities))
    yield ""
    day, mark = journal.first_day.isoformat(), "" if journal.begins_books else "; "  # these accounts are already open
    yield from (f"{mark}{day} open {account}" for account in journal.accounts)
    yield ""
    yield f'{day} custom "{ID_PREFIX}coverage" "{selection.verdict.status.value}"'
    yield from (f"  line-{number}: {quoted(fact)}" for number, fact in enumerate(facts, 1))
    yield ""
    for one in journal.openings:
        account, name = one.target
        amount = to_plain_string(one.amount)
        yield f'{one.day} * "Opening balance" ^{ID_PREFIX}{one.id}'
        yield f"  {account}  {amount} {name}"
        yield f"  {journal.opening_account}  {to_plain_string(one.amount.copy_negate())} {name}"
        yield ""


def _operating(commodities: Sequence[str]) -> Sequence[str]:
    """Return the commodities in which Fava sums up: the national currencies, or else the first commodity. Fava needs at
    least one."""
    known = list_currencies()
    return [name for name in commodities if name in known] or commodities[:1]


def _entry(one: Entry, described: Callable[..., str], repeated: Callable[..., str]) -> str:
    row = one.row
    meta = "".join([f"  {key}: {quoted(value)}\n" for key, index in _FIELDS if (value := row[index])])
    return (
        f"{one.day} * {described(*facts_of(row))} ^{ID_PREFIX}{one.id}\n  {ID_PREFIX}id: {quoted(row[_ID])}\n"
        f'  {ID_PREFIX}time: "{one.time}"\n{repeated(*repeated_of(row))}{meta}'
        f"  {one.asset}  {one.amount} {one.commodity}\n  {one.counter}  {one.contra} {one.commodity}\n\n"
    )


def _described(*facts: str) -> str:
    return quoted(description(*facts))


def _metadata(*values: str) -> str:
    return "".join(f"  {key}: {quoted(value)}\n" for key, value in zip(_KEYS, values, strict=True) if value)


def _assertions(journal: Journal) -> Iterator[str]:
    """Beancount checks a balance assertion at the beginning of its day. Its date is therefore the day after the last
    day of the range."""
    for one in journal.closings:
        account, name = one.target
        day = add_days(one.day, 1)
        if day == one.day:
            yield f"; the calendar has no day on which to assert the balance of {account} in {name}\n"
            continue
        yield f"{day} balance {account}  {to_plain_string(one.amount)} ~ 0 {name}\n"
        yield f'  {ID_PREFIX}completeness: "{one.completeness.value}"\n'


def text_of(row: StoredRow) -> str:
    """Return the description of a flow in one line: label, name and note, or else its kind."""
    return description(*facts_of(row))


def facts_of(row: StoredRow) -> tuple[str, ...]:
    """Return the facts on which a flow's description depends."""
    return (row[CHANGE] if len(row) > CHANGE else ADDED, *_texts_of(row))


def description(change: str, label: str, name: str, note: str, kind: str) -> str:
    """Return the description of flows with these facts."""
    text = " · ".join(dict.fromkeys(filter(None, (label, name, note))))
    return f"{_CHANGES[change]}{_one_line(text) or kind}"


_CHANGES: Final = {ADDED: "", REVERSED: "Reversal: ", CORRECTED: "Correction: "}


def _one_line(text: str) -> str:
    return _SPACES.sub(" ", text).strip()


def quoted(text: str) -> str:
    """A Beancount string on one line."""
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"' if text.isprintable() else f'"{_SPACES.sub(" ", text)}"'


# ---------------------------------------------------------------- names


def account_error(name: str) -> str:
    """Return the fault of an account's name; empty if it is valid."""
    root, *parts = name.split(":")
    if root not in _ROOTS or not parts:
        return f"expected a name such as Assets:Bank, below one of {', '.join(_ROOTS)}"
    for number, part in enumerate(parts):
        first = part[:1]
        may_begin = first.isupper() or first.isdecimal() or (number > 0 and first.isalpha() and not first.islower())
        if not may_begin:
            return f"expected {part!r} to begin with a capital or a digit"
        if not all(char.isalpha() or char.isdecimal() or char == "-" for char in part):
            return f"expected letters, digits and '-' only in {part!r}"
    return ""


def commodity(currency: str) -> str:
    """The commodity of a currency: capitals, digits and `'._-`. Empty if no character of it is allowed."""
    name = _NOT_IN_CURRENCY.sub("", currency.upper()).lstrip("'._-").rstrip("'._-")
    if name[:1].isdecimal() or name in _TOKENS:
        name = f"X{name}"
    return name
