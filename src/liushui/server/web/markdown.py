"""Markdown as HTML for the page: no HTML of its own passes, no inline style, and links lead out or nowhere."""

from collections.abc import Iterable
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

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
