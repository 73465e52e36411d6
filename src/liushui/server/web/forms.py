"""Forms: reads the typed values field by field, and shows an error next to each invalid field."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from liushui.errors import ConfigError, WireError, short_repr
from liushui.instant import NotOneInstant, load_zone, parse_day, parse_instant
from liushui.ledger.jobs.sources import NAME_MAX, check_source_name
from liushui.money import parse_decimal
from liushui.server.web.filter_params import local_time_text
from liushui.server.web.i18n import MINUS
from liushui.server.web.page import Page
from liushui.wire.transport import parse_base_url

TEXT_MAX = 4_000
"""The most characters of one field."""


@dataclass
class Form:
    """A form that was sent. If a method returns None, it has added to `errors`."""

    page: Page
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def is_wrong(self) -> bool:
        """Whether there are errors."""
        return bool(self.errors)

    def typed(self, name: str) -> str:
        """The text of a field, without spaces around it."""
        return self.page.form.get(name, "").strip()

    def ticked(self, name: str) -> bool:
        """Whether a box was ticked."""
        return bool(self.page.form.get(name))

    def wrong(self, name: str, error: str) -> None:
        """Add the error of a field. If a field has several errors, the first one stays."""
        self.errors.setdefault(name, error)

    def text(self, name: str) -> str | None:
        """Text that may not be empty."""
        typed = self.typed(name)
        if not typed:
            self.wrong(name, self.page.say("Fill this in."))
            return None
        if len(typed) > TEXT_MAX:
            self.wrong(name, self.page.say("At most %(most)s characters.", most=TEXT_MAX))
            return None
        return typed

    def source_name(self, name: str) -> str | None:
        """The name of a source."""
        typed = self.typed(name)
        try:
            check_source_name(typed)
        except ConfigError:
            expected = self.page.say("Use 1 to %(most)s letters, digits or - _ . @", most=NAME_MAX)
            self.wrong(name, self._got(expected, typed))
            return None
        return typed

    def address(self, name: str) -> str | None:
        """The base URL of an API."""
        typed = self.typed(name)
        try:
            return parse_base_url(typed)
        except ConfigError:
            expected = self.page.say("Expected an address such as https://host/path, without a query or a password")
            self.wrong(name, self._got(expected, typed.partition("@")[2] or typed))
            return None

    def zone(self, name: str) -> ZoneInfo | None:
        """A time zone."""
        typed = self.typed(name)
        try:
            return load_zone(typed)
        except ConfigError:
            self.wrong(name, self._got(self.page.say("Expected a time zone such as Asia/Hong_Kong"), typed))
            return None

    def instant(self, name: str, zone: ZoneInfo | None) -> datetime | None:
        """A date or a time. An instant without an offset is in the zone."""
        typed = self.typed(name)
        try:
            return parse_instant(name, typed, zone)
        except NotOneInstant as error:
            self.wrong(name, local_time_text(error, self.page.language))
            return None
        except (ConfigError, OverflowError):
            expected = self.page.say("Expected a date or a time such as 2024-01-31 or 2024-01-31T09:30:00Z")
            self.wrong(name, self._got(expected, typed))
            return None

    def day(self, name: str) -> date | None:
        """A day of the calendar."""
        typed = self.typed(name)
        day = parse_day(typed)
        if day is None:
            self.wrong(name, self._got(self.page.say("Expected a date such as 2024-01-31"), typed))
        return day

    def amount(self, name: str) -> Decimal | None:
        """An exact amount. Readers copy amounts with separators, and with the minus sign that pages show."""
        typed = self.typed(name)
        try:
            return parse_decimal(name, typed.replace(",", "").replace(MINUS, "-").removeprefix("+"))
        except WireError:
            self.wrong(name, self._got(self.page.say("Expected an amount such as 1,024.00"), typed))
            return None

    def one_of(self, name: str, known: Collection[str]) -> str | None:
        """One of several values."""
        typed = self.typed(name)
        if typed not in known:
            expected = self.page.say("Choose one of %(known)s", known=", ".join(known))
            self.wrong(name, self._got(expected, typed))
            return None
        return typed

    def some_of(self, name: str, known: Collection[str]) -> list[str]:
        """At least one of several values."""
        chosen = list(dict.fromkeys(self.page.fields.get(name, [])))
        unknown = [value for value in chosen if value not in known]
        if unknown:
            self.wrong(name, self._got(self.page.say("Choose from the list"), unknown[0]))
        elif not chosen:
            self.wrong(name, self.page.say("Choose at least one."))
        return chosen

    def _got(self, expected: str, typed: str) -> str:
        if not typed:
            return self.page.say("%(expected)s; the field is empty.", expected=expected)
        return self.page.say("%(expected)s; got %(typed)s.", expected=expected, typed=short_repr(typed))
