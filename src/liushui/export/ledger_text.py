"""The journal of hledger and Ledger: both read the same file, with an exact assertion of each known balance.

Commodities are quoted unless they are letters only: without quotes, both read `100 700.HK` as 100700 of HK without an
error. There is no `commodity` directive. A directive with fewer digits than the data would make the check less strict.
"""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import islice
from typing import Final

from liushui.export.beancount import CACHED, CHUNK_ENTRIES, REPEATED, description, facts_of, repeated_of
from liushui.export.formats import ExportOptions
from liushui.export.journal import ID_PREFIX, Entry, Journal, Names
from liushui.export.selection import Selection, coverage_lines
from liushui.ledger.flow_row import COLUMNS
from liushui.money import to_plain_string

_LETTERS: Final = re.compile(r"[A-Za-z]+", re.ASCII)
_BAD_IN_COMMODITY: Final = re.compile(r'["\s\x00-\x1f\x7f;]')
_BAD_IN_ACCOUNT: Final = re.compile(r"  |[\t\n\r;\u3000\x00-\x1f]")
_UNSAFE: Final = re.compile(r"[;|\s\u3000\x00-\x1f\x7f]+")
"""Characters with a meaning in a description: `;` begins a comment, `|` splits payee and note."""
TEXT_BYTES: Final = 3_000
"""Most bytes of a text in UTF-8. Ledger refuses a file with a line of more than 4,096."""
_SHORT: Final = TEXT_BYTES // 4
"""Characters that always fit."""
_KEYS: Final = [f"{ID_PREFIX}{name}" for name in REPEATED]
_META: Final = ("quantity", "price", "ref", "order_ref", "balance_after")
"""Fields that become tags after those that many flows share."""
_FIELDS: Final = [
    (f"{ID_PREFIX}{name.replace('_', '-')}", COLUMNS.index(name), name not in ("ref", "order_ref")) for name in _META
]
"""The key of each, its index in a row, and whether it is a number."""
_ID: Final = COLUMNS.index("id")


def journal_parts(selection: Selection, options: ExportOptions) -> Iterator[bytes]:
    """A journal. Raises ConfigError if the map has no target."""
    journal = Journal(selection, options, Names(account_error, commodity))
    yield "\n".join([*_header(journal, selection), "", ""]).encode()
    described, repeated = lru_cache(CACHED)(_described), lru_cache(CACHED)(_tags)
    entries = (_entry(one, described, repeated) for one in journal.entries())
    while chunk := list(islice(entries, CHUNK_ENTRIES)):
        yield "".join(chunk).encode()
    yield "".join(_assertions(journal)).encode()


def _header(journal: Journal, selection: Selection) -> Iterator[str]:
    yield "; Written by liushui export."
    yield from (f"; {_safe(fact)}" for fact in (*coverage_lines(selection), *journal.notes))
    yield ""
    for one in journal.openings:
        account, name = one.target
        amount, contra = to_plain_string(one.amount), to_plain_string(one.amount.copy_negate())
        yield f"{one.day} * ({one.id}) Opening balance"
        yield f"    {account}  {amount} {written(name)}"
        yield f"    {journal.opening_account}  {contra} {written(name)}"
        yield ""


def _entry(one: Entry, described: Callable[..., str], repeated: Callable[..., str]) -> str:
    row, name = one.row, written(one.commodity)
    tags = "".join(
        [
            f"    ; {key}: {value if is_number else _tag(value)}\n"
            for key, index, is_number in _FIELDS
            if (value := row[index])
        ]
    )
    return (
        f"{one.day} * ({one.id}) {described(*facts_of(row))}\n"
        f"    ; {ID_PREFIX}id: {_tag(row[_ID])}\n    ; {ID_PREFIX}time: {one.time}\n"
        f"{repeated(*repeated_of(row))}{tags}"
        f"    {one.asset}  {one.amount} {name}\n    {one.counter}  {one.contra} {name}\n\n"
    )


def _described(*facts: str) -> str:
    return _safe(description(*facts))


def _tags(*values: str) -> str:
    return "".join(f"    ; {key}: {_tag(value)}\n" for key, value in zip(_KEYS, values, strict=True) if value)


def _assertions(journal: Journal) -> Iterator[str]:
    for one in journal.closings:
        account, name = one.target
        yield f"{one.day} * Closing balance\n    ; {ID_PREFIX}completeness: {one.completeness.value}\n"
        yield f"    {account}  0 {written(name)} = {to_plain_string(one.amount)} {written(name)}\n\n"


def _safe(text: str) -> str:
    """Return the text without characters that have a meaning in a journal, cut to the longest length."""
    return _cut(_UNSAFE.sub(" ", text).strip())


def _tag(text: str) -> str:
    """Return the value of a tag. A comma would end it."""
    return _cut(_UNSAFE.sub(" ", text).replace(",", " ").strip())


def _cut(text: str) -> str:
    if len(text) <= _SHORT or len(data := text.encode()) <= TEXT_BYTES:
        return text
    return f"{data[:TEXT_BYTES].decode(errors='ignore')}…"


# ---------------------------------------------------------------- names


def account_error(name: str) -> str:
    """Return what is wrong with an account's name; empty if it is valid."""
    if _BAD_IN_ACCOUNT.search(name) or name != name.strip():
        return "expected no tab, semicolon, wide space, or two spaces in a row"
    if not name or name[0] in "([*!@=" or any(not part for part in name.split(":")):
        return "expected a name such as Assets:Bank"
    return ""


def commodity(currency: str) -> str:
    """Return the commodity of a currency, without characters that are not allowed between quotes. Empty if no character
    is allowed."""
    return _BAD_IN_COMMODITY.sub("", currency)


@lru_cache(256)
def written(name: str) -> str:
    """Return a commodity as it is written in a journal."""
    return name if _LETTERS.fullmatch(name) else f'"{name}"'
