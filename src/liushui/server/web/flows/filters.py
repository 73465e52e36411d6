"""The filter that an address of the flows page asks for: the filter language, with each fault in the reader's words."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode

from liushui.errors import short_repr
from liushui.ledger.read.accounts import AccountName
from liushui.ledger.read.filters import (
    FIELDS,
    TEXT_MAX,
    FaultKind,
    FilterError,
    FilterFault,
    FlowFilter,
    equals_currency,
    read_filter,
)
from liushui.server.web.i18n import Language

ALIASES: Final[Mapping[str, str]] = {"from": "since", "to": "until"}
"""Names that links of earlier releases have. They mean the same as the names they stand for."""


@dataclass
class FlowsRequest:
    """What was typed, the filter it means, and what is wrong with it. Days are shown in `zone`."""

    typed: dict[str, str]
    accounts: tuple[str, ...]
    zone: str = "UTC"
    filter: FlowFilter = field(default_factory=lambda: FlowFilter(newest_first=True))
    errors: dict[str, str] = field(default_factory=dict)

    def address(self, path: str = "/flows", **changed: str | None) -> str:
        """The address that asks the same with some fields changed; None leaves one out."""
        values: dict[str, str | None] = {**self.typed, **changed}
        pairs = [(name, value) for name, value in values.items() if value]
        pairs += [("account", name) for name in self.accounts]
        return f"{path}?{urlencode(pairs)}" if pairs else path

    @property
    def is_filtered(self) -> bool:
        """Whether the request is for some flows only."""
        return bool(self.typed or self.accounts)


def read_flows_request(
    query: Mapping[str, Sequence[str]],
    known: Sequence[AccountName],
    currencies: Sequence[str],
    language: Language,
    other: Collection[str] = (),
) -> FlowsRequest:
    """Read the fields of an address. `other`: fields of it that are no filter.

    A form sends its empty fields too: they are as if they were not there. Anything else that is not understood is an
    error, and never ignored: whoever misspells a filter must not get all flows for some.
    """
    texts = _texts(query, other)
    request = FlowsRequest(
        {name: values[-1][:TEXT_MAX] for name, values in texts.items()},
        tuple(dict.fromkeys(name[:TEXT_MAX] for name in query.get("account", ()) if name)),
    )
    names = [account.account for account in known]
    unknown = [name for name in request.accounts if name not in names]
    if unknown:
        request.errors["account"] = language.say("There is no account named %(got)s.", got=short_repr(unknown[0]))
    chosen = () if unknown else request.accounts
    request.zone = common_zone([account.zone for account in known if not chosen or account.account in chosen])
    try:
        request.filter = read_filter(texts, accounts=chosen)._replace(newest_first=True)
    except FilterError as error:
        for fault in error.faults:
            name = fault.field if fault.kind is not FaultKind.UNKNOWN_FIELD else "unknown"
            request.errors.setdefault(name, fault_text(fault, language))
    currency = request.filter.currency
    if currency is not None and not any(equals_currency(one, currency) for one in currencies):
        request.errors["currency"] = language.say("There are no flows in %(got)s.", got=short_repr(currency))
    return request


def _texts(query: Mapping[str, Sequence[str]], other: Collection[str]) -> dict[str, list[str]]:
    """The filter's texts by field, without empty ones."""
    texts: dict[str, list[str]] = {}
    for name, values in query.items():
        given = [value for value in values if value.strip()]
        if given and name != "account" and name not in other:
            texts.setdefault(ALIASES.get(name, name), []).extend(given)
    return texts


def fault_text(fault: FilterFault, language: Language) -> str:
    """What is wrong with a field, in the reader's language."""
    say, got = language.say, fault.got
    match fault.kind:
        case FaultKind.UNKNOWN_FIELD:
            return say("There is no filter named %(got)s. Filters: %(known)s.", got=got, known=", ".join(FIELDS))
        case FaultKind.NOT_A_CHOICE:
            known = fault.expected.removeprefix("one of ")
            return say("Expected %(known)s, got %(got)s.", known=known, got=got)
        case FaultKind.NOT_A_TIME:
            return say("Expected a date or a time such as 2024-01-31 or 2024-01-31T09:30, got %(got)s.", got=got)
        case FaultKind.NOT_AN_AMOUNT:
            return say("Expected an amount such as -248.60, got %(got)s.", got=got)
        case FaultKind.REVERSED_RANGE:
            return say("The end must be after the beginning.")
        case FaultKind.REVERSED_AMOUNTS:
            return say("The maximum amount is less than the minimum.")
        case FaultKind.REPEATED | FaultKind.EMPTY | FaultKind.TOO_LONG:
            return say("Expected %(known)s, got %(got)s.", known=fault.expected, got=got)


def common_zone(zones: Sequence[str]) -> str:
    """The zone that all accounts share; UTC where they do not share one."""
    return zones[0] if len(set(zones)) == 1 else "UTC"
