"""The names of kinds, directions, categories and coverage states on the page."""

from dataclasses import dataclass
from typing import Final

from liushui.server.web.i18n import Language


def _(text: str) -> str:
    """Mark a text for the catalogues. It is translated when it is shown."""
    return text


KINDS: Final = {
    "deposit": _("Deposit"),
    "withdrawal": _("Withdrawal"),
    "transfer": _("Transfer"),
    "trade": _("Trade"),
    "fee": _("Fee"),
    "rebate": _("Rebate"),
    "funding": _("Funding fee"),
    "realized_pnl": _("Realized profit and loss"),
    "liquidation": _("Liquidation"),
    "dividend": _("Dividend"),
    "interest": _("Interest"),
    "tax": _("Tax"),
    "receipt": _("Receipt"),
    "refund": _("Refund"),
    "conversion": _("Currency conversion"),
    "adjustment": _("Adjustment"),
    "other": _("Other"),
}

DIRECTIONS: Final = {"in": _("In"), "out": _("Out"), "none": _("Not stated")}

CATEGORIES: Final = {
    "cash": _("Cash"),
    "stock": _("Stock"),
    "fund": _("Fund"),
    "futures": _("Futures"),
    "other": _("Other"),
}

COVERAGE: Final = {"proven": _("Complete"), "open": _("Gap")}


@dataclass(frozen=True)
class Labels:
    """The names in one language. A value without one, perhaps from an outside provider, is shown as it is."""

    language: Language

    def kind(self, value: str) -> str:
        """The name of a kind of flow."""
        return self._named(KINDS, value)

    def direction(self, value: str) -> str:
        """The name of a direction."""
        return self._named(DIRECTIONS, value)

    def category(self, value: str) -> str:
        """The name of a category."""
        return self._named(CATEGORIES, value)

    def coverage(self, value: str) -> str:
        """The name of a range's state."""
        return self._named(COVERAGE, value)

    def _named(self, names: dict[str, str], value: str) -> str:
        return self.language.say(names[value]) if value in names else value
