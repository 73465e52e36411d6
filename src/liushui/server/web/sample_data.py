"""Sample data: accounts with simulated flows in an empty ledger, which one click removes."""

from pathlib import Path

from litestar import post
from litestar.exceptions import PermissionDeniedException
from litestar.response import Response

from liushui.errors import ConfigError
from liushui.files.contract import NumberedRow
from liushui.formats.sample import FORMAT, NAME, ZONE, sample_rows
from liushui.importing.prepare import Prepared, run_import
from liushui.importing.read_rows import Chunk, Document
from liushui.importing.run import ImportFile
from liushui.importing.statements import UNIT
from liushui.ledger.access.tokens import Scope
from liushui.ledger.engine import Ledger
from liushui.ledger.read.accounts import find_accounts
from liushui.ledger.write.commit import make_account
from liushui.ledger.write.remove import remove_account
from liushui.server.web.guard import NEEDS
from liushui.server.web.page import CurrentPage, Page, redirect
from liushui.services.accounts import has_accounts


@post("/welcome/sample", sync_to_thread=True, opt={NEEDS: Scope.MANAGE})
def add_sample_data(page: CurrentPage) -> Response[str]:
    """Add the accounts of the sample data. Raises ConfigError in a ledger with accounts, so that nothing is mixed."""
    _check_may(page)
    if has_accounts(page.ledger):
        raise ConfigError(page.say("The ledger has accounts already. Sample data is only for an empty one."))
    load_sample_data(page.ledger)
    return redirect("/")


@post("/welcome/sample/remove", sync_to_thread=True, opt={NEEDS: Scope.MANAGE})
def remove_sample_data(page: CurrentPage) -> Response[str]:
    """Remove the accounts of the sample data, as `account remove` does."""
    _check_may(page)
    with page.ledger.querying() as queries:
        names = [one.account for one in find_accounts(queries) if one.provider == NAME]
    for name in names:
        remove_account(page.ledger, name)
    return redirect("/" if has_accounts(page.ledger) else "/welcome")


def _check_may(page: Page) -> None:
    """Raise PermissionDeniedException if the reader may not see all accounts."""
    if page.principal.accounts is not None:
        raise PermissionDeniedException(page.say("This needs a role for all accounts. Yours is for some."))


def load_sample_data(ledger: Ledger) -> None:
    """Make the accounts of the sample data, and import their flows. Existing sample data is not changed."""
    for account, rows in sample_rows(ledger.clock()).items():
        make_account(ledger, account, NAME, ZONE)
        run_import(ledger, account, _prepared(rows), lambda _bytes: None, restate=False)


def _prepared(rows: list[NumberedRow]) -> Prepared:
    chunk = Chunk([row.row for row in rows], None, of_lines=[row.number for row in rows])
    file = ImportFile(Path(FORMAT.title), lambda: [Document([chunk])], UNIT)
    return Prepared(NAME, FORMAT.title, FORMAT.rules, FORMAT.codec, lambda _advance: [file])
