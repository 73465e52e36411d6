"""The bare loop: what a developer writes in an afternoon to copy an account into SQLite. No proof, no chain, no totals.

`python -m bench.peers.bare URL CREDENTIALS.json DATABASE SINCE UNTIL` reads the whole range page after page, newest
first, until a page is empty, and prints the number of rows.
"""

import json
import sys
import time
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import httpx2
import msgspec

from bench.peers.table import CashFlow, create, insert
from liushui.providers._longbridge.wire import sign, signature_header

PATH: Final = "/v1/asset/cashflow"
SIZE: Final = 10_000
PAGES_MAX: Final = 100_000


class _Data(msgspec.Struct):
    list: list[CashFlow]


class _Envelope(msgspec.Struct):
    code: int
    data: _Data


def collect(base_url: str, credentials: dict[str, str], file: Path, since: int, until: int) -> int:
    """Copy a range into a new database and return the number of rows. Both ends are inclusive Unix seconds."""
    database = create(file)
    decoder = msgspec.json.Decoder(_Envelope)
    rows = 0
    with httpx2.Client(base_url=base_url, timeout=30.0) as http:
        for page in range(1, PAGES_MAX):
            query = urlencode({"start_time": since, "end_time": until, "page": page, "size": SIZE})
            answer = http.get(f"{PATH}?{query}", headers=_signed(credentials, query))
            answer.raise_for_status()
            flows = decoder.decode(answer.content).data.list
            if not flows:
                break
            insert(database, [flow.values() for flow in flows])
            rows += len(flows)
    database.close()
    return rows


def _signed(credentials: dict[str, str], query: str) -> dict[str, str]:
    headers = {
        "x-api-key": credentials["app_key"],
        "authorization": credentials["access_token"],
        "x-timestamp": str(int(time.time())),
    }
    signature = sign(secret=credentials["app_secret"], method="GET", path=PATH, query=query, headers=headers)
    return {**headers, "x-api-signature": signature_header(signature), "accept-language": "zh-HK"}


if __name__ == "__main__":
    url, key, target, begin, end = sys.argv[1:]
    count = collect(url, json.loads(Path(key).read_bytes()), Path(target), int(begin), int(end))
    sys.stdout.write(json.dumps({"rows": count}) + "\n")
