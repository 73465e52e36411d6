"""Cookies as the page sets them."""

from litestar.datastructures import Cookie


def cookie(name: str, value: str, *, age_s: int, secure: bool) -> Cookie:
    """A cookie that no script may read and no other site sends. An age of 0 ends it."""
    return Cookie(name, value=value, max_age=age_s, secure=secure, httponly=True, samesite="lax")
