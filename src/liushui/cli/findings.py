"""liushui findings: facts about flows that are worth a look and are no errors."""

from enum import StrEnum
from typing import Annotated

import typer

from liushui.cli.flows import FLOW_COLUMNS, FLOW_TABLE_COLUMNS, flow_record
from liushui.cli.options import AccountsArgument, Format, FormatOption, LedgerOption, format_of, opened
from liushui.cli.output import emit
from liushui.ledger import findings as kinds
from liushui.ledger.read.review import list_findings


class What(StrEnum):
    """What was found."""

    SIDE = kinds.SIDE
    SAME_ID = kinds.SAME_ID


def findings(
    ctx: typer.Context,
    accounts: AccountsArgument = None,
    only: Annotated[What | None, typer.Option("--only", help="Only this finding.")] = None,
    ledger: LedgerOption = None,
    form: FormatOption = None,
) -> None:
    """List flows that are worth a look. They are no errors: each is kept as the provider sent it.

    side: its direction contradicts the sign of its amount. same_id: another flow has its identity and instant, and is
    not like it; the first of them is not listed.
    """
    shape = format_of(ctx, form)
    records = (
        {"finding": one.finding, **flow_record(one.found)}
        for one in list_findings(opened(ctx, ledger), tuple(accounts or ()))
        if only is None or one.finding == only.value
    )
    columns = (*FLOW_TABLE_COLUMNS, "id") if shape is Format.TABLE else FLOW_COLUMNS
    emit(records, ("finding", *columns), shape)
