"""End-of-day balances and their completeness are the same in every face."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from html import unescape

import pytest

from liushui.ledger.jobs.sources import add_source
from liushui.provider import Slice
from liushui.testing.clock import NOON
from tests.faces.faces import Faces, open_faces
from tests.ledger.ledgers import commit_read, new_ledger
from tests.web.ledgers import BEGIN, CREDENTIALS, row
from tests.web.test_overview import text_of

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faces]:
    """An account that lacks ten days."""
    ledger = new_ledger(tmp_path_factory.mktemp("daily"), "a")
    rows = [row(f"r{day}", day * DAY, f"{day}.50") for day in range(1, 40)]
    commit_read(ledger, Slice(BEGIN, BEGIN + 10 * DAY), *rows[:9], account="a", read_at=NOON)
    commit_read(ledger, Slice(BEGIN + 20 * DAY, NOON), *rows[19:], account="a", read_at=NOON)
    add_source(ledger, account="a", base_url="http://x", credentials=CREDENTIALS, since=BEGIN, paced=True)
    with open_faces(ledger) as faces:
        yield faces
    ledger.close()


def test_all_faces_give_the_same_balance_of_each_day(faces: Faces) -> None:
    code, rows = faces.run("balances", "a", "--daily")
    answer = faces.caller.get("/daily-balances")
    html = faces.visitor.get("/page/accounts/a/balance-history").text
    (found,) = re.findall(r'<script type="application/json" data-for="balance">(.*?)</script>', html, re.DOTALL)
    chart = json.loads(unescape(found))
    (series,) = answer["series"]
    assert (code, answer["complete"]) == (3, False)
    for name in ("day", "amount", "complete", "day_complete"):
        assert [row[name] for row in rows] == [day[name] for day in series["days"]], name
    assert [row["amount"] for row in rows] == [figure["exact"] for figure in chart["figures"]]
    assert rows[0]["day"] == chart["first"] == "2025-11-01"
    states = "".join("0" if one["complete"] else "1" if one["day_complete"] else "2" for one in rows)
    assert states == chart["states"]
    assert states.startswith("0" * 10 + "2" * 10 + "1")
    assert re.search(r"Gap Nov 11, 2025 – Nov 20, 2025 not read yet", text_of(html))
    assert re.search(r"Not complete Nov 21, 2025 – Jan 1, 2026 not read yet", text_of(html))
    assert {row["reason"] for row in rows if not row["complete"]} == {"not read yet"}


def test_a_part_of_the_days_is_given_by_its_ends(faces: Faces) -> None:
    _, rows = faces.run("balances", "a", "--daily", "--since", "2025-11-05", "--until", "2025-11-08")
    answer = faces.caller.get("/daily-balances", first_day="2025-11-05", last_day="2025-11-07")
    days = [day["day"] for day in answer["series"][0]["days"]]
    assert [row["day"] for row in rows] == days == ["2025-11-05", "2025-11-06", "2025-11-07"]
    assert answer["complete"] is True


@pytest.mark.parametrize("span", ["quarter", "year", "all", "nonsense"])
def test_the_chart_has_every_span_and_tells_of_the_others(faces: Faces, span: str) -> None:
    html = faces.visitor.get(f"/page/accounts/a/balance-history?currency=USD&span={span}").text
    assert "Figures by month" in html
    assert faces.visitor.get("/page/accounts/nobody/balance-history").status_code == 404


@pytest.mark.parametrize(
    ("params", "field"),
    [({"first_day": "1900-01-01"}, "first_day"), ({"first_day": "2025-11-02", "last_day": "2025-11-01"}, "last_day")],
    ids=["too-long", "reversed"],
)
def test_a_wrong_range_is_refused(faces: Faces, params: dict[str, str], field: str) -> None:
    answer = faces.caller.ask("GET", "/daily-balances", params=params)
    assert answer.status_code == 422
    assert field in answer.text


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--since", "2025-11-01"), "since: expected with --daily only"),
        (("--daily", "--at", "2025-11-01"), "at: expected without --daily"),
        (("--daily", "--since", "1900-01-01"), "since: expected at most 3,700 days"),
    ],
    ids=["since", "at", "too-long"],
)
def test_options_that_do_not_fit_are_refused(faces: Faces, words: tuple[str, ...], text: str) -> None:
    with pytest.raises(AssertionError, match=text):
        faces.run("balances", "a", *words)
