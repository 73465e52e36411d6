"""Metrics of the ledger, in the format of Prometheus."""

from typing import Any

from litestar import Response

from liushui.ledger.access.tokens import Scope
from liushui.server.api.context import Context
from liushui.server.api.endpoint import ApiOperation, endpoint
from liushui.sync.ledger_metrics import CONTENT_TYPE, ledger_metrics


class TextOperation(ApiOperation):
    """An operation that answers with text, whose type Litestar does not describe."""

    def to_schema(self) -> dict[str, Any]:
        """The operation as OpenAPI has it."""
        schema = super().to_schema()
        schema["responses"]["200"]["content"][CONTENT_TYPE]["schema"] = {"type": "string"}
        return schema


@endpoint("GET", "/metrics", scope=Scope.READ, operation=TextOperation, media_type=CONTENT_TYPE)
def show_metrics(context: Context) -> Response[bytes]:
    """Metrics for Prometheus: completeness, alarms and the last sync of each account.

    A token for all accounts also sees the age of the newest backup in each folder.
    """
    names = None if context.principal.accounts is None else context.accounts()
    body = ledger_metrics(context.read_model, names)
    return Response(body, media_type=CONTENT_TYPE, headers={"Cache-Control": "no-store"})
