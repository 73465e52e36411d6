"""The results of checking balance chains."""

from liushui.ledger.migrations import create_table
from liushui.ledger.schema import BigInt, Money, Text, optional, required

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Nothing was checked yet: it is computed when it is needed."""
    create_table(
        "chain_segments",
        ("account", "subaccount", "currency", "since_us"),
        *required(Text, "account", "subaccount", "currency"),
        *required(BigInt, "since_us", "until_us"),
        *optional(Money, "known", "opening", "closing"),
        *required(Money, "unstated"),
        *required(BigInt, "stated", "reordered"),
        *optional(Text, "first", "last", "breaks"),
    )
    create_table("chain_heads", ("account",), *required(Text, "account"), *required(BigInt, "batch"))
