"""One digest of a ledger's content, regardless of its origin: equal flows have equal digests, even if chains differ."""

from hashlib import sha256

import msgspec
import sqlalchemy as sa

from liushui.ledger.engine import Ledger
from liushui.ledger.engines.base import STREAMED
from liushui.ledger.flow_row import COLUMNS, FACTS_END
from liushui.ledger.schema import flows

CHUNK = 1_000
_encode = msgspec.json.Encoder().encode_lines


def flows_digest(ledger: Ledger, accounts: tuple[str, ...] = ()) -> str:
    """SHA-256 over the current flows of some accounts (all of them), in the order of their keys, in hex.

    Left out are the label, which is in whatever language it was asked for, the bytes of the row, and the batch.
    """
    columns = [flows.c[name] for name in COLUMNS[:FACTS_END] if name != "label"]
    query = sa.select(*columns).order_by(flows.c.account, flows.c.at_us, flows.c.id)
    if accounts:
        query = query.where(flows.c.account.in_(accounts))
    digest = sha256()
    with ledger.reading() as connection:
        found = connection.execute(query, execution_options=STREAMED)
        for chunk in found.partitions(CHUNK):
            digest.update(_encode([tuple(row) for row in chunk]))
    return digest.hexdigest()
