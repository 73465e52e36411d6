"""Display settings of a reader, kept in cookies: language, theme, the colour of money that comes in."""

from typing import Final

from litestar import post
from litestar.response import Response

from liushui.server.web.guard import OPEN
from liushui.server.web.i18n import TAGS
from liushui.server.web.page import LANGUAGE_COOKIE, RISE_COOKIE, RISES, THEME_COOKIE, THEMES, CurrentPage, redirect
from liushui.server.web.sessions import make_cookie

YEAR_S: Final = 365 * 86_400

SETTINGS: Final = {
    "language": (LANGUAGE_COOKIE, tuple(TAGS)),
    "theme": (THEME_COOKIE, THEMES),
    "rise": (RISE_COOKIE, RISES),
}
"""For each field of the form, its cookie and its possible values."""


@post("/preferences", sync_to_thread=False, opt={OPEN: True})
def set_preferences(page: CurrentPage) -> Response[str]:
    """Store the settings that were sent."""
    cookies = [
        make_cookie(cookie, page.form[field], age_s=YEAR_S, secure=page.is_secure)
        for field, (cookie, values) in SETTINGS.items()
        if page.form.get(field) in values
    ]
    return redirect(page.next, cookies)
