"""Account statements: the page to print, and the PDF."""

from importlib.util import find_spec
from urllib.parse import quote

from litestar import get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import Response
from markupsafe import Markup

from liushui.certificate.store import StoredCertificate, current_certificates
from liushui.errors import AccountNotFound, ConfigError, InvalidField
from liushui.instant import to_us
from liushui.ledger.engine import Ledger
from liushui.ledger.read.month_calendar import month_at, next_month, previous_month
from liushui.ledger.read.statement import AccountStatement, read_statement
from liushui.server.web.account_addresses import month_address, statement_address
from liushui.server.web.i18n import read_languages
from liushui.server.web.page import CurrentPage, Page, make_environment, redirect
from liushui.server.web.statement_pdf import statement_pdf
from liushui.server.web.statement_texts import StatementTexts, write_statement
from liushui.server.web.static_files import STATIC


def newest_certificate(ledger: Ledger, account: str, period: str) -> StoredCertificate | None:
    """The newest certificate of an account's month. None: it does not exist."""
    of_month = [one for one in current_certificates(ledger, (account,)) if one.period == period]
    return of_month[-1] if of_month else None


def statement_html(texts: StatementTexts) -> str:
    """A statement as an HTML file that needs no other file."""
    style = (STATIC / "css" / "statement.css").read_text(encoding="utf-8")
    template = make_environment(read_languages()[texts.language]).get_template("statement/file.html")
    return template.render(texts=texts, style=Markup(style))  # noqa: S704 - our own style sheet


@get("/accounts/{name:str}/statement", sync_to_thread=True)
def show_last_statement(page: CurrentPage, name: FromPath[str]) -> Response[str]:
    """Redirect to the statement of the last month that has ended, or of the month in `period`."""
    period = page.query.get("period", [""])[-1]
    if not period:
        period = _read(page, name, None).month.month.name
    return redirect(statement_address(name, quote(period, safe="")))


@get("/accounts/{name:str}/statement/{period:str}", sync_to_thread=True)
def show_statement(page: CurrentPage, name: FromPath[str], period: FromPath[str]) -> Response[str] | Response[bytes]:
    """Show the statement of a month as a page to print; as PDF if the address ends in `.pdf`."""
    month, is_pdf = period.removesuffix(".pdf"), period.endswith(".pdf")
    statement = _read(page, name, month)
    texts = _texts(page, statement)
    if is_pdf:
        try:
            pdf = statement_pdf(texts)
        except ConfigError as error:
            return page.render("refusal.html", status=501, title=page.say("That did not work."), detail=str(error))
        file_name = quote(f"{name}-{month}.pdf", safe="")
        headers = {"content-disposition": f"attachment; filename*=UTF-8''{file_name}"}
        return Response(pdf, media_type="application/pdf", headers=headers)
    first = statement.month.month.first
    newest = month_at(to_us(page.ledger.clock()), statement.account.name)
    after = next_month(first)
    return page.render(
        "statement/page.html",
        texts=texts,
        account=name,
        address=statement_address(name, month),
        month_address=month_address(name, month),
        earlier=statement_address(name, previous_month(first).isoformat()[:7]),
        later=statement_address(name, after.isoformat()[:7]) if first < after <= newest else "",
        has_pdf=find_spec("typst") is not None,
    )


def _read(page: Page, name: str, period: str | None) -> AccountStatement:
    try:
        return read_statement(page.read_model, name, period)
    except (AccountNotFound, InvalidField) as error:
        raise NotFoundException(str(error)) from error


def _texts(page: Page, statement: AccountStatement) -> StatementTexts:
    name = statement.account.name
    return write_statement(
        statement,
        newest_certificate(page.ledger, name.account, statement.month.month.name),
        page.provider_title(name.provider),
        page.view_zone(name.zone),
        page.language,
    )
