"""Collects cash flows from Longbridge's first draft: signed POST requests with a JSON body, one page per call."""

from collections.abc import Mapping

import msgspec

from liushui.providers._longbridge.client import CashFlowClient
from liushui.providers.longbridge_legacy.codec import LANGUAGE
from liushui.providers.longbridge_legacy.rules import ERRORS, RULES
from liushui.providers.longbridge_legacy.wire import PATH
from liushui.rules import Rate
from liushui.wire.transport import Answer, HttpConnection

HEADERS = {"content-type": "application/json; charset=utf-8", "accept-language": LANGUAGE}


class LongbridgeLegacyClient(CashFlowClient):
    """One account at Longbridge."""

    def __init__(self, *, base_url: str, credentials: Mapping[str, str], rate: Rate | None, timeout_s: float) -> None:
        http = HttpConnection(base_url, rate=rate, timeout_s=timeout_s, headers=HEADERS)
        super().__init__(http, credentials, rules=RULES, errors=ERRORS)

    async def _send(self, params: Mapping[str, int | str]) -> Answer:
        return await self._call("POST", PATH, body=msgspec.json.encode(params))
