"""Leases: which process works at an account now. They save double work; what is right never depends on them."""

import os
import socket
from contextlib import suppress
from datetime import datetime, timedelta
from secrets import token_hex
from typing import Final, NamedTuple

import sqlalchemy as sa

from liushui.instant import from_us, to_us
from liushui.ledger.engine import Ledger
from liushui.ledger.engines.sql_dialects import insert_new, upsert
from liushui.ledger.schema import leases

MACHINE: Final = socket.gethostname()


class Lease(NamedTuple):
    """An account is `holder`'s until an instant, unless its holder is dead."""

    account: str
    holder: str
    until: datetime


def new_holder() -> str:
    """A name for whoever works: machine, process, and something that no other has."""
    return f"{MACHINE}/{os.getpid()}/{token_hex(4)}"


def take_lease(ledger: Ledger, account: str, holder: str, life: timedelta) -> Lease:
    """Take or renew an account's lease: that of `holder` where it was free, its own, or over. Else the other's.

    It is over when its time is, when its process on this machine is gone, or when it lasts longer than any is given
    for: then a clock was set back. One transaction.
    """
    with ledger.writing() as connection:
        now = ledger.clock()
        taken = Lease(account, holder, now + life)
        values = {"account": account, "holder": taken.holder, "until_us": to_us(taken.until)}
        if insert_new(connection, leases, values):
            return taken
        held = sa.select(leases).where(leases.c.account == account).with_for_update()
        found = connection.execute(held).first()
        if found is not None and found.holder != holder:
            known = Lease(account, found.holder, from_us(found.until_us))
            if now < known.until <= now + 2 * life and not is_gone(known.holder):
                return known
        upsert(connection, leases, values)
        return taken


def release_lease(ledger: Ledger, account: str, holder: str) -> None:
    """Give an account's lease back; nothing happens where it is another's by now."""
    with ledger.writing() as connection:
        connection.execute(leases.delete().where(leases.c.account == account, leases.c.holder == holder))


def list_leases(ledger: Ledger) -> list[Lease]:
    """Every lease, by account."""
    with ledger.reading() as connection:
        found = connection.execute(sa.select(leases).order_by(leases.c.account)).all()
    return [Lease(row.account, row.holder, from_us(row.until_us)) for row in found]


def is_gone(holder: str) -> bool:
    """Whether a holder was a process of this machine that is no more."""
    machine, _, rest = holder.rpartition("/")[0].rpartition("/")
    if machine != MACHINE or not rest.isdecimal():
        return False
    with suppress(PermissionError):  # there is one, of another user
        try:
            os.kill(int(rest), 0)
        except (ProcessLookupError, OverflowError):
            return True
    return False
