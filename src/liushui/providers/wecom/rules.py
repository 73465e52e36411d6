"""WeCom fund flow: what its document states, as data. Marks of each number: MAPPING.md."""

from datetime import datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from liushui.instant import to_utc
from liushui.rules import Cursor, Filter, PublishClock, Rate, Retention, Rules

ZONE: Final = "Asia/Shanghai"
FLOOR: Final = to_utc(datetime(2022, 12, 1, tzinfo=ZoneInfo(ZONE)))
WINDOW_MAX: Final = timedelta(days=31)

RULES: Final = Rules(
    paging=Cursor(size_default=100, size_max=200),
    rate=Rate(calls=600, per=timedelta(minutes=1)),
    resolution=timedelta(seconds=1),
    history_start=FLOOR,
    lookback=timedelta(hours=48),
    allowed_lateness=timedelta(minutes=15),
    zone=ZONE,
    filters=(Filter("mch_id", "mch_id"),),
    window_max=WINDOW_MAX,
    floor=FLOOR,
    retention=Retention(years=3, zone=ZONE),
    publish=PublishClock(at=time(11), zone=ZONE),
)

TOKEN_LIFE: Final = timedelta(seconds=7200)
TOKEN_RATE: Final = Rate(calls=600, per=timedelta(minutes=1))
"""Of gettoken alone. As high as that of the rows: clients renew a token in its last minute with each call they make."""
