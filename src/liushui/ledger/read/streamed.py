"""Every flow of a filter by time over all accounts, streamed from one state of the ledger."""

from collections.abc import Iterator
from heapq import merge
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.ledger.engine import Ledger
from liushui.ledger.flow_row import to_flow
from liushui.ledger.read.balances import CHUNK, FlowFilter, LedgerFlow, accounts_named, restricted
from liushui.ledger.schema import flows


def stream_flows(ledger: Ledger, wanted: FlowFilter) -> Iterator[LedgerFlow]:
    """The flows, by time, account and id, the newest first where the filter says so; in memory that does not grow."""
    newest = wanted.newest_first
    with ledger.reading() as connection:
        chosen = [account.account for account in accounts_named(connection, wanted.accounts)]
        streams = [_of_account(connection, wanted._replace(accounts=(account,))) for account in chosen]
        for row in merge(*streams, key=lambda row: (row.at_us, row.account, row.id), reverse=newest):
            yield LedgerFlow(row.account, row.id, to_flow(row), row.batch)


def _of_account(connection: Connection, wanted: FlowFilter) -> Iterator[sa.Row[Any]]:
    f = flows.c
    order = (f.at_us.desc(), f.id.desc()) if wanted.newest_first else (f.at_us, f.id)
    query = restricted(sa.select(*flows.columns), flows, wanted).order_by(*order)
    streaming = {"stream_results": True, "max_row_buffer": CHUNK}
    with connection.execute(query, execution_options=streaming) as found:
        yield from found
