"""WOO X Pro futures transactions: what its document states, as data. Marks of each number: MAPPING.md."""

from datetime import UTC, datetime, timedelta

from liushui.rules import Filter, RangeOnly, Rate, Rules

RULES = Rules(
    paging=RangeOnly(size_default=100, size_max=1_000, partition_by=("account",), split_by=("flow_type", "symbol")),
    rate=Rate(calls=6, per=timedelta(seconds=2)),
    resolution=timedelta(milliseconds=1),
    history_start=datetime(2018, 1, 1, tzinfo=UTC),
    lookback=timedelta(hours=48),
    allowed_lateness=timedelta(seconds=10),
    zone="UTC",
    window_default=timedelta(days=7),
    filters=(
        Filter("flow_type", "flow_type", ("1", "2", "3", "4", "5")),
        Filter("account", "account", ("futures", "copy_trading")),
        Filter("symbol", "symbol"),
    ),
)

REFUSALS = Rate(calls=30, per=timedelta(seconds=60))
"""Refusals for the rate that a key may have before it is banned, and how long somebody who is banned had best wait."""
