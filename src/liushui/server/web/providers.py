"""Each provider's rules, limits and mapping, told from the data that the program itself goes by."""

import inspect
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Final

from litestar import get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import Response
from litestar.types import ControllerRouterHandler
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup, escape

from liushui import describe
from liushui.errors import short_repr
from liushui.provider import Provider
from liushui.rules import first_day
from liushui.server.router import MOUNT
from liushui.server.web.page import AnyRequest, Page, Web

_CODE = re.compile(r"`([^`]+)`")


def routes(web: Web) -> list[ControllerRouterHandler]:
    """The list, and a page for each."""
    known = web.app_context.providers

    @get("/providers", sync_to_thread=True)
    def every(request: AnyRequest) -> Response[str]:
        page = web.page(request)
        listed = [(provider, _summary(page, provider)) for provider in known.values()]
        return page.render("providers/index.html", listed=listed)

    @get("/providers/{name:str}", sync_to_thread=True)
    def one(request: AnyRequest, name: FromPath[str]) -> Response[str]:
        page, provider = web.page(request), known.get(name)
        if provider is None:
            raise NotFoundException(f"provider: expected one of {', '.join(known)}, got {short_repr(name)}")
        return page.render(
            "providers/one.html",
            provider=provider,
            facts=facts(page, provider),
            mapping=_mapping(provider.name, mapping_of(provider)),
        )

    return [every, one]


def facts(page: Page, provider: Provider) -> list[tuple[str, Markup]]:
    """What is to be known of a provider: pairs of a name and what is said of it."""
    say, rules, tolerance = page.say, provider.rules, provider.rules.clock_skew_max
    denied = "; ".join(f"`{one.name}`: {say(one.help)}" for one in provider.restrictions)
    apart = describe.span(tolerance, say) if tolerance else ""
    told = [
        (say("Served at"), ", ".join(describe.routes(provider))),
        (say("Also served under"), f"`{MOUNT}{provider.name}`"),
        (say("Official address"), provider.base_url or say("not documented: ask the provider")),
        (say("Request signing"), say(provider.auth)),
        (say("Credentials"), ", ".join(f"{say(field.title)} `{field.name}`" for field in provider.credentials)),
        (say("Restrictions a key may have"), denied or say("none besides its accounts")),
        (say("Time unit"), say("%(unit)s; a time range includes both ends", unit=describe.clock(rules, say))),
        (
            say("Clock tolerance"),
            say("%(time)s either way", time=apart) if apart else say("none: requests carry no time"),
        ),
        (say("Paging"), describe.paging(rules, say)),
        (say("Filters"), describe.filters(rules, say)),
        (say("Time ranges"), describe.ranges(rules, say)),
        (say("Rate"), describe.rate(rules.rate, say)),
        (say("Time zone of business days"), rules.zone),
        (say("First sync starts on"), page.language.day(first_day(rules))),
        (say("Re-read at each sync"), say("the last %(time)s", time=describe.span(rules.lookback, say))),
        (say("Tested with"), say(provider.tested_with)),
    ]
    return [(name, with_code(text)) for name, text in told]


def with_code(text: str) -> Markup:
    """Plain text with what stands between backticks as code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped before


def mapping_of(provider: Provider) -> str | None:
    """The provider's table of fields, as it lies beside its codec. None: it brings none."""
    codec = provider.codec
    module = codec if isinstance(codec, ModuleType) else inspect.getmodule(type(codec))
    path = Path(module.__file__).parent / "MAPPING.md" if module and module.__file__ else None
    return path.read_text(encoding="utf-8") if path and path.is_file() else None


@cache
def _mapping(_name: str, text: str | None) -> Markup | None:
    return None if text is None else rendered(text)


def _summary(page: Page, provider: Provider) -> dict[str, Markup]:
    rules, say = provider.rules, page.say
    return {
        "paging": with_code(describe.paging(rules, say)),
        "limits": with_code(f"{describe.rate(rules.rate, say)}{say('; ')}{describe.ranges(rules, say)}"),
        "auth": with_code(say(provider.auth)),
        "tested": with_code(say(provider.tested_with)),
    }


_RENDERER: Final = MarkdownIt("commonmark", {"html": False}).enable("table")
_OUT: Final = ("https://", "http://")


def rendered(text: str, *, heading_down: int = 1) -> Markup:
    """Markdown as HTML. Headings go down by so many levels, for the page has a first one already."""
    tokens = _RENDERER.parse(text)
    for token in _all(tokens):
        token.attrs.pop("style", None)  # how a column of a table is aligned
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + heading_down)}"
        if token.type == "link_open":
            _make_safe(token)
        if token.type == "table_open":
            token.attrs["class"] = "table"
    return Markup(_RENDERER.renderer.render(tokens, _RENDERER.options, {}))  # noqa: S704 - made without HTML of the text


def _all(tokens: Iterable[Token]) -> Iterable[Token]:
    for token in tokens:
        yield token
        yield from _all(token.children or ())


def _make_safe(token: Token) -> None:
    if str(token.attrs.get("href", "")).startswith(_OUT):
        token.attrs.update(rel="noreferrer noopener", target="_blank")
    else:
        token.attrs.pop("href", None)
