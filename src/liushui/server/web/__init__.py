"""The pages, at /."""

from collections.abc import Sequence
from typing import Any

from litestar import Router
from litestar.response import Response
from litestar.types import ControllerRouterHandler

from liushui.server.house import House
from liushui.server.web import flows, keys, login, overview, preferences, providers, refusals, sources, statics
from liushui.server.web.door import Door
from liushui.server.web.headers import guarded
from liushui.server.web.page import AnyRequest, make_web
from liushui.server.web.visits import Visits


def page_routes(house: House) -> Sequence[ControllerRouterHandler]:
    """What a browser is shown."""
    web, visits = make_web(house), Visits(house.ledger)
    door = Door(house, visits)

    async def admit(request: AnyRequest) -> Response[Any] | None:
        return await door.admit(request)  # a function: Litestar copies what it is given, and a door is one

    handlers = [
        *statics.static_routes(web.assets),
        *login.routes(web, visits),
        *preferences.routes(web),
        *overview.routes(web),
        *flows.routes(web),
        *sources.routes(web),
        *keys.routes(web),
        *providers.routes(web),
        *refusals.routes(),
    ]
    return [
        Router(
            "/",
            route_handlers=handlers,
            before_request=admit,
            after_request=guarded,
            exception_handlers=refusals.handlers(web),
            include_in_schema=False,
            opt={"whole": True},  # packed answers would tell by their length what secrets stand in them
        )
    ]
