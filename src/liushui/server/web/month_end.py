"""Closing a month of an account on the page, opening it again, and its certificates."""

import re
from typing import Any

from litestar import get, post
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import Response, Stream

from liushui.certificate.keys import create_signing_key, list_signing_keys
from liushui.certificate.rows import certified_csv
from liushui.certificate.store import StoredCertificate, current_certificates
from liushui.errors import (
    AccountNotFound,
    AlreadyExists,
    ConfigError,
    InvalidField,
    NotFound,
    NotReconciled,
    short_repr,
)
from liushui.ledger.access.tokens import Scope
from liushui.ledger.read.month_calendar import read_month
from liushui.server.downloads import attachment, file_name, in_threads
from liushui.server.month_pack import month_proofs, pack_parts
from liushui.server.web.account_addresses import month_address
from liushui.server.web.forms import Form
from liushui.server.web.guard import NEEDS
from liushui.server.web.page import CurrentPage, Page, redirect
from liushui.server.web.reconcile import EXPLAIN, render_month
from liushui.services.periods import Explanations, close_month, reopen_month

CLOSING = "close"
REOPENING = "reopen"
SIGNING = "signing_key"
"""The names of forms whose errors belong to no field."""


@post("/reconcile/{name:str}/{period:str}/close", sync_to_thread=True, opt={NEEDS: Scope.RECORD})
def close_account_month(page: CurrentPage, name: FromPath[str], period: FromPath[str]) -> Response[str]:
    """Close the month. Every line that does not agree needs an explanation; otherwise the form asks for it again."""
    form = Form(page)
    by = page.user or form.text("by")
    texts = {
        field.removeprefix(EXPLAIN): text.strip()
        for field, text in page.form.items()
        if field.startswith(EXPLAIN) and text.strip()
    }
    if by is not None:
        try:
            close_month(page.read_model, period, (name,), Explanations(by, texts), dict(page.providers))
        except NotReconciled as error:
            for line, _reason in error.lines:
                form.wrong(f"{EXPLAIN}{line}", page.say("Explain this, or put it right first."))
        except NotFound as error:
            raise NotFoundException(str(error)) from error
        except AlreadyExists:
            form.wrong(CLOSING, page.say("Somebody has closed this month already."))
        except ConfigError as error:
            form.wrong(CLOSING, str(error))
        else:
            return redirect(f"{month_address(name, period)}#closed")
    return render_month(page, name, period, form)


@post("/reconcile/{name:str}/{period:str}/reopen", sync_to_thread=True, opt={NEEDS: Scope.RECORD})
def reopen_account_month(page: CurrentPage, name: FromPath[str], period: FromPath[str]) -> Response[str]:
    """Open the month again, with a reason."""
    form = Form(page)
    by, reason = page.user or form.text("reopen-by"), form.text("reopen-reason")
    if by is not None and reason is not None:
        try:
            page.read_model.accounts((name,))
            reopen_month(page.ledger, period, (name,), by=by, reason=reason)
        except AccountNotFound as error:
            raise NotFoundException(str(error)) from error
        except NotFound:
            form.wrong(REOPENING, page.say("This month is not closed."))
        except ConfigError as error:
            form.wrong(REOPENING, str(error))
        else:
            return redirect(f"{month_address(name, period)}#closed")
    return render_month(page, name, period, form)


@post("/reconcile/{name:str}/{period:str}/key", sync_to_thread=True, opt={NEEDS: Scope.MANAGE})
def create_key(page: CurrentPage, name: FromPath[str], period: FromPath[str]) -> Response[str]:
    """Create the ledger's first key, without which no month can be closed."""
    form = Form(page)
    key_name = form.text(SIGNING)
    if key_name is not None and page.sees(name):
        try:
            if not list_signing_keys(page.ledger):
                create_signing_key(page.ledger, key_name)
        except InvalidField:
            form.wrong(SIGNING, page.say("Expected a name without spaces and plus signs, such as example.com/ledger."))
        else:
            return redirect(f"{month_address(name, period)}#closed")
    return render_month(page, name, period, form)


# ---------------------------------------------------------------- certificates


@get("/reconcile/{name:str}/{period:str}/certificates/{number:str}", sync_to_thread=True)
def download_certificate(
    page: CurrentPage, name: FromPath[str], period: FromPath[str], number: FromPath[str]
) -> Response[bytes]:
    """A certificate, as `tools/check_certificate.py` reads it."""
    certificate = _certificate(page, name, period, number)
    return Response(
        certificate.note, media_type="application/octet-stream", headers=_as_file(certificate, "certificate")
    )


@get("/reconcile/{name:str}/{period:str}/certificates/{number:str}/rows.csv", sync_to_thread=True)
def download_rows(
    page: CurrentPage, name: FromPath[str], period: FromPath[str], number: FromPath[str]
) -> Response[Any]:
    """The rows that a certificate is about, as they were when it was made."""
    certificate = _certificate(page, name, period, number)
    account = page.read_model.accounts((name,))[name].name
    return Stream(
        in_threads(certified_csv(page.ledger, account, certificate.period, certificate.batch)),
        media_type="text/csv",
        headers=_as_file(certificate, "rows.csv"),
    )


def _certificate(page: Page, name: str, period: str, number: str) -> StoredCertificate:
    try:
        page.read_model.accounts((name,))
    except AccountNotFound as error:
        raise NotFoundException(str(error)) from error
    # The numbers of a removed account's certificates are not used again. These are not of this account.
    every = {str(one.number): one for one in current_certificates(page.ledger, (name,))}
    certificate = every.get(number)
    if certificate is None:
        raise NotFoundException(f"certificate: account {name} has no certificate {short_repr(number)}")
    if certificate.period != period:
        raise NotFoundException(f"certificate: {number} of account {name} is of another month")
    return certificate


def _as_file(certificate: StoredCertificate, suffix: str) -> dict[str, str]:
    account = re.sub(r"[^A-Za-z0-9._@-]", "_", certificate.account)
    return {"content-disposition": f'attachment; filename="{account}-{certificate.period}.{suffix}"'}


# ---------------------------------------------------------------- the month-end pack


@get("/reconcile/{name:str}/{period:str}/pack.zip", sync_to_thread=True)
def download_pack(page: CurrentPage, name: FromPath[str], period: FromPath[str]) -> Response[Any]:
    """Download everything that an accountant needs for the month, as one zip."""
    try:
        proofs = month_proofs(page.read_model, (name,), read_month(period))
    except (AccountNotFound, InvalidField) as error:
        raise NotFoundException(str(error)) from error
    parts = pack_parts(page.read_model, proofs, page.providers, page.language)
    return Stream(
        in_threads(parts),
        media_type="application/zip",
        headers={
            "content-disposition": attachment(f"{file_name(name)}-{period}.zip"),
            "cache-control": "no-store",
        },
    )
