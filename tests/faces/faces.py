"""The faces of a ledger: each is asked in its own way, and all answers have one shape."""

import html
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

from liushui.cli.options import Settings
from liushui.ledger.engine import Ledger
from tests.api.callers import Caller, open_api
from tests.cli.commands import run
from tests.web.visitor import Visitor, visiting

Moved = tuple[int, Decimal, Decimal]
"""How many flows, what came in and what went out."""


class ShownBalance(NamedTuple):
    """A balance as a face shows it."""

    amount: Decimal
    flows: int
    is_complete: bool
    is_balance: bool
    check: str


@dataclass
class Faces:
    """The command line, the API and the page of one ledger."""

    ledger: Ledger
    caller: Caller
    visitor: Visitor

    def run(self, *words: str) -> tuple[int, Any]:
        """A command's exit code, and the JSON that it prints."""
        with patch.object(Settings, "open_ledger", lambda _settings, create=False: self.ledger):  # noqa: ARG005
            done = run(Path(self.ledger.name), *words, "--format", "json")
        assert done.returncode in (0, 3), done.stderr
        return done.returncode, json.loads(done.stdout)

    # ------------------------------------------------------------ balances

    def cli_balances(self, *words: str) -> tuple[bool, dict[tuple[str, str], ShownBalance]]:
        """Balances of the command line: whether the command calls them complete, and each of them."""
        code, rows = self.run("balances", *words)
        shown = {
            (row["account"], row["currency"]): ShownBalance(
                Decimal(row["amount"]), row["flows"], row["complete"], row["measure"] == "balance", row["check"]
            )
            for row in rows
        }
        assert all(row["proven"] == row["complete"] for row in rows)
        return code == 0, shown

    def api_balances(self, **params: str) -> tuple[bool, dict[tuple[str, str], ShownBalance]]:
        """The same of the API."""
        answer = self.caller.get("/balances", **params)
        assert answer["covered"] == answer["complete"]
        shown = {
            (row["account"], row["currency"]): ShownBalance(
                Decimal(row["amount"]), row["flows"], row["complete"], row["measure"] == "balance", row["check"]
            )
            for row in answer["balances"]
        }
        return answer["complete"], shown

    def page_balances(self, overview: str | None = None) -> dict[tuple[str, str], ShownBalance]:
        """The same of the overview page, which is fetched unless it is given."""
        text = self.visitor.get("/").text if overview is None else overview
        row = re.compile(
            r'<tr>\s*<th scope="row"><a href="/accounts/(?P<account>[^"]*)">.*?</a>'
            r'(?P<change>.*?)</th>\s*<td class="figure"[^>]*>(?P<amount>.*?)</td>\s*'
            r'<td class="figure"[^>]*><a href="/flows\?account=[^&]*&amp;currency=(?P<currency>[^"]*)">'
            r'(?P<flows>[\d,]+)</a></td>\s*<td class="whole"><span class="tag (?P<look>\w*)"'
            r'.*?<td class="whole"><span class="tag (?P<check>\w*)">',
            re.DOTALL,
        )
        return {
            (found["account"], found["currency"]): ShownBalance(
                _amount(found["amount"]),
                int(found["flows"].replace(",", "")),
                found["look"] == "good",
                not found["change"].strip(),
                _CHECKS[found["check"]],
            )
            for found in row.finditer(text)
        }

    # ------------------------------------------------------------ alarms

    def api_alarmed(self, kind: str) -> set[str]:
        """The accounts that have an alarm of a kind in the API."""
        answer = self.caller.get("/accounts")
        return {one["account"] for one in answer["accounts"] if kind in {alarm["kind"] for alarm in one["alarms"]}}

    def page_alarmed(self, name: str, overview: str) -> set[str]:
        """The accounts that have an alarm of a name on the overview page."""
        alarm = re.compile(
            r'<li>\s*<span class="tag \w*">(?P<name>[^<]*)</span>\s*<span class="alarm-account">(?P<account>[^<]*)<'
        )
        found = alarm.finditer(overview)
        return {one["account"] for one in found if one["name"] == name}

    # ------------------------------------------------------------ sums of a range of days

    def cli_summary(self, account: str, first: date, until: date) -> dict[tuple[str, str], Moved]:
        """What moved by currency and kind."""
        words = ("summary", account, "--by", "all", "--since", first.isoformat(), "--until", until.isoformat())
        _, rows = self.run(*words)
        return {
            (row["currency"], row["kind"]): (row["flows"], Decimal(row["money_in"]), Decimal(row["money_out"]))
            for row in rows
        }

    def api_summary(self, account: str, first: date, last: date) -> tuple[bool, dict[str, Moved]]:
        """What moved by currency, and whether all of it is known."""
        answer = self.caller.get(
            "/summary", account=account, period="all", first_day=first.isoformat(), last_day=last.isoformat()
        )
        shown = {
            row["currency"]: (row["flows"], Decimal(row["money_in"]), Decimal(row["money_out"]))
            for row in answer["rows"]
        }
        assert all(row["complete"] == row["covered"] for row in answer["rows"])
        return answer["complete"], shown

    def page_totals(self, query: str) -> dict[str, tuple[int, Decimal, Decimal, bool]]:
        """What moved by currency, and whether all of it is known."""
        text = self.visitor.get(f"/page/flows/totals?{query}").text
        row = re.compile(
            r'<th scope="row">(?P<currency>\w+)</th>\s*<td class="figure"[^>]*>(?P<flows>[\d,]+)</td>\s*'
            r'<td class="figure"[^>]*>(?P<into>.*?)</td>\s*<td class="figure"[^>]*>(?P<out>.*?)</td>\s*'
            r'<td class="figure"[^>]*>.*?</td>\s*<td class="whole"><span class="tag (?P<look>\w*)"',
            re.DOTALL,
        )
        return {
            found["currency"]: (
                int(found["flows"].replace(",", "")),
                _amount(found["into"]),
                _amount(found["out"]),
                found["look"] == "good",
            )
            for found in row.finditer(text)
        }

    # ------------------------------------------------------------ flows

    def cli_flows(self, *words: str) -> tuple[bool, list[str]]:
        """Whether the command calls its flows complete, and their ids."""
        code, rows = self.run("flows", *words)
        return code == 0, sorted(row["id"] for row in rows)

    def api_flows(self, **params: str) -> tuple[bool, list[str]]:
        """The same of the API, over all pages."""
        ids, cursor = [], None
        while True:
            page = self.caller.get("/flows", **params, limit=7, **({"cursor": cursor} if cursor else {}))
            ids += [flow["id"] for flow in page["flows"]]
            cursor = page["next"]
            if cursor is None:
                return page["complete"], sorted(ids)

    def page_flows(self, query: str) -> list[str]:
        """The ids of a download."""
        text = self.visitor.get(f"/flows/download.jsonl?{query}").text
        return sorted(json.loads(line)["id"] for line in text.splitlines())


_CHECKS = {"good": "pass", "bad": "fail", "": "could_not_check"}
"""The verdicts on balances, by their looks on the page."""


def _amount(text: str) -> Decimal:
    """An amount as a page writes it."""
    plain = html.unescape(re.sub(r"<[^>]*>", "", text)).strip()
    return Decimal(plain.replace(",", "").replace("\u2212", "-").replace("+", "").replace("\u2007", "").strip())


@contextmanager
def open_faces(ledger: Ledger) -> Iterator[Faces]:
    """The faces of a ledger."""
    with open_api(ledger) as api, visiting(ledger) as visitor:
        visitor.log_in()
        yield Faces(ledger, api.caller(), visitor)
