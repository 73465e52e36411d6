"""The pages of imports: a file is uploaded, shown as it would be imported, imported; imports are listed and undone."""

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Final

from litestar import get, post
from litestar.datastructures import UploadFile
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import Response

from liushui.errors import AlreadyExists, short_repr
from liushui.flow import Flow
from liushui.formats import load_formats
from liushui.importing.closing_balances import withdraw_closings
from liushui.importing.prepare import (
    run_import,
    zone_of_import,
)
from liushui.ledger.access.tokens import Scope
from liushui.ledger.engine import account_names
from liushui.ledger.read.accounts import AccountName, find_accounts
from liushui.ledger.read.imports import Import, find_import, list_imports
from liushui.ledger.write.commit import make_account
from liushui.ledger.write.undo import LaterImports, undo_import
from liushui.server.uploads import (
    UPLOAD_MAX,
    Upload,
    change_upload,
    file_name,
    find_upload,
    new_upload_id,
    remove_upload,
    store_upload,
)
from liushui.server.web.forms import Form
from liushui.server.web.guard import FIELDS_MAX, NEEDS, UPLOADS
from liushui.server.web.import_check import FORMAT, PROVIDER, SECRET, Check, Problem, check_file, prepare_upload
from liushui.server.web.page import CurrentPage, Page, decimal_places, redirect
from liushui.temporary_folder import temporary_folder

IMPORTS_SHOWN: Final = 200


# ---------------------------------------------------------------- the list


@get("/imports", sync_to_thread=True)
def list_all(page: CurrentPage) -> Response[str]:
    """The imports of the accounts that the reader may see, newest first."""
    return _list(page)


def _list(page: Page, error: str = "") -> Response[str]:
    known = [one for one in reversed(list_imports(page.ledger)) if page.sees(one.account)]
    return page.render(
        "imports/index.html",
        status=409 if error else 200,
        imports=known[:IMPORTS_SHOWN],
        has_more=len(known) > IMPORTS_SHOWN,
        error=error,
        zone=page.view_zone("UTC"),
    )


@get("/imports/{id_:str}", sync_to_thread=True)
def show_import(page: CurrentPage, id_: FromPath[str]) -> Response[str]:
    """Show one import and what happened to its rows."""
    known = _import(page, id_)
    zones = [one.zone for one in _accounts(page) if one.account == known.account]
    return page.render("imports/one.html", known=known, zone=page.view_zone(*zones or ["UTC"]))


@post("/imports/{id_:str}/undo", sync_to_thread=True, opt={NEEDS: Scope.RECORD})
def undo(page: CurrentPage, id_: FromPath[str]) -> Response[str]:
    """Undo an import: its flows are withdrawn, and the balances that its files state."""
    known = _import(page, id_)
    if known.undone_at is not None:
        return redirect(_address(id_))
    try:
        withdraw_closings(page.ledger, known.account, id_)
        undo_import(page.ledger, id_)
    except LaterImports:
        text = page.say("Later imports rest on what this one changed. Undo those first, beginning with the newest.")
        return _list(page, text)
    return redirect(_address(id_))


def _import(page: Page, id_: str) -> Import:
    known = find_import(page.ledger, id_)
    if known is None or not page.sees(known.account):
        raise NotFoundException(f"import: there is none with the id {short_repr(id_)}")
    return known


def _address(id_: str) -> str:
    return f"/imports/{id_}"


# ---------------------------------------------------------------- the upload


@get("/imports/~new", sync_to_thread=True, opt={NEEDS: Scope.RECORD})
def new_import(page: CurrentPage) -> Response[str]:
    """The form for a file."""
    account = page.request.query_params.get("account", "")
    return _upload_form(page, {"account": account}, {})


@post(
    "/imports/~new",
    sync_to_thread=True,
    opt={NEEDS: Scope.RECORD, UPLOADS: True},
    request_max_body_size=UPLOAD_MAX + FIELDS_MAX,
)
def upload_file(page: CurrentPage) -> Response[str]:
    """Store a file until its import is confirmed, and redirect to its check."""
    form = Form(page)
    settings = _read_settings(form)
    file = page.request.state.get("file")
    if not isinstance(file, UploadFile):
        form.wrong("file", page.say("Choose a file."))
        return _upload_form(page, page.form, form.errors)
    try:
        if form.is_wrong or page.session is None:
            return _upload_form(page, page.form, form.errors)
        upload = Upload(
            id=new_upload_id(),
            session=page.session.id,
            at=page.ledger.clock(),
            name=file_name(file.filename),
            **settings,
        )
        store_upload(file.file, upload)
    finally:
        file.file.close()
    return redirect(_check_address(upload))


def _upload_form(page: Page, values: Mapping[str, str], errors: Mapping[str, str]) -> Response[str]:
    return page.render(
        "imports/new.html",
        status=422 if errors else 200,
        values=values,
        errors=errors,
        most_mib=UPLOAD_MAX // 1024**2,
        **_choices(page),
    )


def _choices(page: Page) -> dict[str, object]:
    formats = [(f"{FORMAT} {one.name}", one.title) for one in load_formats().values() if one.is_recognised]
    saved = page.say("Saved answers of the API:")
    providers = [(f"{PROVIDER} {one.name}", f"{saved} {page.say(one.title)}") for one in page.providers.values()]
    return {
        "sources": [
            ("", page.say("Recognise it by its content")),
            *sorted(formats, key=lambda pair: pair[1]),
            *providers,
        ],
        "known_accounts": [one.account for one in _accounts(page)],
        "may_create": page.principal.accounts is None,
    }


def _accounts(page: Page) -> list[AccountName]:
    with page.ledger.querying() as queries:
        return [one for one in find_accounts(queries) if page.sees(one.account)]


def _read_settings(form: Form) -> dict[str, str]:
    """The fields of an Upload that a form has. The form's errors say what is wrong."""
    page = form.page
    account, zone, source = form.typed("account"), form.typed("zone"), form.typed("source")
    with page.ledger.reading() as connection:
        exists = account in account_names(connection)
    if (exists and not page.sees(account)) or (not exists and page.principal.accounts is not None):
        form.wrong("account", page.say("Choose one of your accounts."))
    elif not exists:
        form.source_name("account")
    if zone:
        form.zone("zone")
    password = page.form.get(SECRET, "")
    return {
        "account": account,
        "source": source,
        "zone": zone,
        "mapping": page.form.get("mapping", "").strip(),
        SECRET: page.ledger.vault.encrypt({SECRET: password}) if password else "",
    }


# ---------------------------------------------------------------- the check


@get("/imports/~check/{id_:str}", sync_to_thread=True, opt={NEEDS: Scope.RECORD})
def check_upload(page: CurrentPage, id_: FromPath[str]) -> Response[str]:
    """Show the content of an uploaded file, and the effect of its import. Nothing is changed."""
    return _show_check(page, _upload(page, id_), {})


@post("/imports/~check/{id_:str}", sync_to_thread=True, opt={NEEDS: Scope.RECORD})
def change_reading(page: CurrentPage, id_: FromPath[str]) -> Response[str]:
    """Change how an uploaded file is read, and show it again."""
    upload, form = _upload(page, id_), Form(page)
    settings = _read_settings(form)
    if form.is_wrong:
        return _show_check(page, upload, form.errors)
    if not settings[SECRET]:
        settings[SECRET] = upload.password
    change_upload(Upload(upload.id, upload.session, upload.at, upload.name, **settings))
    return redirect(_check_address(upload))


@post("/imports/~check/{id_:str}/drop", sync_to_thread=True, opt={NEEDS: Scope.RECORD})
def drop_upload(page: CurrentPage, id_: FromPath[str]) -> Response[str]:
    """Delete an uploaded file without importing it."""
    remove_upload(_upload(page, id_))
    return redirect("/imports")


@post("/imports/~check/{id_:str}/import", sync_to_thread=True, opt={NEEDS: Scope.RECORD})
def import_upload(page: CurrentPage, id_: FromPath[str]) -> Response[str]:
    """Import an uploaded file."""
    upload = _upload(page, id_)
    restate = bool(page.form.get("restate"))
    with temporary_folder("import") as folder:
        read = prepare_upload(page, upload, folder, [])
        if isinstance(read, Problem):
            return _show_check(page, upload, {})
        zone = zone_of_import(page.ledger, upload.account, upload.zone, read.rules.zone)
        try:
            make_account(page.ledger, upload.account, read.source, zone)
        except AlreadyExists:
            return _show_check(page, upload, {})
        imported, _ = run_import(page.ledger, upload.account, read, _no_progress, restate=restate)
    remove_upload(upload)
    return redirect(_address(imported.id))


def _no_progress(_bytes: int) -> None:
    pass


def _check_address(upload: Upload) -> str:
    return f"/imports/~check/{upload.id}"


def _upload(page: Page, id_: str) -> Upload:
    found = None if page.session is None else find_upload(id_, page.session.id, page.ledger.clock())
    if found is None:
        raise NotFoundException(page.say("This file is no longer here. Upload it again."))
    return found


def _show_check(page: Page, upload: Upload, errors: Mapping[str, str]) -> Response[str]:
    checked = check_file(page, upload)
    problem = checked if isinstance(checked, Problem) else None
    wrong = dict(errors)
    if problem is not None and problem.field:
        wrong.setdefault(problem.field, problem.text)
    values = {"account": upload.account, "source": upload.source, "zone": upload.zone, "mapping": upload.mapping}
    if problem is not None and problem.mapping and not upload.mapping:
        values["mapping"] = problem.mapping
    check = checked if isinstance(checked, Check) else None
    return page.render(
        "imports/check.html",
        status=422 if wrong or problem is not None else 200,
        upload=upload,
        address=_check_address(upload),
        problem=problem,
        check=check,
        values=values | (dict(page.form) if errors else {}),
        errors=wrong,
        decimals=decimal_places(_amounts(check.content.samples)) if check else 0,
        sum_decimals=decimal_places([amount for one in check.content.sums.values() for amount in one[1:]])
        if check
        else 0,
        **_choices(page),
    )


def _amounts(flows: Collection[Flow]) -> list[Decimal]:
    return [amount for flow in flows for amount in (flow.amount, flow.balance_after) if amount is not None]
