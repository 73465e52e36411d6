"""liushui link: which flows belong together, and what people decide about it."""

from typing import TYPE_CHECKING, Final

import click

from liushui.cli import options
from liushui.cli.audited import system_user
from liushui.cli.options import Format, Settings
from liushui.cli.output import Record, emit, emit_one, messages
from liushui.money import to_plain_string
from liushui.reconcile.links import Link, LinkFlow, LinkKind, LinkState

if TYPE_CHECKING:
    from liushui.ledger.read.link_decisions import LinkDecision

COLUMNS: Final = (
    *("link", "kind", "state", "basis", "suggested", "at", "account", "amount", "currency"),
    *("other_at", "other_account", "other_amount", "other_currency", "flows"),
)
TABLE_COLUMNS: Final = (
    *("link", "kind", "state", "suggested", "account", "amount", "currency"),
    *("other_account", "other_amount", "other_currency"),
)


@click.group(cls=options.OrderedGroup, no_args_is_help=True)
def link() -> None:
    """Show which flows belong together, and confirm or reject links.

    A link joins the two ends of a transfer between your accounts, a refund and its receipt, a fee and what it was
    charged for, a tax and its dividend, the legs of a conversion, or the fills of an order. It also joins two flows
    that show the same money, because WeCom lists the movements of a WeChat Pay account.

    A link is certain if no other flow could take the place of either of its flows. A candidate is only possible:
    confirm or reject it. Totals of several accounts leave out certain and confirmed transfers. If two accounts show the
    same money, they count it once, in WeChat Pay's own bill.
    """


@link.command("list")
@options.accounts
@options.since
@options.until
@click.option("--kind", "kinds", type=options.EnumChoice(LinkKind), multiple=True, help="Only this kind; repeatable.")
@click.option(
    "--state",
    "states",
    type=options.EnumChoice(LinkState),
    multiple=True,
    help="Only this state; repeatable. (default: all but rejected)",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Print at most N links. (default: all)")
@options.ledger_and_format
def list_(
    settings: Settings,
    /,
    accounts: tuple[str, ...],
    since: str | None,
    until: str | None,
    kinds: tuple[LinkKind, ...],
    states: tuple[LinkState, ...],
    limit: int | None,
) -> None:
    """List links by the time of their first flow, such as the receipt that was refunded, or the end that was sent.

    With ACCOUNT, the command lists only links with a flow in one of these accounts. If a flow has several candidates,
    `suggested` marks the ones that fit best together.

    \b
    Example: liushui link list --state candidate --kind transfer
    """
    from itertools import islice

    from liushui.ledger.read.filters import check_range, read_bound
    from liushui.ledger.read.link_lists import LinkQuery, link_record, list_links

    begin = None if since is None else read_bound("since", since)
    end = None if until is None else read_bound("until", until)
    check_range(begin, end)
    query = LinkQuery(accounts, begin, end, frozenset(kinds), frozenset(states))
    found = islice(list_links(settings.open_read_model(), query), limit)
    emit(map(link_record, found), TABLE_COLUMNS if settings.format is Format.TABLE else COLUMNS, settings.format)


_id = click.argument("id_", metavar="LINK", help="The link's id, as `link list` prints it.")


@link.command()
@_id
@options.ledger_and_format
def show(settings: Settings, id_: str) -> None:
    """Print one link: its flows, the other links of these flows, and what was decided."""
    from liushui.ledger.read.link_lists import link_in_full, link_record

    full = link_in_full(settings.open_read_model(), id_)
    as_text = settings.format is Format.TABLE
    record: dict[str, object] = {
        name: value
        for name, value in link_record(full.link).items()
        if name in ("link", "kind", "state", "basis", "suggested")
    }
    record["flows"] = [_flow_text(flow) if as_text else _flow_record(flow) for flow in full.link.flows]
    record["alternatives"] = [
        f"{rival.id} ({rival.state.value})" if as_text else _rival_record(rival) for rival in full.rivals
    ]
    record["decisions"] = [
        _decision_text(decision) if as_text else _decision_record(decision) for decision in full.decisions
    ]
    emit_one(record, settings.format)


_by = click.option(
    "--by",
    "by",
    metavar="NAME",
    help="Who decides. (default: the name of the user of this computer)",
    default=system_user,
)
_reason = click.option("--reason", metavar="TEXT", default="", help="Why. It is kept with the decision.")
_replace = click.option("--replace", is_flag=True, help="Replace an earlier decision. It stays in the ledger.")


@link.command()
@_id
@_by
@_reason
@_replace
@options.ledger_and_format
def confirm(settings: Settings, id_: str, by: str, reason: str, replace: bool) -> None:
    """Confirm that the flows of a link belong together.

    The decision is recorded in the hash chain that `verify` checks. If one of the flows is changed or withdrawn later,
    the confirmed link no longer counts.

    \b
    Example: liushui link confirm 20260130T093000-0f1e2d3c4b5a --reason "on the bank's slip"
    """
    _decide(settings, id_, LinkState.CONFIRMED, by, reason, replace=replace)


@link.command()
@_id
@_by
@_reason
@_replace
@options.ledger_and_format
def reject(settings: Settings, id_: str, by: str, reason: str, replace: bool) -> None:
    """Reject a link: its flows do not belong together.

    Certain links can be rejected too.
    """
    _decide(settings, id_, LinkState.REJECTED, by, reason, replace=replace)


def _decide(settings: Settings, id_: str, decision: LinkState, by: str, reason: str, *, replace: bool) -> None:
    from liushui.ledger.write.link_decisions import decide_link, describe_decision
    from liushui.providers import ProviderRules

    decided = decide_link(
        settings.open_ledger(), ProviderRules(), id_, decision, decided_by=by, reason=reason, replace=replace
    )
    if settings.format is Format.TABLE:
        from rich.markup import escape

        messages.print(escape(describe_decision(decided)))
    else:
        emit_one(_decision_record(decided), settings.format)


# ---------------------------------------------------------------- records


def _flow_record(flow: LinkFlow) -> Record:
    from liushui.instant import us_to_iso

    return {
        "account": flow.account,
        "at": us_to_iso(flow.at_us),
        "id": flow.id,
        "subaccount": flow.subaccount,
        "amount": to_plain_string(flow.amount),
        "currency": flow.currency,
        "kind": flow.kind,
    }


def _flow_text(flow: LinkFlow) -> str:
    from liushui.instant import us_to_iso

    return f"{to_plain_string(flow.amount)} {flow.currency} {flow.account} {us_to_iso(flow.at_us)} {flow.id}"


def _rival_record(rival: Link) -> Record:
    return {"link": rival.id, "kind": rival.kind.value, "state": rival.state.value, "suggested": rival.suggested}


def _decision_record(decision: "LinkDecision") -> Record:
    from liushui.instant import to_iso

    return {
        "link": decision.link,
        "decision": decision.decision.value,
        "decided_by": decision.decided_by,
        "reason": decision.reason,
        "decided_at": to_iso(decision.decided_at),
        "batch": decision.batch,
    }


def _decision_text(decision: "LinkDecision") -> str:
    from liushui.ledger.write.link_decisions import describe_decision

    return describe_decision(decision)
