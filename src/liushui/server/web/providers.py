"""Each provider's rules, limits and mapping, from the data that the program itself uses."""

import inspect
import re
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Final

from litestar import get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import Response
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup, escape

from liushui import describe
from liushui.errors import short_repr
from liushui.provider import MOUNT, Provider
from liushui.rules import first_day
from liushui.server.web.page import CurrentPage, Page

_CODE = re.compile(r"`([^`]+)`")


@get("/providers", sync_to_thread=True)
def list_providers(page: CurrentPage) -> Response[str]:
    """Every installed provider."""
    listed = [(provider, _summary(page, provider)) for provider in page.providers.values()]
    return page.render("providers/index.html", listed=listed)


@get("/providers/{name:str}", sync_to_thread=True)
def show_provider(page: CurrentPage, name: FromPath[str]) -> Response[str]:
    """The rules of a provider, and how its fields become flows."""
    provider = get_provider(page, name)
    return page.render(
        "providers/one.html",
        provider=provider,
        facts=_facts(page, provider),
        mapping=_mapping(provider.name, _mapping_text(provider)),
    )


def get_provider(page: Page, name: str) -> Provider:
    """The installed provider with this name. Raises NotFoundException."""
    if name not in page.providers:
        raise NotFoundException(f"provider: expected one of {', '.join(page.providers)}, got {short_repr(name)}")
    return page.providers[name]


def _facts(page: Page, provider: Provider) -> list[tuple[str, Markup]]:
    """The facts that users should know about a provider, as pairs of a title and a text."""
    say, rules = page.say, provider.rules
    restrictions = "; ".join(f"`{one.name}`: {say(one.help)}" for one in provider.restrictions)
    facts = [
        (say("Served at"), ", ".join(describe.routes(provider))),
        (say("Also served under"), f"`{MOUNT}{provider.name}`"),
        (say("Official address"), provider.base_url or say("not documented: ask the provider")),
        (say("Request signing"), say(provider.auth)),
        (say("Credentials"), ", ".join(f"{say(field.title)} `{field.name}`" for field in provider.credentials)),
        (say("Restrictions a key may have"), restrictions or say("none, except the choice of its accounts")),
        (say("Time unit"), describe.time_unit(rules, say)),
        (say("Clock tolerance"), describe.clock_tolerance(rules, say)),
        (say("Paging"), describe.paging(rules, say)),
        (say("Filters"), describe.filters(rules, say)),
        (say("Time ranges"), describe.ranges(rules, say)),
        (say("Rate"), describe.rate(rules.rate, say)),
        (say("Time zone of business days"), rules.zone),
        (say("First sync starts on"), page.language.day(first_day(rules))),
        (say("Re-read at each sync"), say("the last %(time)s", time=describe.span(rules.lookback, say))),
        (say("Tested with"), say(provider.tested_with)),
    ]
    return [(title, _with_code(text)) for title, text in facts]


def _with_code(text: str) -> Markup:
    """Plain text as HTML, with the parts between backticks as code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped before


def _mapping_text(provider: Provider) -> str | None:
    """The file MAPPING.md in the folder of a provider's codec. None: an outside provider may have none."""
    codec = provider.codec
    module = codec if isinstance(codec, ModuleType) else inspect.getmodule(type(codec))
    path = Path(module.__file__).parent / "MAPPING.md" if module and module.__file__ else None
    return path.read_text(encoding="utf-8") if path and path.is_file() else None


@cache
def _mapping(_name: str, text: str | None) -> Markup | None:
    return None if text is None else render_markdown(text)


def _summary(page: Page, provider: Provider) -> dict[str, Markup]:
    rules, say = provider.rules, page.say
    return {
        "paging": _with_code(describe.paging(rules, say)),
        "limits": _with_code(f"{describe.rate(rules.rate, say)}{say('; ')}{describe.ranges(rules, say)}"),
        "auth": _with_code(say(provider.auth)),
        "tested": _with_code(say(provider.tested_with)),
    }


_RENDERER: Final = MarkdownIt("commonmark", {"html": False}).enable("table")


def render_markdown(text: str) -> Markup:
    """Convert Markdown to HTML for a page: without raw HTML, inline styles and links to our pages."""
    tokens = _RENDERER.parse(text)
    _label_cells(tokens)
    for token in _all_tokens(tokens):
        token.attrs.pop("style", None)  # alignment of table columns, which the content security policy forbids
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 1)}"  # the page has an h1 of its own
        if token.type == "link_open":
            _make_safe(token)
        if token.type == "table_open":
            token.attrs["class"] = "table"
    return Markup(_RENDERER.renderer.render(tokens, _RENDERER.options, {}))  # noqa: S704 - made without HTML of the text


def _label_cells(tokens: Sequence[Token]) -> None:
    """Give each cell of a table the name of its column, because in a narrow window the cells of a row are stacked."""
    names: list[str] = []
    column = 0
    for token, following in pairwise(tokens):
        match token.type:
            case "table_open":
                names = []
            case "th_open":
                names.append("".join(one.content for one in following.children or ()))
            case "tr_open":
                column = 0
            case "td_open":
                token.attrs["data-label"] = names[column]
                column += 1


def _all_tokens(tokens: Iterable[Token]) -> Iterable[Token]:
    for token in tokens:
        yield token
        yield from _all_tokens(token.children or ())


def _make_safe(token: Token) -> None:
    if str(token.attrs.get("href", "")).startswith(("https://", "http://")):
        token.attrs.update(rel="noreferrer noopener", target="_blank")
    else:
        token.attrs.pop("href", None)
