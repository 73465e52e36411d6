"""The OpenAPI document, which Litestar generates from the routes, and the page that shows it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from importlib.resources import files
from inspect import cleandoc
from typing import Any, Final, get_type_hints

import msgspec
from litestar import MediaType, Request, Response, Router, get
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.openapi.spec import Components, OpenAPIType, Schema, SecurityScheme
from litestar.plugins import OpenAPISchemaPlugin
from litestar.typing import FieldDefinition

from liushui import __version__
from liushui.client import models
from liushui.flow import Category, Direction, Kind
from liushui.server.api.context import Context
from liushui.server.api.endpoint import endpoint

ABOUT: Final = """One ledger for every fund flow. Amounts are exact decimal text, never JSON numbers. Currencies are
never added together. Times are ISO 8601; answers give them in UTC. An account that a token may not see does not exist
for it. 400: the request does not match this document. 422: the request is well-formed, but not possible (for example
since > until). Both name the expected and the received value.
"""

_CACHED: Final = {"Cache-Control": "public, max-age=3600"}


class ModelSchemas(OpenAPISchemaPlugin):
    """Describes structs and enumerations as msgspec does.

    Litestar's own plugin loses constraints inside lists and unions, docstrings, and the refusal of unknown fields.
    """

    def is_plugin_supported_field(self, field_definition: FieldDefinition) -> bool:
        """Whether the type is a struct or an enumeration."""
        return not field_definition.is_union and field_definition.is_subclass_of((msgspec.Struct, Enum))

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: Any) -> Schema:  # noqa: ANN401 - a class that Litestar keeps to itself
        """The schema of a type. It and the schemas that it refers to are registered as components."""
        model = field_definition.annotation
        _, components = msgspec.json.schema_components([model], ref_template="#/components/schemas/{name}")
        described = components[model.__name__]
        is_struct = issubclass(model, msgspec.Struct)
        types = get_type_hints(model) if is_struct else {}
        schema: Schema = schema_creator.create_component_schema(
            field_definition,
            required=[],
            property_fields={name: FieldDefinition.from_annotation(type_) for name, type_ in types.items()},
            openapi_type=OpenAPIType.OBJECT if is_struct else OpenAPIType.STRING,
            examples=[_raw(EXAMPLES[model])] if model in EXAMPLES else None,
        )
        schema.description = cleandoc(described.get("description", "")) or None
        schema.properties = _raw(described["properties"]) if is_struct else None
        schema.required = described.get("required")
        schema.additional_properties = described.get("additionalProperties")
        schema.enum = described.get("enum")
        return schema


def _raw(value: object) -> Any:  # noqa: ANN401 - Litestar expects a dict here
    """JSON inside JSON. Litestar would drop every null from a dict, including defaults and examples."""
    return msgspec.Raw(msgspec.json.encode(value))


@endpoint("GET", "/", scope=None)
def about(context: Context) -> Response[models.About]:
    """The version of the server, and the accounts and scopes of the caller."""
    principal = context.principal
    accounts = None if principal.accounts is None else sorted(principal.accounts)
    return context.answer(
        models.About(name="liushui", version=__version__, accounts=accounts, scopes=sorted(principal.scopes))
    )


@get("/openapi.json", sync_to_thread=True, include_in_schema=False)
def openapi_document(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The document: OpenAPI 3.1."""
    document = msgspec.json.encode(request.app.openapi_schema.to_schema())
    return Response(document, media_type=MediaType.JSON, headers=_CACHED)


class ReferencePage(OpenAPIRenderPlugin):
    """Shows the document. Our server sends its script, so the page loads nothing from elsewhere."""

    def render(self, request: Request[Any, Any, Any], _openapi_schema: dict[str, Any]) -> bytes:
        """The page."""
        docs = request.url.path
        document = f"{docs.removesuffix('/docs')}/openapi.json"
        return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>liushui API</title></head><body><redoc spec-url="{document}" disable-search></redoc>
<script src="{docs}/redoc.js"></script></body></html>
""".encode()

    def receive_router(self, router: Router) -> None:
        """Serve the script together with the page."""
        router.register(redoc)


@get("/redoc.js", sync_to_thread=False)
def redoc() -> Response[bytes]:
    """The script of the page."""
    return Response(_script(), media_type="text/javascript")


_LOGO: Final = b"https://cdn.redoc.ly/redoc/logo-mini.svg"
_NO_LOGO: Final = b"data:,"


@cache
def _script() -> bytes:
    """The script from the repository, without the logo that it would load from another server."""
    script = files("liushui.server.web").joinpath("static", "vendor", "redoc-2.5.4/redoc.standalone.js").read_bytes()
    return script.replace(_LOGO, _NO_LOGO)


PAGE_HEADERS: Final = {
    **_CACHED,
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def openapi_config(root: str) -> OpenAPIConfig:
    """Return how Litestar describes the API under the path `root`. Its own pages are below `docs`."""
    return OpenAPIConfig(
        title="liushui",
        version=__version__,
        description=ABOUT,
        components=Components(
            security_schemes={
                "token": SecurityScheme(type="http", scheme="bearer", description="`liushui token create`")
            }
        ),
        security=[{"token": []}],
        openapi_router=Router(
            f"{root}/docs", route_handlers=[], include_in_schema=False, response_headers=PAGE_HEADERS
        ),
        render_plugins=[ReferencePage(path="/")],
    )


# ---------------------------------------------------------------- examples

_RECORDED_AT: Final = datetime(2024, 1, 31, 2, 40, tzinfo=UTC)
_FLOW: Final = models.Flow(
    key="k6R0b210zwAGYMAsrO-A2SBmMjdh",
    account="trader-1",
    id="f27a4c3378adcb2d5c2a6fef5c1f327b",
    at=datetime(2024, 1, 31, 2, 34, 54, tzinfo=UTC),
    amount="-248.60",
    currency="USD",
    direction=Direction.OUT,
    kind=Kind.TRADE,
    category=Category.STOCK,
    label="Buy Contract-Stock",
    subaccount="",
    balance_after=None,
    settled_at=None,
    ref=None,
    order_ref=None,
    symbol="AAPL.US",
    name=None,
    price=None,
    quantity=None,
    note="Apple",
    fx=None,
    detail=None,
    batch=11,
)
_STEP: Final = models.Step(
    change="added",
    key=_FLOW.key,
    account=_FLOW.account,
    batch=_FLOW.batch,
    recorded_at=_RECORDED_AT,
    ended_as=None,
    flow=_FLOW,
)
_BALANCE: Final = models.Balance(
    account="trader-1",
    subaccount="",
    currency="USD",
    amount="1274000.575000",
    flows=1729,
    at=datetime(2024, 1, 31, tzinfo=UTC),
    measure="balance",
    since=None,
    complete=True,
    covered=True,
    opening="0",
    stated="1274000.575000",
    stated_at=datetime(2024, 1, 30, 8, 0, 1, tzinfo=UTC),
    stated_by="row",
    difference="0.000000",
    check="pass",
    check_reason="",
)
_RECORD_FLOW: Final = models.RecordFlow(
    account="shop",
    reference="order-1017",
    at=datetime(2024, 1, 31, 1, 30, tzinfo=UTC),
    amount="-12.50",
    currency="CNY",
    kind=Kind.FEE,
    label="January",
)
_RECORDED_ROW: Final = models.RecordedRow(row=0, outcome="added", account="shop", reference="order-1017", key=_FLOW.key)

EXAMPLES: Final[Mapping[type, msgspec.Struct]] = {
    type(example): example
    for example in (
        models.FlowPage(flows=[_FLOW], next=None, complete=True, gaps=[]),
        models.FeedPage(steps=[_STEP], cursor="kY3vBQ", more=False),
        models.Balances(balances=[_BALANCE], complete=True, covered=True, gaps=[]),
        _RECORD_FLOW,
        models.Recorded(added=1, known=0, restated=0, again=False, rows=[_RECORDED_ROW]),
        models.MakeAccount(account="shop", zone="Asia/Shanghai"),
        models.RenameAccount(name="corner-shop"),
        models.MakeKey(dialect="longbridge", accounts=["trader-1"]),
        models.MakeToken(scopes=[models.TokenScope.READ], accounts=["trader-1"], name="the dashboard"),
        models.AskSync(everything=False),
        models.ChangeSource(paused=True),
        models.DecideLink(decision="confirmed", reason="on the bank's slip"),
        models.CloseMonth(
            period="2024-01",
            accounts=["shop"],
            explanations=[models.Explanation(line="shop:CNY", reason="a refund that our key may not see")],
        ),
        models.ReopenMonth(period="2024-01", accounts=["shop"], reason="a late statement"),
        models.StateBalance(
            account="shop", currency="CNY", amount="1024.00", at="2024-02-01", note="the bank's statement of January"
        ),
        models.WithdrawBalance(reason="another account's"),
    )
}
"""Examples of models for the document."""
