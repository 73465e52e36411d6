"""What a reader chose to see the page in: language, theme, the colour of money that comes in. Kept in cookies."""

from typing import Final

from litestar import post
from litestar.response import Response
from litestar.types import ControllerRouterHandler

from liushui.server.web.auth.guard import OPEN
from liushui.server.web.auth.sessions import cookie
from liushui.server.web.i18n import TAGS
from liushui.server.web.page import (
    LANGUAGE_COOKIE,
    RISE_COOKIE,
    RISES,
    THEME_COOKIE,
    THEMES,
    AnyRequest,
    Web,
    redirect,
)

YEAR_S: Final = 365 * 86_400

CHOICES: Final = {
    "language": (LANGUAGE_COOKIE, tuple(TAGS)),
    "theme": (THEME_COOKIE, THEMES),
    "rise": (RISE_COOKIE, RISES),
}
"""Each field of the form: the cookie that keeps it, and what it may be."""


def routes(web: Web) -> list[ControllerRouterHandler]:
    """The menu's form."""

    @post("/preferences", sync_to_thread=False, opt={OPEN: True})
    def prefer(request: AnyRequest) -> Response[str]:
        page = web.page(request)
        cookies = [
            cookie(name, page.form[field], age_s=YEAR_S, secure=page.is_secure)
            for field, (name, known) in CHOICES.items()
            if page.form.get(field) in known
        ]
        return redirect(page.next, cookies)

    return [prefer]
