"""Collects cash flows from Longbridge: signed GET requests, one page per call."""

from collections.abc import Mapping
from urllib.parse import urlencode

from liushui.providers._longbridge.client import CashFlowClient
from liushui.providers.longbridge.codec import LANGUAGE
from liushui.providers.longbridge.rules import ERRORS, RULES
from liushui.providers.longbridge.wire import PATH
from liushui.rules import Rate
from liushui.wire.transport import Answer, HttpConnection


class LongbridgeClient(CashFlowClient):
    """One account at Longbridge."""

    def __init__(self, *, base_url: str, credentials: Mapping[str, str], rate: Rate | None, timeout_s: float) -> None:
        http = HttpConnection(base_url, rate=rate, timeout_s=timeout_s, headers={"accept-language": LANGUAGE})
        super().__init__(http, credentials, rules=RULES, errors=ERRORS)

    async def _send(self, params: Mapping[str, int | str]) -> Answer:
        return await self._call("GET", PATH, query=urlencode(params))
