"""What the page calls things that the code knows by a word: kinds, directions, categories, states."""

from dataclasses import dataclass
from typing import Final

from liushui.server.web.i18n import Language


def _(text: str) -> str:
    """Marks text for the catalogues. It is translated where it is shown."""
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
class Words:
    """The names in one language. What has none here, from an outside provider perhaps, keeps its own."""

    language: Language

    def kind(self, word: str) -> str:
        """The name of a kind of flow."""
        return self._named(KINDS, word)

    def direction(self, word: str) -> str:
        """The name of a side."""
        return self._named(DIRECTIONS, word)

    def category(self, word: str) -> str:
        """The name of a category."""
        return self._named(CATEGORIES, word)

    def coverage(self, word: str) -> str:
        """The name of a range's state."""
        return self._named(COVERAGE, word)

    def _named(self, names: dict[str, str], word: str) -> str:
        return self.language.say(names[word]) if word in names else word
