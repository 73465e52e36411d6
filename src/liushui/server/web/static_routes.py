"""Static files over HTTP: under an address with their version they may be kept for ever."""

from typing import Final

from litestar import get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import Response
from litestar.types import ControllerRouterHandler

from liushui.server.web.page import AnyRequest
from liushui.server.web.static_assets import PACKED, TYPES, Assets

FOREVER: Final = "public, max-age=31536000, immutable"


def static_routes(assets: Assets) -> list[ControllerRouterHandler]:
    """What serves the files. Nobody has to log in for them."""

    @get("/static/{version:str}/{name:path}", include_in_schema=False, sync_to_thread=False, opt={"static": True})
    def static(request: AnyRequest, version: FromPath[str], name: FromPath[str]) -> Response[bytes]:
        asset = assets.files.get(name.removeprefix("/"))
        if asset is None or version != assets.version:
            raise NotFoundException("there is no such file")
        headers = {"cache-control": FOREVER, "vary": "accept-encoding"}
        content = asset.content
        if asset.kind in PACKED and "gzip" in request.headers.get("accept-encoding", ""):
            content, headers["content-encoding"] = asset.packed(), "gzip"
        return Response(content, media_type=TYPES[asset.kind], headers=headers)

    return [static]
