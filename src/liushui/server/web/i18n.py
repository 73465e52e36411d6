"""The page's languages: which one a reader gets, its words, and how it writes dates, times and numbers."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_datetime, format_timedelta
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, get_decimal_symbol, get_group_symbol
from babel.support import NullTranslations, Translations

from liushui.money import to_plain_string

CATALOGUES: Final = Path(__file__).parent / "locale"
DOMAIN: Final = "page"

TAGS: Final = {"en": "English", "zh-Hans": "简体中文", "zh-Hant": "繁體中文"}
"""The languages by their tags, each under its own name."""
SOURCE: Final = "en"
"""The language that the code is written in."""

_TRADITIONAL: Final = frozenset({"hant", "tw", "hk", "mo"})
MINUS: Final = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Language:
    """One language. All its methods are pure."""

    tag: str
    words: NullTranslations

    @property
    def name(self) -> str:
        """What its speakers call it."""
        return TAGS[self.tag]

    @property
    def is_chinese(self) -> bool:
        """Whether red says that something rises, where nobody chose."""
        return self.tag.startswith("zh")

    @cached_property
    def locale(self) -> Locale:
        """Babel's description of it."""
        return Locale.parse(self.tag, sep="-")

    def say(self, text: str, **values: object) -> str:
        """English text in this language, with its %(name)s filled in."""
        said: str = self.words.ugettext(text)
        return said % values if values else said

    def say_many(self, one: str, many: str, number: int, **values: object) -> str:
        """English text for one or several, in this language; %(number)s is the number, grouped."""
        said: str = self.words.ungettext(one, many, number)
        return said % {"number": self.number(number), **values}

    def amount(self, amount: Decimal, *, signed: bool = False) -> str:
        """Money, exact to its last zero, its digits grouped. `signed`: with a plus where it is above zero."""
        whole, point, fraction = to_plain_string(amount.copy_abs()).partition(".")
        grouped = self._grouped(whole)
        sign = MINUS if amount < 0 else "+" if signed and amount > 0 else ""
        return f"{sign}{grouped}{get_decimal_symbol(self.locale) if point else ''}{fraction}"

    def number(self, number: int) -> str:
        """A whole number, its digits grouped."""
        return format_decimal(number, locale=self.locale)

    def day(self, day: date) -> str:
        """A date, in a few letters."""
        return format_date(day, "medium", locale=self.locale)

    def moment(self, at: datetime, zone: ZoneInfo) -> str:
        """A date and a time of day to the second, in a zone."""
        return format_datetime(at, "medium", tzinfo=zone, locale=self.locale)

    def span(self, length: timedelta) -> str:
        """A length of time in its largest unit, about."""
        return format_timedelta(length, threshold=1, locale=self.locale)

    def ago(self, length: timedelta) -> str:
        """How long ago something was, about. Below zero: in how long it will be."""
        return format_timedelta(-length, add_direction=True, threshold=1, locale=self.locale)

    def _grouped(self, whole: str) -> str:
        first = len(whole) % 3
        parts = [whole[:first]] * bool(first) + [whole[at : at + 3] for at in range(first, len(whole), 3)]
        return get_group_symbol(self.locale).join(parts)


def read_languages(folder: Path = CATALOGUES) -> Mapping[str, Language]:
    """Every language by its tag, from the catalogues' sources: what is read is what can be reviewed."""
    languages = {SOURCE: Language(SOURCE, NullTranslations())}
    for tag in TAGS:
        if tag != SOURCE:
            languages[tag] = Language(tag, _compiled(folder / f"{tag}.po"))
    return {tag: languages[tag] for tag in TAGS}


def chosen(cookie: str | None, accepted: str) -> str:
    """The tag of the language for a reader who chose one, or whose browser sends this Accept-Language."""
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
    """The tags of an Accept-Language, the best first; those with a weight of zero are not wanted."""
    weighed = []
    for position, part in enumerate(accepted[:1000].split(",")):
        tag, _, weight = part.strip().partition(";")
        text = weight.strip().removeprefix("q=").strip() or "1"
        thousandths = _thousandths(text)
        if tag and thousandths:
            weighed.append((-thousandths, position, tag.strip().lower()))
    return [tag for _, _, tag in sorted(weighed)]


def _thousandths(weight: str) -> int:
    """A weight such as 0.8, in thousandths; zero where it is none."""
    whole, _, fraction = weight.partition(".")
    digits = f"{whole}{fraction[:3]:0<3}"
    return min(int(digits), 1000) if digits.isascii() and digits.isdecimal() else 0


def _known(tag: str) -> str | None:
    parts = tag.split("-")
    if parts[0] == "zh":
        return "zh-Hant" if _TRADITIONAL & set(parts[1:]) else "zh-Hans"
    return SOURCE if parts[0] in (SOURCE, "*") else None
