"""Makes certificates: reads their content in one transaction, signs it, and stores it."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal, localcontext
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui import __version__, describe
from liushui.certificate import document as doc
from liushui.certificate.balance_breaks import BalanceChains
from liushui.certificate.merkle import TreeHasher
from liushui.certificate.note import SigningKey
from liushui.certificate.open_items import OpenItems
from liushui.certificate.rows import COLUMNS, CertifiedRow, canonical_row, certified_rows
from liushui.certificate.store import StoredCertificate, insert_certificate, last_certificate
from liushui.errors import InvalidField, LedgerError
from liushui.instant import from_us, to_iso, to_us, us_to_iso
from liushui.ledger.day_totals import Total
from liushui.ledger.engines.base import REVISION, queries_of
from liushui.ledger.flow_row import identity_of
from liushui.ledger.read.account_sums import sum_flows
from liushui.ledger.read.accounts import AccountName
from liushui.ledger.read.balances import BalanceCheck, balances_of
from liushui.ledger.read.completeness import Basis, is_open_end
from liushui.ledger.read.coverage import coverage_ranges
from liushui.ledger.read.filters import FlowFilter
from liushui.ledger.read.model import Account, Reading, ReadModel
from liushui.ledger.read.month_calendar import Month, month_of, read_month
from liushui.ledger.read.stated_balances import Key, read_points
from liushui.ledger.schema import accounts, history, quarantine
from liushui.ledger.tombstones import chain_beginning
from liushui.ledger.write.quarantine import from_columns
from liushui.money import EXACT, ZERO, to_plain_string
from liushui.provider import Provider
from liushui.rules import BALANCE_RULES, Paging, Rules

Stamp = Callable[[bytes], bytes]
"""Asks a time stamping authority for the time stamp of a note. Raises CertificateError."""

_NOT_ORDERED: Final = "this version of liushui does not list rows whose order is ambiguous"


def finished_month(name: str, account: AccountName, now: datetime) -> Month:
    """The month `2026-10` of an account. Raises InvalidField if it is not a month, or not over."""
    month = month_of(read_month(name), account)
    if to_us(now) < month.until_us:
        raise InvalidField("period", f"a month that is over in {account.zone}", name)
    return month


def make_certificate(
    model: ReadModel,
    account: str,
    period: str,
    key: SigningKey,
    providers: dict[str, Provider],
    stamp: Stamp | None = None,
) -> tuple[StoredCertificate, doc.Document]:
    """Make the certificate of an account's month, sign it, have it stamped, and store it.

    If anything fails, nothing is stored. Raises AccountNotFound, InvalidField, CertificateError and LedgerError.
    """
    stored, made = sign_certificate(model, account, period, key, providers)
    if stamp is not None:
        stored = stored._replace(timestamp=stamp(stored.note))
    insert_certificate(model.ledger, stored)
    return stored, made


def sign_certificate(
    model: ReadModel, account: str, period: str, key: SigningKey, providers: dict[str, Provider]
) -> tuple[StoredCertificate, doc.Document]:
    """Make and sign a certificate, which the caller stores. Raises AccountNotFound, InvalidField and LedgerError."""
    with model.reading([account]) as reading:
        chosen = reading.accounts[account]
        month = finished_month(period, chosen.name, reading.now)
        previous = last_certificate(reading.connection, account)
        number = 1 if previous is None else previous.number + 1
        provider = providers.get(chosen.name.provider)
        made = _DocumentBuilder(reading, chosen, month, provider, model.rules).document(number, previous)
    note = key.sign(doc.to_bytes(made))
    stored = StoredCertificate(
        account,
        number,
        period,
        reading.now,
        made.integrity.batch,
        made.integrity.link,
        str(key.verifier),
        doc.digest_of(note),
        note,
        None,
    )
    return stored, made


class _Rows:
    """The sums of a period's rows, computed in one pass. Memory does not grow with their number."""

    def __init__(self, rows: Iterable[CertifiedRow]) -> None:
        self.tree = TreeHasher()
        sums: dict[tuple[str, str, str], list[Decimal]] = {}
        counts: Counter[tuple[str, str, str]] = Counter()
        with localcontext(EXACT):
            for row in rows:
                self.tree.add(canonical_row(row))
                key, amount = (row["subaccount"], row["currency"], row["kind"]), row["amount"]
                counts[key] += 1
                sums.setdefault(key, [ZERO, ZERO])[amount.startswith("-")] += Decimal(amount)
        self.by_kind = {key: Total(counts[key], *sums[key]) for key in sorted(sums)}
        self.by_balance: defaultdict[tuple[str, str], Total] = defaultdict(Total)
        for (subaccount, currency, _), total in self.by_kind.items():
            self.by_balance[subaccount, currency] = self.by_balance[subaccount, currency].plus(total)


class _Balances:
    """The balances of an account before an instant, by subaccount and currency."""

    def __init__(self, connection: Connection, account: Account, at: datetime) -> None:
        self._verdict = account.verdict(until=at)
        sums = sum_flows(connection, FlowFilter(until=at).of(account.name))
        points = read_points(queries_of(connection), account.name, until_us=to_us(at))
        balances = balances_of(account, self._verdict, sums, points, at)
        self.by_key = {(balance.subaccount, balance.currency): balance for balance in balances}

    def figure(self, key: Key, amount: Decimal, basis: Basis) -> doc.Figure:
        """Return a balance at that moment; empty if the sum is only a net change."""
        if not basis.is_balance:
            return doc.Figure(None, complete=False, reason=f"flows are known only since {basis.since_day}")
        verdict = self.by_key[key].verdict if key in self.by_key else self._verdict
        return doc.Figure(to_plain_string(amount), verdict.is_complete, verdict.reason)


class _DocumentBuilder:
    """Collects the content of a certificate from one state of the ledger."""

    def __init__(
        self,
        reading: Reading,
        account: Account,
        month: Month,
        provider: Provider | None,
        rules: Mapping[str, Rules[Paging]],
    ) -> None:
        self._connection, self._now, self._rules = reading.connection, reading.now, rules
        self._account, self._month, self._provider = account, month, provider
        self._visible = reading.visible
        self._name, self._batch = account.name.account, account.snapshot.head
        self._open_items = OpenItems(self._name)
        rows = certified_rows(reading.connection, self._name, *month.range_us, self._batch)
        self._chains = BalanceChains((provider.rules.balances if provider else None) or BALANCE_RULES)
        self._rows = _Rows(self._chains.watch(self._open_items.watch(rows)))
        self._verdict = account.completeness.of(*month.range_us)

    def document(self, number: int, previous: StoredCertificate | None) -> doc.Document:
        """Return the document with this number. `previous` is the account's previous certificate."""
        return doc.Document(
            format=doc.FORMAT,
            version=doc.VERSION,
            number=number,
            created_at=to_iso(self._now),
            subject=self._subject(),
            software=self._software(),
            population=self._population(previous),
            completeness=self._completeness(),
            roll_forward=self._roll_forward(),
            order=doc.Section("could_not_check", _NOT_ORDERED, []),
            breaks=self._chains.section(),
            open_items=self._open_items.section(self._connection, self._rules, self._now, self._verdict, self._visible),
            integrity=self._integrity(previous),
            does_not_say=list(doc.NOT_SAID),
        )

    def _subject(self) -> doc.Subject:
        name, month = self._account.name, self._month
        since, until = from_us(month.since_us), from_us(month.until_us)
        period = doc.Period(
            month.name,
            to_iso(since),
            to_iso(until),
            since.astimezone(name.tz).isoformat(),
            until.astimezone(name.tz).isoformat(),
        )
        subaccounts, currencies = (sorted({key[at] for key in self._rows.by_balance}) for at in (0, 1))
        return doc.Subject(name.account, name.provider, name.zone, period, subaccounts, currencies)

    def _software(self) -> doc.Software:
        if self._provider is None:
            return doc.Software(__version__, REVISION, "", "")
        rules = sha256(msgspec.json.encode(self._provider.rules, order="deterministic")).hexdigest()
        return doc.Software(__version__, REVISION, _package_version(self._provider), rules)

    def _population(self, previous: StoredCertificate | None) -> doc.Population:
        return doc.Population(
            rows=self._rows.tree.size,
            columns=list(COLUMNS),
            totals=[
                doc.KindTotal(*key, total.flows, to_plain_string(total.money_in), to_plain_string(total.money_out))
                for key, total in self._rows.by_kind.items()
            ],
            rejected=self._rejected(),
            since_certificate=None if previous is None else previous.number,
            ended=self._ended_versions(0 if previous is None else previous.batch),
        )

    def _ended_versions(self, since_batch: int) -> dict[str, int]:
        """Return the numbers of versions of the period's flows that ended after a batch, by the way in which they
        ended."""
        h, month = history.c, self._month
        query = sa.select(h.ended_as, sa.func.count()).where(h.account == self._name, h.ended_batch > since_batch)
        query = query.where(h.at_us >= month.since_us, h.at_us < month.until_us).group_by(h.ended_as)
        return {ended_as: int(count) for ended_as, count in self._connection.execute(query)}

    def _rejected(self) -> doc.Rejected:
        q, month = quarantine.c, self._month
        query = sa.select(q.since_us, q.until_us, q.holes, q.id).where(q.account == self._name)
        digests = []
        for since_us, until_us, holes, id_ in self._connection.execute(query.where(q.ended_batch.is_(None))):
            span = from_columns(since_us, until_us, holes)
            # A row without a readable time may belong to any period.
            if span is None or any(part.since_us < month.until_us and part.until_us > month.since_us for part in span):
                digests.append(identity_of(id_))  # the digest of the row, which stays when its bytes are erased
        return doc.Rejected(len(digests), sha256("".join(f"{one}\n" for one in sorted(digests)).encode()).hexdigest())

    def _completeness(self) -> doc.Basis:
        verdict = self._verdict
        since_us, until_us = self._month.range_us
        read = [
            doc.ReadRange(
                us_to_iso(max(known.since_us, since_us)),
                us_to_iso(min(known.until_us, until_us)),
                us_to_iso(known.checked_at_us),
                known.batch,
            )
            for known in coverage_ranges(self._account)
            if known.gap is None and known.checked_at_us is not None and known.batch is not None
            if known.since_us < until_us and known.until_us > since_us
        ]
        missing = [
            doc.MissingRange(_end_text(gap.since_us), _end_text(gap.until_us), gap.cause.value, gap.reason)
            for gap in verdict.gaps
        ]
        is_known = verdict.until_us is not None and not is_open_end(verdict.until_us)
        return doc.Basis(
            verdict.status.value,
            verdict.is_complete,
            us_to_iso(verdict.until_us) if verdict.until_us is not None and is_known else None,
            read,
            missing,
            None if self._provider is None else _facts(self._provider),
        )

    def _roll_forward(self) -> list[doc.Line]:
        """Return a line for each balance that exists at the end of the period. Raises LedgerError for a damaged
        ledger."""
        since, until = (_Balances(self._connection, self._account, from_us(at_us)) for at_us in self._month.range_us)
        lines = []
        for key, balance in sorted(until.by_key.items()):
            if not balance.flows and balance.check.stated is None:
                continue  # it begins after the period
            before, total = since.by_key.get(key), self._rows.by_balance[key]
            # Without flows and stated balances before the period, the balance begins with the opening balance.
            opening = (balance.opening or ZERO) if before is None else before.amount
            if EXACT.add(opening, total.net) != balance.amount:
                raise LedgerError(
                    f"account {self._name}: its {key[1]} rows do not add up to its totals: run `liushui verify`"
                )
            money_in, money_out = (to_plain_string(amount) for amount in (total.money_in, total.money_out))
            figures = since.figure(key, opening, balance.basis), until.figure(key, balance.amount, balance.basis)
            lines.append(doc.Line(*key, figures[0], money_in, money_out, figures[1], _check(balance.check)))
        return lines

    def _integrity(self, previous: StoredCertificate | None) -> doc.Integrity:
        account = self._connection.execute(sa.select(accounts).where(accounts.c.account == self._name)).one()
        return doc.Integrity(
            chain_beginning(self._connection, self._name) or "",
            account.head,
            account.link,
            self._rows.tree.root().hex(),
            None if previous is None else previous.digest,
        )


def _check(check: BalanceCheck) -> doc.BalanceCheck:
    stated, expected, difference = (
        None if amount is None else to_plain_string(amount)
        for amount in (check.stated, check.expected, check.difference)
    )
    return doc.BalanceCheck(
        check.status.value,
        check.reason,
        stated,
        expected,
        difference,
        None if check.at is None else to_iso(check.at),
        None if check.origin is None else check.origin.value,
        check.id,
    )


def _facts(provider: Provider) -> doc.ProviderFacts:
    rules = provider.rules
    return doc.ProviderFacts(provider.title, describe.paging(rules), describe.clock(rules), describe.ranges(rules))


def _package_version(provider: Provider) -> str:
    """The version of the package that has a provider; empty if it is in none."""
    package = getattr(provider.connect, "__module__", "").partition(".")[0]
    try:
        return __version__ if package == "liushui" else version(package)
    except (PackageNotFoundError, ValueError):
        return ""


def _end_text(at_us: int) -> str | None:
    return None if is_open_end(at_us) else us_to_iso(at_us)
