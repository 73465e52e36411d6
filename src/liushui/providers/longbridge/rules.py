"""Longbridge cash flow: what its documents state, as data. Marks of each number: MAPPING.md."""

from datetime import UTC, datetime, timedelta

from liushui.rules import Filter, PageNumber, Rate, Rules

RULES = Rules(
    paging=PageNumber(size_default=50, size_max=10_000),
    rate=Rate(calls=30, per=timedelta(seconds=30), spacing=timedelta(milliseconds=20)),
    resolution=timedelta(seconds=1),
    opening=datetime(2018, 1, 1, tzinfo=UTC),
    lookback=timedelta(hours=48),
    zone="Asia/Hong_Kong",
    timestamp_tolerance=timedelta(seconds=300),
    filters=(Filter("business_type", "business_type", ("1", "2", "3")), Filter("symbol", "symbol")),
)
