"""Balances that people state: listed with their checks, stated, withdrawn."""

from decimal import Decimal
from http import HTTPStatus
from typing import Annotated

import msgspec
from litestar import Response
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta

from liushui.client import models
from liushui.errors import InvalidField
from liushui.ledger.access.tokens import Scope
from liushui.ledger.read.balances import BalanceCheck, check_statements
from liushui.ledger.read.filters import FilterError, read_bound
from liushui.ledger.read.stated_balances import StatedBalance
from liushui.ledger.write.stated_balances import Statement, state_balance, withdraw_balance
from liushui.money import parse_decimal, to_plain_string
from liushui.server.api.context import Context, RequestContext
from liushui.server.api.endpoint import PathText, endpoint
from liushui.server.api.errors import ProblemError
from liushui.server.api.flows import AccountNames


class StatedBalanceParams(msgspec.Struct, frozen=True, kw_only=True):
    """Selects stated balances."""

    account: AccountNames = []
    withdrawn: Annotated[bool, Meta(description="Also those that were withdrawn.")] = False


@endpoint("GET", "/stated-balances", scope=Scope.READ)
def list_stated_balances(
    context: Context, params: NamedDependency[StatedBalanceParams]
) -> Response[models.StatedBalances]:
    """Balances that people stated, by account and time, each compared with the flows at its moment."""
    names = context.accounts(params.account)

    def make() -> models.StatedBalances:
        found = check_statements(context.read_model, names, withdrawn=params.withdrawn) if names else []
        return models.StatedBalances(balances=[_stated_model(*one) for one in found])

    return context.answer_tagged(names, make)


@endpoint("POST", "/stated-balances", scope=Scope.RECORD, created=models.StatedBalance)
def add_stated_balance(context: Context, data: JSONBody[models.StateBalance]) -> Response[models.StatedBalance]:
    """State what an account held at a moment: the balance before the flows of that moment.

    Stating the same balance again changes nothing. A different balance for the same moment is refused with 409.
    """
    context.accounts((data.account,))  # refuses an account that the caller may not see
    with context.read_model.reading((data.account,), text_only=True) as reading:
        rules = context.read_model.rules.get(reading.accounts[data.account].snapshot.provider)
    try:
        at = read_bound("at", data.at)
    except FilterError as error:
        fault = error.faults[0]
        raise InvalidField(fault.field, fault.expected, fault.got) from error
    amount = parse_decimal("amount", data.amount)
    statement = Statement(data.account, at, data.currency, amount, data.subaccount, data.note)
    result = state_balance(context.ledger, statement, rules)
    status = HTTPStatus.CREATED if result.is_new else HTTPStatus.OK
    return context.answer(_find(context, data.account, result.id), status)


@endpoint("POST", "/stated-balances/{balance:str}/withdraw", scope=Scope.RECORD)
def withdraw_stated_balance(
    context: Context, balance: PathText, data: JSONBody[models.WithdrawBalance]
) -> Response[models.StatedBalance]:
    """Withdraw a stated balance that is wrong. It stays in the ledger, with the reason."""
    account = balance.rpartition(":")[0]
    visible = check_statements(context.read_model, context.accounts(), withdrawn=True) if context.accounts() else []
    if balance not in {stated.id for stated, _check in visible}:
        # The message is the same if it does not exist and if the caller may not see its account. The id contains the
        # account's name.
        raise ProblemError(HTTPStatus.NOT_FOUND, "balance: no balance of that id was stated")
    withdraw_balance(context.ledger, balance, data.reason)
    return context.answer(_find(context, account, balance), HTTPStatus.OK)


def _find(context: RequestContext, account: str, id_: str) -> models.StatedBalance:
    every = check_statements(context.read_model, (account,), withdrawn=True)
    return next(_stated_model(stated, check) for stated, check in every if stated.id == id_)


def _stated_model(stated: StatedBalance, check: BalanceCheck | None) -> models.StatedBalance:
    return models.StatedBalance(
        id=stated.id,
        account=stated.account,
        subaccount=stated.subaccount,
        currency=stated.currency,
        at=stated.at,
        amount=to_plain_string(stated.amount),
        note=stated.note,
        stated_at=stated.stated_at,
        withdrawn_at=stated.withdrawn_at,
        withdrawn_reason=stated.reason,
        expected=None if check is None else _text(check.expected),
        difference=None if check is None else _text(check.difference),
        check=None if check is None else check.status.value,
        check_reason="" if check is None else check.reason,
    )


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else to_plain_string(amount)
