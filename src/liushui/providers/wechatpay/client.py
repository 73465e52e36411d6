"""Collects fund flow bills from WeChat Pay: signed calls; one document per day and account type."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Final, NamedTuple
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from liushui.errors import Refused, WireError, short_repr
from liushui.formats.wechatpay_fundflow import AT, time_of
from liushui.instant import to_iso, to_utc
from liushui.provider import Page, PageRequest, Slice
from liushui.providers.wechatpay.rules import (
    ACCOUNT_TYPES,
    CLOCK_SKEW_MAX,
    INVALID_REQUEST,
    NO_STATEMENT,
    RULES,
    ZONE,
)
from liushui.providers.wechatpay.wire import (
    BILL_PATH,
    DOWNLOAD_PATH,
    GZIP,
    Authorization,
    Link,
    check_answer,
    check_digest,
    download_query,
    error_of,
    parse_link,
    request_message,
    rows_of,
    unpacked,
)
from liushui.rules import Rate, day_after, day_begin
from liushui.wire.ranges import inclusive_ends
from liushui.wire.rsa import read_private_key, read_public_key, sign
from liushui.wire.transport import Answer, HttpConnection, check_header_value

NONCE_BYTES: Final = 16
DOWNLOADS_MAX: Final = 2
"""How often the client requests the address of a bill if the service has forgotten the address when it is used."""

_ZONE: Final = ZoneInfo(ZONE)


class DocumentName(NamedTuple):
    """The name of a document in a page token: `2026-11-01.BASIC.10000`. The last part is the number of the first
    row."""

    day: date
    account_type: str

    def to_token(self, first: int) -> str:
        """Return the token of the page that begins with this row number, counted from 0."""
        return f"{self.day}.{self.account_type}.{first}"


class TimedRow(NamedTuple):
    """A row and its time. A row without a readable time gets the last second of its document's day."""

    row: bytes
    at: datetime


class WechatpayClient:
    """One merchant's key at WeChat Pay."""

    def __init__(self, *, base_url: str, credentials: Mapping[str, str], rate: Rate | None, timeout_s: float) -> None:
        headers = {"accept": "application/json, application/octet-stream"}
        self._http = HttpConnection(base_url, rate=rate, timeout_s=timeout_s, headers=headers)
        self._mchid = check_header_value("mchid", credentials["mchid"])
        self._serial_no = check_header_value("serial_no", credentials["serial_no"])
        self._private_key = read_private_key("private_key", credentials["private_key"])
        self._platform_key = read_public_key("platform_public_key", credentials["platform_public_key"])
        self._platform_key_id = check_header_value("platform_key_id", credentials["platform_key_id"])
        self._latest: tuple[DocumentName, list[TimedRow]] | None = None
        """The document that was read last. It is kept because the next pages may be in the same document."""

    async def fetch_page(self, request: PageRequest) -> Page:
        """Return the rows of a slice in one document, or the first of them. Another call is made only for another
        document.

        Raises WireError if a document does not match the digest in the signed answer, or if its totals are not the sums
        of its rows.
        """
        if inclusive_ends(request.slice_, RULES.resolution) is None:
            return Page(())
        documents = documents_of(request.slice_, request.params.get("account_type"))
        index, first = _position_of(request.page_token, documents)
        name = documents[index]
        if self._latest is None or self._latest[0] != name or request.page_token is None or not first:
            self._latest = name, await self._read(name, request.params)
        since, until = request.slice_
        rows = [row for row, at in self._latest[1] if since <= at < until]
        end = first + max(1, min(request.size, RULES.paging.size_max))
        if end < len(rows):
            return Page(rows[first:end], next_token=name.to_token(end))
        following = documents[index + 1 :]
        return Page(rows[first:end], next_token=following[0].to_token(0) if following else None)

    @property
    def clock_offset(self) -> timedelta | None:
        return self._http.clock.offset

    async def close(self) -> None:
        await self._http.close()

    # ---------------------------------------------------------------- one document

    async def _read(self, name: DocumentName, params: Mapping[str, str]) -> list[TimedRow]:
        """Return the rows of a document, or no rows if no money moved: no document exists then."""
        attempt = 1
        while True:
            link = await self._find(name, params)
            if link is None:
                return []
            answer = await self._call(DOWNLOAD_PATH, download_query(link))
            if answer.status == 200:
                break
            error = error_of(answer)
            if error.code != INVALID_REQUEST or attempt == DOWNLOADS_MAX:
                raise error
            attempt += 1
        document = unpacked(answer.body)
        check_digest(document, link.hash_value)
        return _timed(rows_of(document, name.account_type), name.day)

    async def _find(self, name: DocumentName, params: Mapping[str, str]) -> Link | None:
        """Return where to download a document. Returns None if it does not exist because no money moved."""
        asked = {"bill_date": str(name.day), "account_type": name.account_type, "tar_type": GZIP, **params}
        answer = await self._call(BILL_PATH, urlencode(asked))
        if not 200 <= answer.status < 300:
            error = error_of(answer)
            if error.code == NO_STATEMENT:
                return None
            raise error
        check_answer(
            answer,
            self._platform_key,
            self._platform_key_id,
            now_s=int(self._http.clock.now_s()),
            age_max_s=CLOCK_SKEW_MAX // RULES.resolution,
        )
        return parse_link(answer)

    async def _call(self, path: str, query: str) -> Answer:
        return await self._http.call("GET", path, query=query, headers=lambda: self._signed(f"{path}?{query}"))

    def _signed(self, target: str) -> dict[str, str]:
        timestamp, nonce = str(int(self._http.clock.now_s())), secrets.token_hex(NONCE_BYTES).upper()
        message = request_message("GET", self._http.prefix + target, timestamp, nonce)
        parts = Authorization(
            mchid=self._mchid,
            nonce_str=nonce,
            signature=sign(self._private_key, message),
            timestamp=timestamp,
            serial_no=self._serial_no,
        )
        return {"authorization": parts.to_header()}


def documents_of(slice_: Slice, account_type: str | None) -> list[DocumentName]:
    """Return the documents that may have rows of a slice, oldest first."""
    names: list[DocumentName] = []
    day = day_begin(slice_.since, ZONE)
    while day < slice_.until:
        types = ACCOUNT_TYPES if account_type is None else (account_type,)
        names += [DocumentName(day.astimezone(_ZONE).date(), type_) for type_ in types]
        day = day_after(day, ZONE)
    return names


def _position_of(token: str | None, documents: list[DocumentName]) -> tuple[int, int]:
    """Return the index of a page's document, and the number of its first row. Raises Refused for a token of another
    slice."""
    if token is None:
        return 0, 0
    rest, _, first = token.rpartition(".")
    for index, name in enumerate(documents):
        if rest == f"{name.day}.{name.account_type}" and first.isdecimal():
            return index, int(first)
    raise Refused(f"page_token: expected one that a page of this range named, got {short_repr(token)}")


def _timed(rows: Sequence[bytes], day: date) -> list[TimedRow]:
    """Return the rows of a day's document with their times.

    Raises WireError for a row of another day, because the document is then not the requested one.
    """
    since = to_utc(datetime.combine(day, time.min, tzinfo=_ZONE))
    until = day_after(since, ZONE)
    timed: list[TimedRow] = []
    for row in rows:
        at = time_of(row)
        if at is not None and not since <= at < until:
            raise WireError(AT, f"expected rows of {day}, as it was asked for, got one of {to_iso(at)}, outside of it")
        timed.append(TimedRow(row, until - RULES.resolution if at is None else at))
    return timed
