"""No row breaks a page or a total: times at both ends of the possible range, any amount, texts of any length."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeAlias
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from litestar.routes import HTTPRoute

from liushui.cli import EXIT_INCOMPLETE
from liushui.flow import Direction, Kind
from liushui.instant import MAX_INSTANT, MIN_INSTANT, to_us
from liushui.ledger.read.cursors import flow_key
from liushui.provider import DecodedRow, Slice
from liushui.testing.clock import NOON
from tests.api.callers import open_api
from tests.cli.commands import run
from tests.ledger.ledgers import commit_read, make_row, new_ledger
from tests.web.visitor import visiting

ZONES: Final = ("UTC", "Asia/Shanghai", "Pacific/Kiritimati", "Pacific/Pago_Pago")
SECOND: Final = timedelta(seconds=1)
AMOUNTS: Final = ("0", "-0.00", "9" * 100, "-" + "9" * 99, "0." + "0" * 97 + "1", "1.00", "-7.5")
TIMES: Final = st.one_of(
    st.sampled_from(
        [MIN_INSTANT, MAX_INSTANT, MAX_INSTANT.replace(microsecond=0), datetime(9999, 12, 1, tzinfo=UTC), NOON]
    ),
    st.datetimes(timezones=st.just(UTC)),
)
Facts: TypeAlias = tuple[datetime, str, str, Kind, Direction, str]
ROWS: Final = st.lists(
    st.tuples(
        TIMES,
        st.sampled_from(AMOUNTS),
        st.sampled_from(["USD", "HKD", "x" * 100]),
        st.sampled_from(list(Kind)),
        st.sampled_from(list(Direction)),
        st.sampled_from(["", "Buy", "\x00\x1b", "長" * 1_000_000]),
    ),
    min_size=1,
    max_size=3,
)


def rows_of(facts: list[Facts]) -> list[DecodedRow]:
    """Rows of the drawn facts."""
    return [
        make_row(f"r{number}", at, amount, currency=currency, kind=kind, direction=direction, label=label)
        for number, (at, amount, currency, kind, direction, label) in enumerate(facts)
    ]


def queries(rows: list[DecodedRow]) -> list[str]:
    """What a reader may ask about rows: nothing, one of them, a time at which one is, a range around one."""
    asked = [
        {},
        {"account": "a"},
        {"at": "9999-12-31"},
        {"at": "0001-01-01"},
        {"since": "0001-01-01"},
        {"until": "9999-12-31"},
    ]
    for row in rows:
        asked += [{"key": flow_key("a", to_us(row.flow.at), row.flow.identity)}, {"at": f"{row.flow.at:%Y-%m-%d}"}]
    return [urlencode(query) for query in asked]


def paths_of(routes: list[object]) -> list[str]:
    """The paths of a site's GET routes, with the account's name where they take a name."""
    paths = {
        "/".join("a" if part.startswith("{") else part for part in route.path_format.split("/"))
        for route in routes
        if isinstance(route, HTTPRoute) and "GET" in route.methods
    }
    return sorted(path for path in paths if not path.startswith(("/static", "/api/v1/docs/", "/api/v1/events")))


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(facts=ROWS, zone=st.sampled_from(ZONES), data=st.data())
def test_no_row_takes_a_page_or_a_total_down(facts: list[Facts], zone: str, data: st.DataObject) -> None:
    rows = rows_of(facts)
    asked = st.sampled_from(queries(rows))
    with TemporaryDirectory() as folder:
        ledger = new_ledger(Path(folder), "a", zone=zone)
        commit_read(ledger, Slice(MIN_INSTANT, MAX_INSTANT), *rows, read_at=NOON)
        failed = []
        with visiting(ledger) as visitor, open_api(ledger) as api:
            visitor.log_in()
            caller = api.caller()
            for path in paths_of(visitor.client.app.routes):
                for query in ("", data.draw(asked)):
                    address = f"{path}?{query}"
                    answer = caller.ask("GET", address) if path.startswith("/api") else visitor.get(address)
                    if answer.status_code >= 500:
                        failed.append((address, answer.text[-300:]))
        ledger.close()
    assert not failed


ENDS: Final[tuple[Facts, ...]] = (
    (MIN_INSTANT, "9" * 100, "USD", Kind.TRADE, Direction.IN, "Buy"),
    (MAX_INSTANT.replace(microsecond=0), "-0.00", "HKD", Kind.FEE, Direction.OUT, ""),
)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(
    "words",
    [
        ["flows", "--limit", "0"],
        ["flows", "--until", "9999-12-31"],
        ["balances"],
        ["balances", "--at", "0001-01-01"],
        ["balances", "--at", "9999-12-31"],
        ["summary", "--by", "week"],
        ["summary", "--by", "year"],
        ["status"],
        ["coverage"],
    ],
    ids=" ".join,
)
def test_no_row_takes_a_command_down(tmp_path: Path, words: list[str], zone: str) -> None:
    ledger = new_ledger(tmp_path, "a", zone=zone)
    commit_read(ledger, Slice(MIN_INSTANT, MAX_INSTANT), *rows_of(list(ENDS)), read_at=NOON)
    ledger.close()
    for form in ("table", "json"):
        done = run(tmp_path / "ledger.db", *words, "--format", form)
        assert done.returncode in (0, EXIT_INCOMPLETE), done.stderr
