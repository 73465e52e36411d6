"""Renames accounts."""

from litestar import Response
from litestar.params import JSONBody

from liushui.client import models
from liushui.client.models import Fault
from liushui.errors import AlreadyExists, short_repr
from liushui.ledger.access.tokens import Scope
from liushui.server.api.context import Context
from liushui.server.api.endpoint import PathText, endpoint
from liushui.server.api.errors import conflict
from liushui.services import accounts


@endpoint("POST", "/accounts/{account:str}/rename", scope=Scope.MANAGE, operation_id="rename_account")
def rename_account(
    context: Context, account: PathText, data: JSONBody[models.RenameAccount]
) -> Response[models.RenamedAccount]:
    """Give an account another name.

    The new name applies at once to the account's flows and source, and to the keys, tokens and users that name it. The
    earlier name stays reserved: no other account can get it. The token must have rights for all accounts, because names
    are unique among all of them.
    """
    name = context.accounts((account,))[0]
    try:
        renamed = accounts.rename_account(context.ledger, context.principal, name, data.name)
    except AlreadyExists as error:
        fault = Fault(pointer="/name", expected="a name that no account has or had", got=short_repr(data.name))
        raise conflict([fault]) from error
    return context.answer(models.RenamedAccount.of(renamed))
