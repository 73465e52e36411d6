"""HK and US securities, cash transactions: what the document states, as data. Marks of each number: MAPPING.md."""

from datetime import UTC, datetime, timedelta

from liushui.rules import Filter, PageNumber, Rate, Rules

RULES = Rules(
    paging=PageNumber(size_default=20, size_max=100, has_total=True),
    rate=Rate(calls=10, per=timedelta(seconds=1)),
    resolution=timedelta(seconds=1),
    history_start=datetime(2010, 1, 1, tzinfo=UTC),
    lookback=timedelta(hours=72),
    allowed_lateness=timedelta(seconds=10),
    zone="Asia/Hong_Kong",
    clock_skew_max=timedelta(seconds=60),
    filters=(
        Filter("business_type", "business_type"),
        Filter("business_types", "business_type"),
        Filter("io_type", "io_type", ("in", "out")),
    ),
)
