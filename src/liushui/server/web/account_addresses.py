"""The addresses of the pages of an account, of its months and of its flows, and the flows around a break."""

from urllib.parse import quote, urlencode

from liushui.instant import to_us
from liushui.ledger.read.breaks import LedgerBreak
from liushui.ledger.read.cursors import flow_key
from liushui.ledger.read.flows import LedgerFlow


def account_address(account: str, part: str = "") -> str:
    """The address of an account's page, or of a part of it."""
    return f"/accounts/{quote(account, safe='')}" + (f"#{part}" if part else "")


def month_address(account: str, month: str) -> str:
    """The address of the proof of cash of an account's month."""
    return f"/reconcile/{quote(account, safe='')}/{month}"


def statement_address(account: str, month: str) -> str:
    """The address of the statement of an account's month."""
    return f"{account_address(account)}/statement/{month}"


def row_address(flow: LedgerFlow) -> str:
    """The address of the flows page that shows a flow among the other flows of its balance chain."""
    chain = {"account": flow.account, "subaccount": flow.flow.subaccount, "currency": flow.flow.currency}
    key = flow_key(flow.account, to_us(flow.flow.at), flow.id)
    return f"/flows?{urlencode({**{name: value for name, value in chain.items() if value}, 'row': key})}"


def flows_beside(one: LedgerBreak) -> list[LedgerFlow]:
    """The flows before and after a break that are not suspected themselves."""
    return [flow for flow in (one.before, one.after) if flow is not None and flow not in one.rows]
