"""Trying the quarantine again: entries that can be read now become flows, in one commit an account."""

from dataclasses import dataclass

from sqlalchemy.engine import Connection

from liushui.instant import to_us
from liushui.ledger.change import RETRIED, Change
from liushui.ledger.commit import commit_change
from liushui.ledger.engine import Ledger
from liushui.ledger.exchange import Exchange, change_of
from liushui.ledger.quarantine import READ as READ_NOW
from liushui.ledger.quarantine import Entry, Settlement, open_entries
from liushui.ledger.rows import read_rows
from liushui.ledger.spans import has
from liushui.provider import Codec, Received


@dataclass
class Retried:
    """What became of an account's open entries. `outside`: they can be read, and have a time they cannot be of."""

    account: str
    tried: int = 0
    read: int = 0
    unreadable: int = 0
    outside: int = 0


def retry(ledger: Ledger, account: str, codec: Codec) -> Retried:
    """Read every open entry with the codec. What can be read becomes flows, and its entries are resolved.

    A row whose time is outside the span that it was seen in stays where it is: a slice with it would be refused, too.
    """
    retried = Retried(account)

    def plan(connection: Connection, batch: int) -> Change:
        settlement = Settlement()
        exchanges = []
        for entry in open_entries(connection, account):
            retried.tried += 1
            received = _read(codec, entry, retried)
            if received is not None:
                retried.read += 1
                settlement.end(entry, READ_NOW)
                exchanges.append(Exchange(None, received))
        change = change_of(connection, account, exchanges, batch)
        change.settle(settlement)
        return change

    commit_change(ledger, account, RETRIED, plan)
    return retried


def _read(codec: Codec, entry: Entry, retried: Retried) -> Received | None:
    received, _ = read_rows(codec, [entry.wire])
    if not received:
        retried.unreadable += 1
        return None
    if not has(entry.span, to_us(received[0].flow.at)):
        retried.outside += 1
        return None
    return received[0]
