"""WOO X Pro futures transactions, the shapes on the wire: field names are theirs."""

import msgspec
from msgspec import UNSET, Raw, UnsetType

PATH = "/contract/private/transaction-history"


class Transaction(msgspec.Struct, kw_only=True, gc=False):
    """One row, as lenient as real input: the document's sample has no flow_type, and readers take time as a number."""

    symbol: str | None | UnsetType = UNSET
    flow_type: int | UnsetType = UNSET
    type: str
    amount: str
    asset: str
    account: str
    time: str | int
    tran_id: str


class Envelope(msgspec.Struct):
    """Every answer. `data` is a list, each row byte for byte; in errors it says nothing."""

    code: int
    message: str | None = None
    data: Raw = Raw(b"null")
    trace: str | None = None
