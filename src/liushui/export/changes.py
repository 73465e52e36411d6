"""The changes since an earlier export: new flows, reversals of ended versions, and their corrections.

The target's books may be closed, so an exported entry is never changed there. A restated flow becomes a reversal and a
correction, and a withdrawn flow becomes a reversal. A state file records where the earlier export ended, with the links
of the accounts' chains, so that a state file of another ledger is recognised.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.errors import ConfigError
from liushui.ledger.engines.base import STREAMED, Queries, queries_of
from liushui.ledger.flow_row import COLUMNS
from liushui.ledger.names import current_names
from liushui.ledger.read.accounts import list_heads
from liushui.ledger.read.filters import AccountFilter
from liushui.ledger.schema import batches, flows, history
from liushui.ledger.tombstones import erased_until

ADDED, REVERSED, CORRECTED = "added", "reversed", "corrected"
"""The origins of a row in an export of changes. REVERSED: an earlier row with the opposite sign. CORRECTED: the row
that replaces a reversed one."""

CHANGE, RECORDED_US = len(COLUMNS), len(COLUMNS) + 1
"""The two columns after those of schema.flows: the origin of the row, and when the ledger recorded it."""

MARK: Final = "#"
"""Separates a flow's id from the batch of its correction or, after a minus, from the batch of the reversed version."""

_ID, _AMOUNT, _FX_AMOUNT, _BALANCE, _BATCH = (
    COLUMNS.index(name) for name in ("id", "amount", "fx_amount", "balance_after", "batch")
)


class Position(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The end of an account's earlier export: the batch, and its link."""

    batch: int
    link: str


class ExportState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The state of an export in its state file. `selection` has the options that have to stay the same."""

    selection: dict[str, str]
    accounts: dict[str, Position]


def read_state(content: bytes) -> ExportState:
    """The state in a file. Raises ConfigError."""
    try:
        return msgspec.json.decode(content, type=ExportState)
    except msgspec.MsgspecError as error:
        raise ConfigError(f"incremental: expected the state file of an export, got another file: {error}") from None


def positions_of(queries: Queries, names: list[str]) -> dict[str, Position]:
    """Return the current heads of these accounts' chains."""
    return {head.account: Position(head.batch, head.link) for head in list_heads(queries, names)}


def check_state(connection: Connection, state: ExportState, selection: Mapping[str, str]) -> dict[str, int]:
    """Return the batch up to which each account was exported. Raises ConfigError for a state with other options or of
    another ledger."""
    changed = [name for name in selection if state.selection.get(name) != selection[name]]
    if changed or len(selection) != len(state.selection):
        names = ", ".join(changed) or "the options"
        raise ConfigError(f"incremental: expected the options of the exports before, got another {names}")
    renamed = current_names(queries_of(connection))
    for account, position in state.accounts.items():
        if account in renamed:
            raise ConfigError(
                f"incremental: account {account} was renamed to {renamed[account]}, and the books have its rows under "
                "the earlier name. Give it the new name in the state file, too, and map the new name to the same "
                "account of the books"
            )
        link = connection.scalar(
            sa.select(batches.c.link).where(batches.c.account == account, batches.c.seq == position.batch)
        )
        if position.batch and (link != position.link or position.batch < erased_until(connection, account)):
            raise ConfigError(
                f"incremental: the ledger no longer has account {account} as it was exported: it is another ledger, or "
                "an older copy. Begin again with a new state file"
            )
    return {account: position.batch for account, position in state.accounts.items()}


def changed_rows(connection: Connection, part: AccountFilter, after: int) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of one account that changed after a batch: reversals first, then new rows.

    Each has the columns of schema.flows, then CHANGE and RECORDED_US.
    """
    h, f, b = history.c, flows.c, batches.c
    account = part.account.account
    ended = part.apply(sa.select(*(h[name] for name in COLUMNS), b.recorded_at_us), history)
    ended = ended.join_from(history, batches, sa.and_(b.account == h.account, b.seq == h.ended_batch))
    ended = ended.where(h.batch <= after, h.ended_batch > after).order_by(h.at_us, h.id, h.batch)
    for row in connection.execute(ended, execution_options=STREAMED):
        yield _reversal(row)
    earlier = sa.select(h.id).where(h.account == account, h.batch <= after)
    new = part.apply(sa.select(*flows.columns, b.recorded_at_us, f.id.in_(earlier)), flows)
    new = new.join_from(flows, batches, sa.and_(b.account == f.account, b.seq == f.batch))
    new = new.where(f.batch > after).order_by(f.at_us, f.id)
    for new_row in connection.execute(new, execution_options=STREAMED):
        cells: list[Any]
        *cells, recorded_us, is_correction = new_row
        if is_correction:
            cells[_ID] = f"{cells[_ID]}{MARK}{cells[_BATCH]}"
        yield *cells, CORRECTED if is_correction else ADDED, recorded_us


def _reversal(row: sa.Row[Any]) -> tuple[Any, ...]:
    cells: list[Any]
    *cells, recorded_us = row
    cells[_ID] = f"{cells[_ID]}{MARK}-{cells[_BATCH]}"
    cells[_AMOUNT] = negated(cells[_AMOUNT])
    cells[_FX_AMOUNT] = None if cells[_FX_AMOUNT] is None else negated(cells[_FX_AMOUNT])
    cells[_BALANCE] = None  # the balance is the one after the flow, not after its reversal
    return *cells, REVERSED, recorded_us


def reversed_keys(connection: Connection, part: AccountFilter, after: int) -> set[tuple[str, str, str]]:
    """Return the subaccounts, currencies and kinds of the rows that are reversed after a batch."""
    h = history.c
    query = part.apply(sa.select(h.subaccount, h.currency, h.kind).distinct(), history)
    rows = connection.execute(query.where(h.batch <= after, h.ended_batch > after))
    return {(row.subaccount, row.currency, row.kind) for row in rows}


def negated(amount: str) -> str:
    """An amount's text with the other sign and the same digits."""
    return amount[1:] if amount[0] == "-" else f"-{amount}"
