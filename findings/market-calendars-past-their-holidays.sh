#!/usr/bin/env bash
# pandas_market_calendars 5.5.0 with exchange_calendars 4.13.2: the calendar "XSHG" (Shanghai), a mirror of the one in
# exchange_calendars, has every weekday of 2027 as a trading day. The original refuses that year.
#
# Guessed: the mirror raises the error of the original, or leaves out at least the holidays that are known: Shanghai is
# closed around the Spring Festival (6 February 2027) and in the first week of October.
# Seen: exchange_calendars records Shanghai's holidays to 2026 and says so in a ValueError. The mirror takes the rules
# without that bound: 261 trading days in 2027, and no warning. "SSE", the package's own calendar of the same exchange,
# has 246 days for that year. So do not count settlement days with a mirror beyond the last session of the original.
#
# Output:
#   exchange_calendars XSHG to 2027: The XSHG holidays are only recorded to the year 2026, ...
#   pandas_market_calendars XSHG: 243 days in 2025, 261 days in 2027, open on 8 February 2027: True
#   pandas_market_calendars SSE: 243 days in 2025, 246 days in 2027, open on 8 February 2027: False
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  pandas_market_calendars==5.5.0 exchange_calendars==4.13.2 pandas==3.1.1
cat > "$folder/run.py" <<'PY'
import exchange_calendars
import pandas_market_calendars

try:
    exchange_calendars.get_calendar("XSHG", end="2027-12-31")
except ValueError as error:
    print("exchange_calendars XSHG to 2027:", str(error).partition(", ")[0] + ", ...")
for name in ("XSHG", "SSE"):
    calendar = pandas_market_calendars.get_calendar(name)
    years = [len(calendar.schedule(f"{year}-01-01", f"{year}-12-31")) for year in (2025, 2027)]
    is_open = len(calendar.schedule("2027-02-08", "2027-02-08")) == 1
    print(
        f"pandas_market_calendars {name}: {years[0]} days in 2025, {years[1]} days in 2027, "
        f"open on 8 February 2027: {is_open}"
    )
PY
"$folder/venv/bin/python" "$folder/run.py" | tee "$folder/seen"
sed -n 's/^#   //p' "$0" | diff - "$folder/seen"
