"""The filters in the addresses of the overview and the flows page, with each fault in the reader's language."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import ClassVar, Final
from urllib.parse import urlencode

from liushui.errors import short_repr
from liushui.instant import NotOneInstant, is_zone, load_zone, parse_day
from liushui.ledger.access.saved_views import (
    ACCOUNT_ZONE,
    COLUMNS,
    DEFAULT_COLUMNS,
    NEWEST,
    ORDERS,
    ViewQuery,
    in_order,
)
from liushui.ledger.read.accounts import AccountName
from liushui.ledger.read.filters import (
    DAY,
    FIELDS,
    TEXT_MAX,
    FaultKind,
    FilterError,
    FilterFault,
    FlowFilter,
    equals_currency,
    instant_us,
    read_filter,
)
from liushui.ledger.read.overview import OverviewQuery
from liushui.ledger.read.summaries import PERIODS_MAX, Span, Unit
from liushui.server.web.i18n import Language

DISPLAY_FIELDS: Final = ("columns", "order", "zone", "base_view")
"""Fields that say how flows are shown, and which saved view the reader began with."""

ALIASES: Final[Mapping[str, str]] = {"from": "since", "to": "until"}
"""Names in links of earlier releases. They mean the same as their current names."""


@dataclass
class FilterRequest:
    """The fields of an address as typed, its accounts, and an error for each invalid field."""

    PATH: ClassVar[str]

    typed: dict[str, str]
    accounts: tuple[str, ...]
    errors: dict[str, str] = field(default_factory=dict)
    display: dict[str, str] = field(default_factory=dict)
    """Fields that do not filter. They say how the list is shown."""

    def address(self, path: str | None = None, **changed: str | None) -> str:
        """Return an address with the same fields, some of them changed. None removes a field. `path`: the page's
        path."""
        path = path or self.PATH
        values: dict[str, str | None] = {**self.typed, **self.display, **changed}
        pairs = [(name, value) for name, value in values.items() if value]
        pairs += [("account", name) for name in self.accounts]
        return f"{path}?{urlencode(pairs)}" if pairs else path

    @property
    def status(self) -> int:
        """The HTTP status: 400 if something in the address is wrong."""
        return 400 if self.errors else 200


# ---------------------------------------------------------------- flows


@dataclass
class FlowsRequest(FilterRequest):
    """A request for flows, and its filter. `zones`: the zones of its accounts, in whose days its dates are."""

    PATH: ClassVar[str] = "/flows"

    zones: tuple[str, ...] = ()
    filter: FlowFilter = field(default_factory=lambda: FlowFilter(newest_first=True))
    columns: tuple[str, ...] = DEFAULT_COLUMNS

    @property
    def is_filtered(self) -> bool:
        """Whether the request has a filter."""
        return bool(self.typed or self.accounts)

    @property
    def zone(self) -> str:
        """The zone that the address names. Empty: none."""
        return self.display.get("zone", "")

    @property
    def base_view(self) -> str:
        """The name of the saved view that the reader opened, whether or not they have changed it since."""
        return self.display.get("base_view", "")

    def to_view(self) -> ViewQuery:
        """Return the data to save for a view with this filter, these columns, this order and this zone."""
        order = self.display.get("order", NEWEST)
        return ViewQuery(dict(self.typed), self.accounts, self.columns, order, self.zone)


def view_address(name: str, query: ViewQuery) -> str:
    """The address of the list of flows that shows a saved view."""
    display = display_fields(query.columns, query.order, query.zone) | {"base_view": name}
    return FlowsRequest(dict(query.filter), query.accounts, display=display).address()


def display_fields(columns: Sequence[str], order: str, zone: str) -> dict[str, str]:
    """The fields of an address for columns, order and zone. A value that is the default has no field."""
    fields = {"columns": "" if tuple(columns) == DEFAULT_COLUMNS else ",".join(columns)}
    fields |= {"order": "" if order == NEWEST else order, "zone": zone}
    return {name: text for name, text in fields.items() if text}


def read_flows_request(
    query: Mapping[str, Sequence[str]],
    known: Sequence[AccountName],
    currencies: Sequence[str],
    language: Language,
    other: Collection[str] = (),
) -> FlowsRequest:
    """Read the fields of an address. `other`: fields of the address that are not filters.

    A form sends its empty fields too; they are ignored. Anything else that is not understood is an error and never
    ignored: a misspelled filter must not show all flows.
    """
    texts = _texts(query, (*other, *DISPLAY_FIELDS))
    request = FlowsRequest(
        {name: values[-1][:TEXT_MAX] for name, values in texts.items()},
        tuple(dict.fromkeys(name[:TEXT_MAX] for name in query.get("account", ()) if name)),
    )
    names = [account.account for account in known]
    unknown = [name for name in request.accounts if name not in names]
    if unknown:
        request.errors["account"] = language.say("There is no account named %(got)s.", got=short_repr(unknown[0]))
    chosen = () if unknown else request.accounts
    request.zones = tuple({account.zone: None for account in known if not chosen or account.account in chosen})
    try:
        request.filter = read_filter(texts, accounts=chosen)
    except FilterError as error:
        for fault in error.faults:
            name = fault.field if fault.kind is not FaultKind.UNKNOWN_FIELD else "unknown"
            request.errors.setdefault(name, fault_text(fault, language))
    for name, bound in (("since", request.filter.since), ("until", request.filter.until)):
        if bound is None:
            continue
        for zone in request.zones:
            try:
                instant_us(bound, load_zone(zone))
            except NotOneInstant as error:
                request.errors[name] = local_time_text(error, language)
    _read_display(request, query, language)
    currency = request.filter.currency
    if currency is not None and not any(equals_currency(one, currency) for one in currencies):
        request.errors["currency"] = language.say("There are no flows in %(got)s.", got=short_repr(currency))
    return request


def _read_display(request: FlowsRequest, query: Mapping[str, Sequence[str]], language: Language) -> None:
    """Read the columns, the order and the zone of an address, and which view it began with."""
    say, last = language.say, {name: query.get(name, [""])[-1].strip()[:TEXT_MAX] for name in DISPLAY_FIELDS}
    columns = [name for text in query.get("columns", ()) for name in text.split(",") if name]
    unknown = [name for name in columns if name not in COLUMNS]
    if unknown:
        known, got = ", ".join(COLUMNS), short_repr(unknown[0][:TEXT_MAX])
        request.errors["columns"] = say("There is no column named %(got)s. Columns: %(known)s.", got=got, known=known)
    elif columns:
        request.columns = in_order(columns)
    order, zone = last["order"] or NEWEST, last["zone"]
    if order not in ORDERS:
        got = short_repr(order)
        request.errors["order"] = say("Expected %(known)s, got %(got)s.", known=", ".join(ORDERS), got=got)
        order = NEWEST
    if zone not in ("", ACCOUNT_ZONE) and not is_zone(zone):
        expected = say("Expected a time zone such as Asia/Hong_Kong")
        request.errors["zone"] = say("%(expected)s; got %(typed)s.", expected=expected, typed=short_repr(zone))
        zone = ""
    request.filter = request.filter._replace(newest_first=order == NEWEST)
    request.display = display_fields(request.columns, order, zone)
    if last["base_view"]:
        request.display["base_view"] = last["base_view"]


def _texts(query: Mapping[str, Sequence[str]], other: Collection[str]) -> dict[str, list[str]]:
    """The filter's texts by field, without empty ones."""
    texts: dict[str, list[str]] = {}
    for name, values in query.items():
        given = [value for value in values if value.strip()]
        if given and name != "account" and name not in other:
            texts.setdefault(ALIASES.get(name, name), []).extend(given)
    return texts


def local_time_text(error: NotOneInstant, language: Language) -> str:
    """Say that clocks skip a time or show it twice, in the reader's language."""
    zone, first, second = str(error.zone), *error.examples
    if error.first is None:
        return language.say(
            "Clocks in %(zone)s skip this time. Give its offset, as in %(first)s or %(second)s.",
            zone=zone,
            first=first,
            second=second,
        )
    return language.say(
        "Clocks in %(zone)s show this time twice. Give its offset: %(first)s or %(second)s.",
        zone=zone,
        first=first,
        second=second,
    )


def fault_text(fault: FilterFault, language: Language) -> str:
    """Describe the fault of a field, in the reader's language."""
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


# ---------------------------------------------------------------- the overview

OVERVIEW_FIELDS: Final = ("unit", "currency", "since", "until")
UNITS: Final = (Unit.DAY, Unit.WEEK, Unit.MONTH)
FIRST_YEAR: Final = 1900
LAST_YEAR: Final = 2200
"""The last year that can be requested; up to it, calendars and time zones are reliable."""


@dataclass
class OverviewRequest(FilterRequest):
    """A request for the overview, and its query."""

    PATH: ClassVar[str] = "/"

    query: OverviewQuery = field(default_factory=OverviewQuery)


def read_overview_request(
    fields: Mapping[str, Sequence[str]], accounts: Sequence[str], currencies: Sequence[str], language: Language
) -> OverviewRequest:
    """Read the fields of an address. An invalid field is an error, and the overview is shown without it."""
    given = {ALIASES.get(name, name): values[-1][:TEXT_MAX] for name, values in fields.items() if values and values[-1]}
    chosen = tuple(dict.fromkeys(name[:TEXT_MAX] for name in fields.get("account", ()) if name))
    request = OverviewRequest({name: given[name] for name in OVERVIEW_FIELDS if name in given}, chosen)
    say, errors, typed = language.say, request.errors, request.typed
    unknown = [name for name in given if name not in (*OVERVIEW_FIELDS, "account")]
    if unknown:
        known, got = ", ".join(OVERVIEW_FIELDS), short_repr(unknown[0])
        errors["unknown"] = say("There is no filter named %(got)s. Filters: %(known)s.", got=got, known=known)
    absent = [name for name in chosen if name not in accounts]
    if absent:
        errors["account"] = say("There is no account named %(got)s.", got=short_repr(absent[0]))
        chosen = ()
    unit = Unit.MONTH
    if typed.get("unit", unit) in UNITS:
        unit = Unit(typed.get("unit", unit))
    else:
        errors["unit"] = say("Expected %(known)s, got %(got)s.", known=", ".join(UNITS), got=short_repr(typed["unit"]))
    currency = None
    if "currency" in typed:
        currency = next((one for one in currencies if equals_currency(one, typed["currency"])), None)
        if currency is None:
            errors["currency"] = say("There are no flows in %(got)s.", got=short_repr(typed["currency"]))
    since, until = (_day(typed, name, errors, language) for name in ("since", "until"))
    if until and (until == date.min or (since and since >= until)):
        errors["until"] = say("The end must be after the beginning.")
        since = until = None
    last = until - DAY if until else None
    periods = len(Span(unit, since, last).periods()) if since and last else 0
    if periods > PERIODS_MAX:
        errors["until"] = say(
            "Expected at most %(most)s periods, got %(got)s. Choose longer periods or fewer days.",
            most=PERIODS_MAX,
            got=periods,
        )
        since = last = None
    request.query = OverviewQuery(unit, currency, since, last, chosen)
    return request


def _day(typed: Mapping[str, str], name: str, errors: dict[str, str], language: Language) -> date | None:
    text = typed.get(name)
    if text is None:
        return None
    day = parse_day(text)
    if day is None:
        errors[name] = language.say("Expected a date such as 2024-01-31, got %(got)s.", got=short_repr(text))
        return None
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        errors[name] = language.say(
            "Expected a date in the years %(first)s to %(last)s, got %(got)s.",
            first=FIRST_YEAR,
            last=LAST_YEAR,
            got=short_repr(text),
        )
        return None
    return day
