"""A page for one reader: language and settings, session and form, and the templates that become the answer."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache, cached_property
from pathlib import Path
from string import punctuation
from typing import Any, Final, TypeAlias
from urllib.parse import quote
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Request
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.enums import MediaType
from litestar.exceptions import NotAuthorizedException
from litestar.params import SkipValidation
from litestar.response import Response
from markupsafe import Markup

from liushui import __version__
from liushui.formats import load_formats
from liushui.formats.sample import NAME as SAMPLE
from liushui.instant import is_zone, to_iso
from liushui.ledger.access.saved_views import ACCOUNT_ZONE
from liushui.ledger.access.tokens import Scope
from liushui.ledger.engine import Ledger
from liushui.ledger.read.accounts import find_accounts
from liushui.ledger.read.model import ReadModel
from liushui.output_text import terminal_text
from liushui.provider import Provider
from liushui.server.context import AppContext
from liushui.server.oidc import OidcClient
from liushui.server.web.i18n import Language, choose_language, decimals_of, read_languages, shown_decimals
from liushui.server.web.labels import Labels
from liushui.server.web.sessions import BrowserSession, BrowserSessions
from liushui.server.web.static_files import Assets, read_assets
from liushui.services.access import USER_PREFIX, Principal

TEMPLATES: Final = Path(__file__).parent / "templates"

LANGUAGE_COOKIE: Final = "liushui_language"
THEME_COOKIE: Final = "liushui_theme"
RISE_COOKIE: Final = "liushui_rise"
ZONE_COOKIE: Final = "liushui_zone"

THEMES: Final = ("auto", "light", "dark")
RISES: Final = ("auto", "red", "green")
"""The colour of money that comes in. auto: as readers of the language expect."""

OWNER: Final = "owner"
"""Used with `Page.may` and in handlers instead of a scope, if only the owner has the right."""

AnyRequest = Request[Any, Any, Any]


@dataclass(frozen=True)
class WebContext:
    """The objects with which all pages are made."""

    app_context: AppContext
    assets: Assets
    languages: Mapping[str, Language]
    environments: Mapping[str, Environment]
    """A Jinja environment for each language: templates look up translations when they run."""

    @cached_property
    def sessions(self) -> BrowserSessions:
        """The sessions of browsers that are logged in."""
        return BrowserSessions(self.app_context.ledger)

    @cached_property
    def oidc(self) -> OidcClient:
        """Logs people in through the ledger's identity provider."""
        return OidcClient(self.app_context.ledger.clock)

    def page(self, request: AnyRequest) -> "Page":
        """The page that answers a request, in the reader's language."""
        cookies = request.cookies
        language = self.languages[
            choose_language(cookies.get(LANGUAGE_COOKIE), request.headers.get("accept-language", ""))
        ]
        return Page(self, request, language)


def make_web_context(app_context: AppContext) -> WebContext:
    """Create the context for a ledger's pages. Raises OSError if a file of the page is missing."""
    return WebContext(app_context, *_read_page_files())


@cache
def _read_page_files() -> tuple[Assets, Mapping[str, Language], Mapping[str, Environment]]:
    """The assets, the languages and the templates. They are the same for every ledger, and are read once per
    process."""
    assets, languages = read_assets(), read_languages()
    return assets, languages, {tag: _environment(assets, language) for tag, language in languages.items()}


WEB_CONTEXT: Final = "liushui_web_context"
"""Key of the WebContext in the application's state."""


def web_context_of(request: AnyRequest) -> WebContext:
    """The WebContext of the application that a request was sent to."""
    found: WebContext = request.app.state[WEB_CONTEXT]
    return found


def provide_page(request: AnyRequest) -> "Page":
    """The page that answers a request: a dependency of handlers."""
    return web_context_of(request).page(request)


@dataclass(frozen=True)
class Page:
    """The answer to one reader's request: language and settings, the session, the form, and templates."""

    web: WebContext
    request: AnyRequest
    language: Language

    @property
    def app_context(self) -> AppContext:
        """The objects that handlers of the API and of pages share."""
        return self.web.app_context

    @property
    def ledger(self) -> Ledger:
        """The ledger that is shown."""
        return self.web.app_context.ledger

    @property
    def providers(self) -> Mapping[str, Provider]:
        """The installed providers by name."""
        return self.web.app_context.providers

    @property
    def read_model(self) -> ReadModel:
        """Answers questions about the accounts that the reader may see."""
        return self.web.app_context.read_model.restricted_to(self.principal.accounts)

    @property
    def query(self) -> dict[str, list[str]]:
        """All values of each field in the address."""
        return {name: self.request.query_params.getall(name) for name in self.request.query_params}

    @property
    def theme(self) -> str:
        """auto, light or dark."""
        return _one_of(self.request.cookies.get(THEME_COOKIE), THEMES)

    @property
    def rise_chosen(self) -> str:
        """The setting: auto, red or green."""
        return _one_of(self.request.cookies.get(RISE_COOKIE), RISES)

    @property
    def rise(self) -> str:
        """The colour of money that comes in: red or green."""
        if self.rise_chosen != "auto":
            return self.rise_chosen
        return "red" if self.language.is_chinese else "green"

    @property
    def zone_chosen(self) -> str:
        """The setting of the zone that times are shown in: `account`, or the name of a zone."""
        chosen = self.request.cookies.get(ZONE_COOKIE, ACCOUNT_ZONE)
        return chosen if is_zone(chosen) else ACCOUNT_ZONE

    def view_zone(self, *zones: str, chosen: str = "") -> str:
        """The one zone of all times of a view of accounts with these zones. `chosen`: instead of the reader's own."""
        chosen = chosen or self.zone_chosen
        return common_zone(zones) if chosen == ACCOUNT_ZONE else chosen

    @property
    def is_part(self) -> bool:
        """Whether htmx asks for a part of a page."""
        return self.request.headers.get("hx-request") == "true"

    @property
    def csrf(self) -> str:
        """The CSRF token that forms carry. Empty: nobody is logged in."""
        return str(self.request.state.get("csrf", ""))

    @property
    def session(self) -> BrowserSession | None:
        """The session of the request. None: nobody is logged in."""
        session: BrowserSession | None = self.request.state.get("session")
        return session

    @property
    def principal(self) -> Principal:
        """The principal of the request. Only pages that need a login use it."""
        session = self.session
        if session is None:
            raise NotAuthorizedException("expected a session")
        return session.principal

    def sees(self, account: str) -> bool:
        """Whether the reader may see an account."""
        return self.principal.sees(account)

    def may(self, scope: str) -> bool:
        """Whether the reader has a scope. The scope "owner" belongs only to the owner."""
        principal = self.principal
        return principal.is_owner or scope in principal.scopes

    @property
    def user(self) -> str | None:
        """The name of the user who is logged in. None: the owner, by link or password, or a token."""
        return self.principal.name.removeprefix(USER_PREFIX) if self.principal.role is not None else None

    @property
    def is_logged_in(self) -> bool:
        """Whether the reader is logged in."""
        return self.session is not None

    @property
    def here(self) -> str:
        """The address of the request. For other methods than GET, the first page's address, because the request cannot
        be repeated by opening it."""
        if self.request.method != "GET":
            return "/"
        query = self.request.scope["query_string"].decode("latin-1")
        return self.request.scope["path"] + (f"?{query}" if query else "")

    @property
    def form(self) -> Mapping[str, str]:
        """The last value of each field of the form."""
        return {name: values[-1] for name, values in self.fields.items()}

    @property
    def fields(self) -> Mapping[str, list[str]]:
        """All values of each field of the form."""
        fields: Mapping[str, list[str]] = self.request.state.get("form", {})
        return fields

    @property
    def next(self) -> str:
        """The page to open after the form; by default, the first page."""
        return own_address(self.form.get("next", ""))

    @property
    def is_secure(self) -> bool:
        """Whether the connection uses TLS, to us or to a proxy. If a client lies about it, only its own cookies are
        lost."""
        return self.request.headers.get("x-forwarded-proto", self.request.scope["scheme"]) == "https"

    @cached_property
    def sample_accounts(self) -> list[str]:
        """The accounts with simulated flows that the reader may see."""
        if not self.is_logged_in:
            return []
        with self.ledger.querying() as queries:
            return [one.account for one in find_accounts(queries) if one.provider == SAMPLE and self.sees(one.account)]

    def provider_title(self, name: str) -> str:
        """The readers' name for the provider of an account, or for the format of its files."""
        if name == SAMPLE:
            return self.say("sample data (simulated)")
        provider = self.providers.get(name)
        if provider is not None:
            return self.say(provider.title)
        format_ = load_formats().get(name)
        return name if format_ is None else format_.title

    @property
    def version(self) -> str:
        """The version of liushui."""
        return __version__

    @property
    def menu(self) -> list[tuple[str, str, str]]:
        """The main menu: address, name and keyboard shortcut of each page."""
        say = self.say
        users = [("/users", say("Users"), "g u")] if self.is_logged_in and self.may(OWNER) else []
        may_manage = self.is_logged_in and self.may(Scope.MANAGE)
        notifications = [("/notifications", say("Notifications"), "g n")] if may_manage else []
        return [
            ("/", say("Overview"), "g o"),
            ("/flows", say("Flows"), "g f"),
            ("/reconcile", say("Reconcile"), "g r"),
            ("/sources", say("Sources"), "g s"),
            ("/keys", say("Keys"), "g k"),
            *notifications,
            *users,
            ("/providers", say("Providers"), "g p"),
        ]

    def is_at(self, address: str) -> bool:
        """Whether the page is below an address of the main menu."""
        path = self.request.scope["path"]
        return path == address if address == "/" else f"{path}/".startswith(f"{address}/")

    @cached_property
    def labels(self) -> Labels:
        """The names of kinds, directions and the like, in the reader's language."""
        return Labels(self.language)

    def say(self, text: str, **values: object) -> str:
        """Translate English text. `values` are for its %(name)s."""
        return self.language.say(text, **values)

    def say_many(self, one: str, many: str, number: int, **values: object) -> str:
        """Translate English text in the singular or the plural."""
        return self.language.say_many(one, many, number, **values)

    def text(self, template: str, **context: object) -> str:
        """Render a template to HTML."""
        environment = self.web.environments[self.language.tag]
        return environment.get_template(template).render(page=self, **context)

    def render(self, template: str, *, status: int = 200, **context: object) -> Response[str]:
        """Render a template to an answer."""
        return Response(self.text(template, **context), status_code=status, media_type=MediaType.HTML)


CurrentPage: TypeAlias = NamedDependency[SkipValidation[Page]]  # msgspec cannot validate the values in a page
"""Annotates the parameter `page` of a handler."""


def redirect(address: str, cookies: Iterable[Cookie] = ()) -> Response[str]:
    """Redirect to a page after a form (303), and set cookies."""
    # A header is ASCII. Existing escapes stay.
    headers = {"location": quote(address, safe=punctuation)}
    return Response("", status_code=303, headers=headers, cookies=list(cookies), media_type=MediaType.TEXT)


def own_address(text: str) -> str:
    """Return the address if it is on this server, else the first page's, so that no link redirects to another site."""
    is_own = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable()
    return text if is_own else "/"


def common_zone(zones: Sequence[str]) -> str:
    """Return the zone of all accounts; UTC if they have several."""
    return zones[0] if len(set(zones)) == 1 else "UTC"


def _one_of(value: str | None, known: tuple[str, ...]) -> str:
    return value if value in known else known[0]


def _environment(assets: Assets, language: Language) -> Environment:
    environment = make_environment(language)
    environment.globals["asset"] = assets.url
    return environment


def make_environment(language: Language) -> Environment:
    """The Jinja environment of the templates in one language, without the addresses of static files."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        extensions=["jinja2.ext.i18n", "jinja2.ext.do"],
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.install_gettext_callables(  # type: ignore[attr-defined] # the extension adds it
        language.translations.ugettext, language.translations.ungettext, newstyle=True
    )
    environment.filters.update(_filters(language), terminal_text=terminal_text)
    return environment


def _filters(language: Language) -> dict[str, Any]:
    """Template filters for amounts, numbers and times. A time becomes a <time> with the exact instant."""

    def moment(at: datetime | None, zone: str = "UTC") -> Markup:
        if at is None:
            return Markup("–")
        text = language.moment(at, ZoneInfo(zone))
        return Markup('<time datetime="{0}" title="{1} {2}">{1}</time>').format(to_iso(at), text, zone)

    def ago(at: datetime | None, now: datetime, zone: str = "UTC") -> Markup:
        if at is None:
            return Markup("–")
        exact = language.moment(at, ZoneInfo(zone))
        return Markup('<time datetime="{}" title="{} {}">{}</time>').format(
            to_iso(at), exact, zone, language.ago(now - at)
        )

    def amount(
        value: Decimal,
        places: int | None = None,
        *,
        currency: str | None = None,
        signed: bool = False,
        side: str | None = None,
    ) -> Markup:
        shown = shown_decimals(value, currency)
        text = language.amount(value, signed=signed)
        length = len(text) - _hidden_characters(value, shown)
        pad = language.decimal_zeros(value, shown) + _pad(shown, places)
        attributes = Markup(' data-pad="{}"').format(pad) if pad else Markup("")
        if length == len(text):
            body = Markup("{}").format(text)
        else:
            attributes += Markup(' title="{}"').format(text)
            body = Markup('{}<span class="zeros">{}</span>').format(text[:length], text[length:])
        sign = "in" if value > 0 else "out" if value < 0 else "nil"
        return Markup('<span class="amount {}"{}>{}</span>').format(side or sign, attributes, body)

    return {
        "moment": moment,
        "ago": ago,
        "day": language.day,
        "span": language.span,
        "amount": amount,
        "number": language.number,
        "places": decimal_places,
    }


def decimal_places(amounts: Iterable[Decimal], currency: str | None = None) -> int:
    """Return the largest number of decimals that are shown of any amount. The filter `amount` aligns a column by it."""
    return max((shown_decimals(amount, currency) for amount in amounts), default=0)


FIGURE_SPACE: Final = "\N{FIGURE SPACE}"
"""As wide as a digit. A punctuation space is as wide as a decimal point."""
POINT_SPACE: Final = "\N{PUNCTUATION SPACE}"


def _pad(shown: int, places: int | None) -> str:
    """Invisible characters after an amount that align the decimal points of a column. They are not copied with it."""
    if places is None:
        return ""
    return (POINT_SPACE if places and not shown else "") + FIGURE_SPACE * (places - shown)


def _hidden_characters(amount: Decimal, shown: int) -> int:
    """Return the number of characters at the end of an exact amount that are hidden: zeros, and the point before
    them."""
    hidden = max(0, decimals_of(amount) - shown)
    return hidden + 1 if hidden and not shown else hidden
