"""The page's languages: the choice for a reader, translations, and the format of dates, times and numbers."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_timedelta, get_datetime_format
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, get_currency_precision, get_decimal_symbol, get_group_symbol
from babel.support import NullTranslations, Translations

from liushui.instant import to_local
from liushui.money import EXACT, to_plain_string

CATALOGUES: Final = Path(__file__).parent / "locale"
DOMAIN: Final = "page"

TAGS: Final = {"en": "English", "zh-Hans": "简体中文", "zh-Hant": "繁體中文"}
"""The name of each language in that language, by tag."""
SOURCE: Final = "en"
"""The language of the texts in code and templates."""

_TRADITIONAL: Final = frozenset({"hant", "tw", "hk", "mo"})
MINUS: Final = "\N{MINUS SIGN}"
USUAL_DECIMALS: Final = 2


@dataclass(frozen=True)
class Language:
    """A language. All methods are pure."""

    tag: str
    translations: NullTranslations

    @property
    def name(self) -> str:
        """Its name in the language itself."""
        return TAGS[self.tag]

    @property
    def is_chinese(self) -> bool:
        """Whether red means a rise, as for Chinese readers."""
        return self.tag.startswith("zh")

    @cached_property
    def locale(self) -> Locale:
        """Its locale in Babel."""
        return Locale.parse(self.tag, sep="-")

    @cached_property
    def _group_symbol(self) -> str:
        return get_group_symbol(self.locale)

    @cached_property
    def _decimal_symbol(self) -> str:
        return get_decimal_symbol(self.locale)

    def say(self, text: str, **values: object) -> str:
        """Translate English text. `values` are for its %(name)s."""
        translated: str = self.translations.ugettext(text)
        return translated % values if values else translated

    def say_many(self, one: str, many: str, number: int, **values: object) -> str:
        """Translate English text in the singular or the plural. %(number)s is the number with its digits grouped."""
        translated: str = self.translations.ungettext(one, many, number)
        return translated % {"number": self.number(number), **values}

    def amount(self, amount: Decimal, *, signed: bool = False) -> str:
        """An exact amount with all its zeros, its digits grouped. `signed`: with a plus if it is positive."""
        whole, point, fraction = to_plain_string(amount.copy_abs()).partition(".")
        grouped = self._grouped(whole)
        sign = MINUS if amount < 0 else "+" if signed and amount > 0 else ""
        return f"{sign}{grouped}{self._decimal_symbol if point else ''}{fraction}"

    def money(self, amount: Decimal, currency: str, *, signed: bool = False) -> str:
        """An amount with its currency, for a sentence: zeros beyond the currency's usual decimals are left out."""
        return f"{self.short_amount(amount, currency, signed=signed)} {currency}"

    def short_amount(self, amount: Decimal, currency: str | None = None, *, signed: bool = False) -> str:
        """An amount with its shown decimals only (see `shown_decimals`). The value is still exact."""
        shown = shown_decimals(amount, currency)
        text, hidden = self.amount(amount, signed=signed), max(0, decimals_of(amount) - shown)
        kept = text[: len(text) - hidden] if hidden else text
        return kept.rstrip(self._decimal_symbol) + self.decimal_zeros(amount, shown)

    def decimal_zeros(self, amount: Decimal, shown: int) -> str:
        """Return the text after an amount with fewer decimals than are shown: zeros, and a point if it has none."""
        own = decimals_of(amount)
        if shown <= own:
            return ""
        return ("" if own else self._decimal_symbol) + "0" * (shown - own)

    def number(self, number: int) -> str:
        """A whole number with its digits grouped."""
        return format_decimal(number, locale=self.locale)

    def day(self, day: date) -> str:
        """A date in medium length, such as Jan 31, 2024."""
        return _medium_date(self.locale, day)

    def moment(self, at: datetime, zone: ZoneInfo) -> str:
        """A date and a time to the second, in a zone. The clock has 24 hours in every language, as in lists."""
        local = to_local(at, zone)
        pattern = str(get_datetime_format("medium", locale=self.locale))
        return pattern.replace("{1}", self.day(local.date())).replace("{0}", f"{local:%H:%M:%S}")

    def span(self, length: timedelta) -> str:
        """A duration in its largest unit, rounded."""
        return format_timedelta(length, threshold=1, locale=self.locale)

    def ago(self, length: timedelta) -> str:
        """How long ago something was, rounded. A negative length is in the future."""
        return format_timedelta(-length, add_direction=True, threshold=1, locale=self.locale)

    def _grouped(self, whole: str) -> str:
        first = len(whole) % 3
        parts = [whole[:first]] * bool(first) + [whole[at : at + 3] for at in range(first, len(whole), 3)]
        return self._group_symbol.join(parts)


@lru_cache(maxsize=4_096)
def _medium_date(locale: Locale, day: date) -> str:
    return format_date(day, "medium", locale=locale)


def decimals_of(amount: Decimal) -> int:
    """The number of decimals that an amount is written with."""
    exponent = amount.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def usual_decimals(currency: str) -> int:
    """The number of decimals that amounts of a currency usually have; 2 for a currency that is not in CLDR."""
    return get_currency_precision(currency)


def shown_decimals(amount: Decimal, currency: str | None = None) -> int:
    """Return the number of decimals to show: the usual ones, or more if further ones are not zero.

    Without a currency, two are usual; an amount written with fewer keeps them.
    """
    own = decimals_of(amount)
    usual = min(own, USUAL_DECIMALS) if currency is None else usual_decimals(currency)
    return max(usual, own and decimals_of(amount.normalize(EXACT)))


def read_languages(folder: Path = CATALOGUES) -> Mapping[str, Language]:
    """Every language by tag. The .po files are compiled here, so no .mo file can be outdated."""
    languages = {SOURCE: Language(SOURCE, NullTranslations())}
    for tag in TAGS:
        if tag != SOURCE:
            languages[tag] = Language(tag, _compiled(folder / f"{tag}.po"))
    return {tag: languages[tag] for tag in TAGS}


def choose_language(cookie: str | None, accepted: str) -> str:
    """The tag of the language that a reader chose by cookie; else the best for the browser's Accept-Language."""
    if cookie in TAGS:
        return cookie
    return next((tag for tag in map(_known, _by_preference(accepted)) if tag), SOURCE)


def _compiled(path: Path) -> NullTranslations:
    with path.open("rb") as file:
        catalogue = read_po(file)
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Translations(compiled, DOMAIN)


def _by_preference(accepted: str) -> list[str]:
    """The tags of an Accept-Language, the most wanted first, without those of weight zero."""
    weighed = []
    for position, part in enumerate(accepted[:1000].split(",")):
        tag, _, weight = part.strip().partition(";")
        text = weight.strip().removeprefix("q=").strip() or "1"
        thousandths = _thousandths(text)
        if tag and thousandths:
            weighed.append((-thousandths, position, tag.strip().lower()))
    return [tag for _, _, tag in sorted(weighed)]


def _thousandths(weight: str) -> int:
    """A weight such as 0.8 in thousandths; zero if it is malformed."""
    whole, _, fraction = weight.partition(".")
    digits = f"{whole}{fraction[:3]:0<3}"
    return min(int(digits), 1000) if digits.isascii() and digits.isdecimal() else 0


def _known(tag: str) -> str | None:
    parts = tag.split("-")
    if parts[0] == "zh":
        return "zh-Hant" if _TRADITIONAL & set(parts[1:]) else "zh-Hans"
    return SOURCE if parts[0] in (SOURCE, "*") else None
