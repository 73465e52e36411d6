"""Exports: the flows of a range as files of other programs."""

from datetime import date
from typing import Annotated, Any

import msgspec
from litestar import Response
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta

from liushui.client import models
from liushui.errors import InvalidField
from liushui.export.account_map import AccountMap, read_account_map
from liushui.export.formats import FORMATS, ExportOptions, Format, export_parts
from liushui.export.selection import ExportQuery, read_period
from liushui.ledger.access.tokens import Scope
from liushui.ledger.read.filters import FilterError, FlowFilter, check_range
from liushui.server.api.context import Context, RequestContext
from liushui.server.api.endpoint import ApiOperation, PathText, endpoint
from liushui.server.api.errors import filter_problem, invalid_parameter, not_found
from liushui.server.api.flows import AccountNames
from liushui.server.audit import NOT_AUDITED
from liushui.server.context import UNCOMPRESSED
from liushui.server.downloads import download


class ExportParams(msgspec.Struct, frozen=True, kw_only=True):
    """Selects flows to export, and how they are written."""

    account: AccountNames = []
    period: (
        Annotated[
            str,
            Meta(
                max_length=22,
                description="A month (2026-10), year (2026) or range of days (2026-10-05..2026-10-20) of each account.",
            ),
        ]
        | None
    ) = None
    since: Annotated[date, Meta(description="From this time, or this day of the account's own zone, on.")] | None = None
    until: (
        Annotated[date, Meta(description="Up to this time, or this day of the account's own zone, excluded.")] | None
    ) = None
    currency: Annotated[models.SearchText, Meta(description="Only this currency; case is ignored.")] | None = None
    as_of: Annotated[date, Meta(description="Only what the ledger had recorded before this.")] | None = None
    bom: Annotated[bool, Meta(description="Begin CSV with a byte order mark, so that Excel reads it as UTF-8.")] = False
    opening: Annotated[bool, Meta(description="Begin a journal with the opening balances.")] = True


class FileOperation(ApiOperation):
    """An operation that answers with a file, whose type depends on the format."""

    def to_schema(self) -> dict[str, Any]:
        """The operation as OpenAPI has it."""
        schema = super().to_schema()
        schema["responses"].pop("304", None)  # a file has no ETag
        media_types = dict.fromkeys(form.media_type for form in FORMATS.values())
        schema["responses"]["200"]["content"] = {name: {"schema": {"type": "string"}} for name in media_types}
        return schema


@endpoint(
    "GET",
    "/export/{format_name:str}",
    scope=Scope.READ,
    operation_id="export",
    operation=FileOperation,
    opt={UNCOMPRESSED: True},  # compression would delay the file until it is complete
)
async def export(context: Context, format_name: PathText, params: NamedDependency[ExportParams]) -> Response[Any]:
    """The flows of a range as a file. The file says what it covers.

    The formats are those of `liushui export`. Those with double entry need an account map: send it with POST.
    """
    return await _answer(context, _format(format_name), params, None)


@endpoint(
    "POST",
    "/export/{format_name:str}",
    scope=Scope.READ,
    operation_id="export_with_map",
    operation=FileOperation,
    opt={UNCOMPRESSED: True, NOT_AUDITED: True},  # the request changes nothing
)
async def export_with_map(
    context: Context,
    format_name: PathText,
    params: NamedDependency[ExportParams],
    data: JSONBody[models.AccountMapText],
) -> Response[Any]:
    """The same with an account map, which says on which accounts of your books the flows are booked.

    If some flows have no target in the map, the request is refused with a list of what is missing.
    """
    form = _format(format_name)
    if not form.needs_map:
        raise invalid_parameter("format_name", "a format with double entry, which needs an account map", format_name)
    return await _answer(context, form, params, read_account_map(data.map))


def _format(name: str) -> Format:
    form = FORMATS.get(name)
    if form is None:
        raise not_found("format", name)
    return form


async def _answer(
    context: RequestContext, form: Format, params: ExportParams, account_map: AccountMap | None
) -> Response[Any]:
    query = _query(context, params)
    options = ExportOptions(account_map, bom=params.bom, opening=params.opening)
    return await download(export_parts(context.read_model, form, query, options), form, "flows")


def _query(context: RequestContext, params: ExportParams) -> ExportQuery:
    names = context.accounts(params.account)
    if not names:  # an empty list of names would mean all accounts
        raise not_found("account", "")
    since, until = params.since, params.until
    if params.period is not None:
        if since is not None or until is not None:
            raise invalid_parameter("period", "no since and no until beside it", params.period)
        try:
            since, until = read_period(params.period)
        except InvalidField as error:
            raise invalid_parameter("period", error.expected, params.period) from error
    try:
        check_range(since, until)
    except FilterError as error:
        raise filter_problem(error) from error
    return ExportQuery(FlowFilter(accounts=names, since=since, until=until, currency=params.currency), params.as_of)
