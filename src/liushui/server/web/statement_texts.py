"""The texts of an account statement in one language, for its page and its PDF alike."""

from collections.abc import Sequence
from decimal import Decimal
from zoneinfo import ZoneInfo

import msgspec

from liushui.certificate.store import StoredCertificate
from liushui.ledger.read.completeness import Verdict
from liushui.ledger.read.filters import DAY
from liushui.ledger.read.month_calendar import next_month
from liushui.ledger.read.statement import AccountStatement, StatementPart
from liushui.ledger.read.summaries import Unit
from liushui.server.web.flow_rows import local_text
from liushui.server.web.i18n import Language
from liushui.server.web.labels import Labels, coverage_label, period_name


class StatementLine(msgspec.Struct, frozen=True):
    """A row as texts. `reference` may be empty."""

    time: str
    kind: str
    description: str
    reference: str
    amount: str
    balance: str


class StatementSection(msgspec.Struct, frozen=True):
    """One subaccount and currency as texts. `figures` are pairs of a name and an amount."""

    title: str
    figures: Sequence[tuple[str, str]]
    is_complete: bool
    completeness: str
    count: str
    opening: tuple[str, str]
    closing: tuple[str, str]
    rows: Sequence[StatementLine]


class StatementTexts(msgspec.Struct, frozen=True):
    """A statement as texts."""

    language: str
    title: str
    facts: Sequence[tuple[str, str]]
    """Pairs of a name and a text: account, provider, period and so on."""
    columns: Sequence[str]
    """The names of the columns: time, kind, description, amount, balance."""
    sections: Sequence[StatementSection]
    nothing: str
    """The text to show if there are no sections."""
    page_of: str
    """The page number in the foot: `{0}` stands for the page, `{1}` for their number."""


def write_statement(
    statement: AccountStatement,
    certificate: StoredCertificate | None,
    provider: str,
    zone: str,
    language: Language,
) -> StatementTexts:
    """The texts of a statement, its times in a zone. `certificate`: the newest one of the month."""
    say, name, month = language.say, statement.account.name, statement.month
    day, first = language.day, month.month.first
    last = next_month(first) - DAY
    facts = [
        (say("Account"), name.account),
        (say("Provider"), say(provider)),
        (say("Period"), f"{period_name(Unit.MONTH, first, last, language)} ({day(first)} – {day(last)})"),
        (
            say("Time zone"),
            zone if zone == name.zone else f"{zone} · {say('Days are those of %(zone)s.', zone=name.zone)}",
        ),
        (say("Completeness"), _verdict_text(month.verdict, zone, language)),
    ]
    if certificate is not None:
        made = language.moment(certificate.created_at, ZoneInfo(zone))
        facts.append(
            (say("Certificate"), f"{certificate.account} {certificate.number} · {made} · {certificate.digest}")
        )
    return StatementTexts(
        language.tag,
        say("Account statement"),
        facts,
        (say("Time"), say("Kind"), say("Description"), say("Amount"), say("Balance")),
        [_section(part, zone, language) for part in statement.parts],
        say("Nothing moved in this month."),
        say("Page %(page)s of %(pages)s", page="{0}", pages="{1}"),
    )


def _section(part: StatementPart, zone: str, language: Language) -> StatementSection:
    say, line, labels, tz = language.say, part.line, Labels(language), ZoneInfo(zone)

    def amount(value: Decimal | None, *, signed: bool = False) -> str:
        return say("not known") if value is None else language.short_amount(value, line.currency, signed=signed)

    figures = line.ledger
    rows = [
        StatementLine(
            local_text(found.flow.at, tz),
            labels.kind(found.flow.kind),
            " · ".join(filter(None, (found.flow.label, found.flow.symbol, found.flow.name, found.flow.note))),
            " · ".join(dict.fromkeys(filter(None, (found.flow.ref, found.flow.order_ref)))),
            amount(found.flow.amount, signed=True),
            "" if balance is None else amount(balance),
        )
        for found, balance in part.rows
    ]
    opening, closing = (
        (say("Opening balance"), amount(figures.opening)),
        (say("Closing balance"), amount(figures.closing)),
    )
    return StatementSection(
        f"{line.subaccount} · {line.currency}" if line.subaccount else line.currency,
        (opening, (say("In"), amount(figures.money_in)), (say("Out"), amount(figures.money_out)), closing),
        line.verdict.is_complete,
        _verdict_text(line.verdict, zone, language),
        language.say_many("%(number)s flow", "%(number)s flows", line.flows),
        opening,
        closing,
        rows,
    )


def _verdict_text(verdict: Verdict, zone: str, language: Language) -> str:
    label = coverage_label(verdict, zone, language)
    return f"{label.name}. {label.meaning}" if not language.is_chinese else f"{label.name}。{label.meaning}"
