"""`liushui link`: listing, showing and deciding links, and the refusals."""

import json
from pathlib import Path
from typing import Any

import pytest

from liushui.flow import Kind
from tests.cli.commands import run
from tests.ledger.ledgers import commit_read, hours, make_row, new_ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """A round sum that left `a` and may have arrived in `b`."""
    ledger = new_ledger(tmp_path, "a", "b")
    commit_read(ledger, hours(0, 9), make_row("left", 1, "-5000", kind=Kind.WITHDRAWAL))
    commit_read(ledger, hours(0, 9), make_row("arrived", 2, "5000"), account="b")
    ledger.close()
    return tmp_path / "ledger.db"


def links(ledger: Path, *words: str) -> list[dict[str, Any]]:
    """The links that are listed."""
    done = run(ledger, "link", "list", *words, "--format", "json")
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def test_links_are_listed_and_filtered(ledger: Path) -> None:
    (link,) = links(ledger)
    assert (link["kind"], link["state"], link["basis"], link["suggested"]) == ("transfer", "candidate", "amount", True)
    assert (link["account"], link["amount"], link["other_account"], link["other_amount"]) == ("a", "-5000", "b", "5000")
    assert links(ledger, "b", "--state", "candidate", "--kind", "transfer", "--since", "2024-03-01") == [link]
    for words in (["--state", "certain"], ["--kind", "fee"], ["--until", "2024-03-01"]):
        assert links(ledger, *words) == []
    for form in ("table", "jsonl", "csv"):
        assert link["link"] in run(ledger, "link", "list", "--format", form).stdout


def test_a_link_is_decided_shown_and_decided_again(ledger: Path) -> None:
    id_ = links(ledger)[0]["link"]
    done = run(ledger, "link", "confirm", id_, "--by", "li", "--reason", "on the [slip]")
    assert done.returncode == 0
    assert f"{id_} was confirmed by li at" in done.stderr
    again = run(ledger, "link", "reject", id_, "--by", "li")
    assert again.returncode == 2
    assert "was confirmed by li" in again.stderr
    assert run(ledger, "link", "reject", id_, "--by", "wang", "--replace", "--format", "json").returncode == 0
    shown = json.loads(run(ledger, "link", "show", id_, "--format", "json").stdout)
    assert shown["state"] == "rejected"
    assert [flow["id"] for flow in shown["flows"]] == ["left", "arrived"]
    assert [(one["decision"], one["reason"]) for one in shown["decisions"]] == [
        ("confirmed", "on the [slip]"),
        ("rejected", ""),
    ]
    assert "was rejected by wang" in run(ledger, "link", "show", id_).stdout
    assert links(ledger) == []
    assert run(ledger, "verify").returncode == 0


@pytest.mark.parametrize("command", ["show", "confirm", "reject"])
@pytest.mark.parametrize("id_", ["nothing", "20240301T010000-0123456789ab"])
def test_an_unknown_link_is_named(ledger: Path, command: str, id_: str) -> None:
    done = run(ledger, "link", command, id_)
    assert done.returncode == 2
    assert done.stderr == f"error: link: there is none named '{id_}': `liushui link list` prints the ids\n"


def test_a_reversed_range_is_refused(ledger: Path) -> None:
    done = run(ledger, "link", "list", "--since", "2024-03-02", "--until", "2024-03-01")
    assert done.returncode == 2
    assert "until" in done.stderr
