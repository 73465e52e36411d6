"""A client written only from the document, in a separate process, against `liushui serve` in another."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from liushui.instant import EPOCH
from liushui.ledger.access.keys import create_key
from liushui.ledger.write.commit import commit_slice, make_account
from liushui.provider import Slice
from liushui.providers.wooxpro import PROVIDER
from liushui.testing.empty_ledger import create_ledger
from liushui.testing.processes import serving
from tests.providers.wooxpro import independent
from tests.providers.wooxpro.caller import ms
from tests.providers.wooxpro.rows import TYPES, Row, of_type, row, wire

START_MS = 1662368173000
"""The start_time of the document's example."""
END_MS = 1662368179000


class Held(NamedTuple):
    """A ledger that is served, and two keys to it."""

    url: str
    key: str
    paced_key: str
    rows: list[Row]
    """Every row, oldest first."""


def made(now: datetime) -> list[Row]:
    """Rows inside the range of the document's example and around it, of every type and account, and some of today."""
    times = [START_MS - 1, START_MS, *range(START_MS + 1, END_MS, 5), END_MS, END_MS + 1]
    old = [
        of_type(
            1 + number % 5,
            time=str(time_ms),
            tran_id=str(number // 2),
            symbol="" if number % 5 == 0 else ("BTCUSDT", "ETHUSDT")[number % 2],
            account=("futures", "copy_trading")[number % 3 % 2],
            amount=f"-{number}.37500000",
        )
        for number, time_ms in enumerate(times)
    ]
    days = (8, 6, 5, 0)
    return old + [row(time=str(ms(now - timedelta(days=days_ago, minutes=1)))) for days_ago in days]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Held]:
    path = tmp_path_factory.mktemp("wooxpro") / "ledger.db"
    now = datetime.now(UTC)
    rows = made(now)
    ledger = create_ledger(str(path))
    make_account(ledger, "futures-1", PROVIDER.name, PROVIDER.rules.zone)
    received = [PROVIDER.codec.read(wire(one)) for one in rows]
    commit_slice(ledger, "futures-1", Slice(EPOCH, now), read_at=now, received=received)
    keys = [create_key(ledger, PROVIDER, ["futures-1"], paced=paced)["api_key"] for paced in (False, True)]
    ledger.close()
    with serving(path) as running:
        yield Held(running.url, keys[0], keys[1], rows)


def ask(served: Held, *calls: dict[str, object] | str, key: str | None = "", prefix: str = "") -> list[dict[str, Any]]:
    """Have the client make calls; a call that is text is the query of an address, as somebody printed it."""
    jobs = [
        [pair.split("=") for pair in one.split("&")] if isinstance(one, str) else [[k, str(v)] for k, v in one.items()]
        for one in calls
    ]
    done = subprocess.run(
        [sys.executable, independent.__file__],
        input=json.dumps({"url": served.url + prefix, "key": served.key if key == "" else key, "calls": jobs}),
        env=os.environ | {"TZ": "UTC"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers


def extract_rows(answer: dict[str, Any]) -> list[Row]:
    rows: list[Row] = answer["document"]["data"]
    return rows


def within(rows: list[Row], start_ms: int, end_ms: int) -> list[Row]:
    return [one for one in rows if start_ms <= int(one["time"]) <= end_ms]


def test_it_imports_nothing_of_ours() -> None:
    text = Path(independent.__file__).read_text(encoding="utf-8")
    modules = {line.split()[1].split(".")[0] for line in text.splitlines() if line.startswith(("import ", "from "))}
    assert modules <= sys.stdlib_module_names


@pytest.mark.parametrize("prefix", ["", "/dialect/wooxpro"])
def test_the_documents_request(served: Held, prefix: str) -> None:
    """document: `?symbol=BTCUSDT&start_time=1662368173000&end_time=1662368179000`, 默认100"""
    (answer,) = ask(served, f"symbol=BTCUSDT&start_time={START_MS}&end_time={END_MS}", prefix=prefix)
    inside = [one for one in within(served.rows, START_MS, END_MS) if one["symbol"] == "BTCUSDT"]
    assert extract_rows(answer) == inside[:100]
    assert len(inside) > 100


def test_every_row_arrives_when_each_page_begins_where_the_last_one_ended(served: Held) -> None:
    """document: 最大1000. No two rows here are of one millisecond, so the next page begins one after the last row."""
    start_ms, found = START_MS, list[Row]()
    for _ in range(10):
        (answer,) = ask(served, {"start_time": start_ms, "end_time": END_MS, "page_size": 1000})
        found += extract_rows(answer)
        if len(extract_rows(answer)) < 1000:
            break
        start_ms = int(found[-1]["time"]) + 1
    assert found == within(served.rows, START_MS, END_MS)
    assert len(found) > 1000


def test_each_filter_finds_its_rows(served: Held) -> None:
    """document: the parameters `flow_type` and `account`"""
    wanted: list[dict[str, object]] = [{"flow_type": code} for code in (0, *TYPES)]
    wanted += [{"account": account} for account in ("futures", "copy_trading")]
    wanted += [{"flow_type": 2, "account": "copy_trading", "symbol": "ETHUSDT"}]
    answers = ask(served, *({"start_time": 0, "page_size": 1000, **one} for one in wanted))
    for given, answer in zip(wanted, answers, strict=True):
        asked = {name: value for name, value in given.items() if value != 0}
        expected = [one for one in served.rows if asked.items() <= one.items()]
        assert extract_rows(answer) == expected[:1000]
        assert expected


def test_no_times_mean_the_last_seven_days(served: Held) -> None:
    """document: 只会返回最近7天的数据"""
    (answer,) = ask(served, {})
    assert extract_rows(answer) == served.rows[-3:]


def test_the_newest_rows_without_a_start(served: Held) -> None:
    (answer,) = ask(served, {"end_time": END_MS, "page_size": 5})
    assert extract_rows(answer) == within(served.rows, 0, END_MS)[-5:]


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"page_size": 1001}, (400, 40011)),
        ({"flow_type": 6}, (400, 40011)),
        ({"account": "spot"}, (400, 40011)),
        ({"symbol": "BTC USDT"}, (400, 40034)),
        ({"start_time": "2022-09-05"}, (400, 40039)),
        ({"start_time": 2, "end_time": 1}, (400, 40039)),
    ],
)
def test_errors(served: Held, given: dict[str, object], fault: tuple[int, int]) -> None:
    (answer,) = ask(served, given)
    assert (answer["status"], answer["document"]["code"]) == fault
    assert extract_rows(answer) == []


def test_keys(served: Held) -> None:
    for key, fault in ((None, (401, 30001)), ("0" * 40, (401, 30002))):
        (answer,) = ask(served, {}, key=key)
        assert (answer["status"], answer["document"]["code"]) == fault


def test_another_route_of_the_same_service(served: Held) -> None:
    (answer,) = ask(served, {}, prefix="/contract/private")
    assert (answer["status"], answer["document"]["code"]) == (404, 30000)


def test_the_rate(served: Held) -> None:
    """Seven calls at once: the headers count what is used, the seventh is refused."""
    answers = ask(served, *[{}] * 7, key=served.paced_key)
    assert [answer["document"]["code"] for answer in answers] == [1000] * 6 + [30013]
    assert [answer["headers"]["x-bm-ratelimit-remaining"] for answer in answers] == ["1", "2", "3", "4", "5", "6", "6"]
    assert {answer["headers"]["x-bm-ratelimit-limit"] for answer in answers} == {"6"}
