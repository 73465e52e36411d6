"""A ledger of one WeCom account, with rows that can be read today, as received from the provider."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

from liushui.instant import system_clock, to_us
from liushui.ledger.access.keys import create_key, revoke_key
from liushui.ledger.engine import open_ledger
from liushui.ledger.write.commit import commit_slice, make_account
from liushui.provider import NO_VALUES, Key, Slice
from liushui.providers.wecom import PROVIDER
from liushui.providers.wecom.codec import FEN_MAX
from liushui.providers.wecom.rules import RULES, TOKEN_LIFE
from liushui.providers.wecom.server import make_token
from liushui.testing.empty_ledger import create_ledger
from tests.providers.wecom.rows import Row, row, wire

ACCOUNT: Final = "shop-1"
DAYS: Final = 20
ROWS: Final = 450
MERCHANTS: Final = ("1600000001", "1600000002", "1600000003")
OPERATORS: Final = ("ZhangSan", "LiSi", None, "WangWu")

ODD_REMARKS: Final = dict(enumerate(("", "\U0001f600", "\u2028\u202e", "\ufffe", "a\tb\nc\x7f", "x" * 10_000)))

Rows = Counter[str]
"""Rows as a multiset."""


class Shop(NamedTuple):
    """The ledger, and what is in it."""

    path: Path
    begin_time: int
    end_time: int
    rows: list[Row]
    """Oldest first."""

    def key(self, *, paced: bool = False, restrictions: Mapping[str, str] = NO_VALUES) -> dict[str, str]:
        """The credentials of a new key."""
        ledger = open_ledger(str(self.path))
        try:
            return create_key(ledger, PROVIDER, [ACCOUNT], paced=paced, restrictions=restrictions)
        finally:
            ledger.close()

    def revoke(self, credentials: Mapping[str, str]) -> None:
        """End a key."""
        ledger = open_ledger(str(self.path))
        try:
            revoke_key(ledger, credentials["corpid"])
        finally:
            ledger.close()


def open_shop(path: Path) -> Shop:
    """Make the ledger: its rows end with the last day that is out, several of them in each second."""
    end = RULES.readable(system_clock())[1]
    asked = Slice(end - timedelta(days=DAYS), end)
    begin_s, span_s = to_us(asked.since) // 1_000_000, DAYS * 86_400
    made = [
        row(
            timestamp=begin_s + number // 3 * 3 * span_s // ROWS,
            request_no=f"5000000001{number:06}",
            transaction_type=1 + number % 6,
            fund_flow_type=1 + number % 2,
            transaction_amount=FEN_MAX - number if number % 50 == 0 else number * 37,
            account_balance=number - FEN_MAX if number % 50 == 1 else 10**9 + number,
            mch_id=MERCHANTS[number % 7 % len(MERCHANTS)],
            operator_userid=OPERATORS[number // 5 % len(OPERATORS)],
            remark=ODD_REMARKS.get(number, f"第{number}笔"),
        )
        for number in range(ROWS)
    ]
    ledger = create_ledger(str(path))
    try:
        make_account(ledger, ACCOUNT, PROVIDER.name, PROVIDER.rules.zone)
        received = [PROVIDER.codec.read(wire(values)) for values in made]
        commit_slice(ledger, ACCOUNT, asked, read_at=system_clock(), received=received)
    finally:
        ledger.close()
    return Shop(path, begin_s, begin_s + span_s - 1, made)


def expired_token(credentials: Mapping[str, str]) -> str:
    """A token that the server gave to these credentials two hours ago."""
    key = Key(credentials["corpid"], PROVIDER.name, (ACCOUNT,), credentials)
    return make_token(key, to_us(system_clock() - TOKEN_LIFE))


def told(rows: Iterable[Mapping[str, Any]]) -> Rows:
    """Rows as a client gave them, as a multiset."""
    return Counter(json.dumps(found, sort_keys=True) for found in rows)
