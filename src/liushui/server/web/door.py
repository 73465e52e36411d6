"""Who may come in: requests for this host, from this site's own pages, of somebody who has logged in."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from litestar.exceptions import ClientException, PermissionDeniedException
from litestar.response import Response

from liushui.money import shown
from liushui.server.house import House
from liushui.server.web.page import AnyRequest

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
FORM_TYPE: Final = "application/x-www-form-urlencoded"
BODY_MAX: Final = 256 * 1024


class Door:
    """Looks at every request of the page before it is answered."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._hosts = LOOPBACK if urlsplit(house.url).hostname in LOOPBACK else None

    async def admit(self, request: AnyRequest) -> Response[Any] | None:
        """None where the request may be answered; else the answer that says what is missing."""
        self._check_host(request)
        if request.method not in SAFE:
            check_origin(request.headers, request.headers.get("host", ""))
            request.state["form"] = await _form_of(request)
        return None

    def _check_host(self, request: AnyRequest) -> None:
        """A page of elsewhere whose name was made to lead here must not be taken for one of ours."""
        host = urlsplit(f"//{request.headers.get('host', '')}").hostname
        if self._hosts is not None and host not in self._hosts:
            raise PermissionDeniedException(
                f"host: expected one of {', '.join(sorted(self._hosts))}, got {shown(host)}"
            )


def check_origin(headers: Mapping[str, str], host: str) -> None:
    """Raise where a request that changes something was not sent by a page of this host: browsers say whose it is."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if origin is not None:
        if urlsplit(origin).netloc != host:
            raise PermissionDeniedException(f"origin: expected this server's own, got {shown(origin)}")
    elif site not in ("same-origin", "none"):
        raise PermissionDeniedException("origin: expected this server's own, got none")


async def _form_of(request: AnyRequest) -> dict[str, list[str]]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > BODY_MAX:
        raise ClientException(f"the form is larger than {BODY_MAX} bytes", status_code=413)
    if length == "0":
        return {}
    if kind != FORM_TYPE:
        raise ClientException(f"content-type: expected {FORM_TYPE}, got {shown(kind)}", status_code=415)
    form = await request.form()
    return {name: [str(value) for value in form.getall(name)] for name in form}
