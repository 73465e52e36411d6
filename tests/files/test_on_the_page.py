"""Accounts from statement files look on the page like any other account."""

from pathlib import Path

from liushui.ledger.engine import open_ledger
from liushui.testing.file_formats import samples, samples_of
from tests.cli.commands import result
from tests.files.inputs import Desk
from tests.web.visitor import visiting


def test_the_pages_of_an_account_that_came_from_a_file(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    for name in ("kraken_csv", "camt053"):
        desk.reads(samples(samples_of(name))[0], account=name)
    ledger = open_ledger(str(desk.ledger))
    with visiting(ledger) as visitor:
        visitor.log_in()
        for path in ("/", "/accounts/kraken_csv", "/accounts/camt053", "/flows", "/reconcile?period=2026-01"):
            answer = visitor.get(path)
            assert answer.status_code == 200, (path, answer.status_code, answer.text[:300])
        assert "400.0900" in visitor.get("/flows?account=kraken_csv").text
    ledger.close()
    assert result(desk.ledger, "verify")
    assert [account["account"] for account in result(desk.ledger, "status")] == ["camt053", "kraken_csv"]
