"""A write whose rows stand each for itself: kept as they come, and answered by a line each."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from http import HTTPStatus
from tempfile import SpooledTemporaryFile
from typing import Final

import msgspec
from litestar.response import Stream

from liushui.client import words
from liushui.client.words import Fault
from liushui.errors import ConfigError
from liushui.ledger import recording
from liushui.ledger.recording import Conflict
from liushui.money import shown
from liushui.server.api.call import Call
from liushui.server.api.problems import unacceptable
from liushui.server.api.record_rows import (
    LINES,
    RecordQuery,
    Row,
    differs,
    read_row,
    said_of,
    texts_of,
)

CHUNK: Final = 500
"""Rows that are kept at a time."""
IN_MEMORY: Final = 1024 * 1024
"""Bytes of answers that are held there."""
REFUSED: Final = "refused"


async def record_each(call: Call, asked: RecordQuery, media_type: str) -> Stream:
    """Keep rows as they come. The answers lie in a file meanwhile: who sends may read only when all is sent."""
    if call.request.headers.get("idempotency-key") is not None:
        raise unacceptable("Idempotency-Key", "none with mode=each: the references of the rows do it", "one")
    answers = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - it is closed when the answer is sent
    try:
        chunk: list[Row | Fault] = []
        place = 0
        async for text in texts_of(call.request, media_type):
            chunk.append(read_row(place, f"/{place}", text))
            place += 1
            if len(chunk) == CHUNK:
                answers.write(await asyncio.to_thread(_keep, call, asked, chunk, place))
                chunk = []
        answers.write(await asyncio.to_thread(_keep, call, asked, chunk, place))
        answers.seek(0)
    except BaseException:
        answers.close()
        raise
    return Stream(_sent(answers), media_type=LINES, status_code=HTTPStatus.OK, headers={"Cache-Control": "no-store"})


async def _sent(answers: "SpooledTemporaryFile[bytes]") -> AsyncIterator[bytes]:
    with answers:
        while part := await asyncio.to_thread(answers.read, IN_MEMORY):
            yield part


def _keep(call: Call, asked: RecordQuery, chunk: Sequence[Row | Fault], end: int) -> bytes:
    """Keep what can be of some rows, and say what became of each, a line a row."""
    said: dict[int, words.RecordedRow] = {}
    by_account: dict[str, list[Row]] = defaultdict(list)
    begin = end - len(chunk)
    for place, row in enumerate(chunk, begin):
        if isinstance(row, Fault):
            said[place] = words.RecordedRow(row=place, outcome=REFUSED, errors=[row])
        elif not call.principal.sees(row.account):
            said[place] = _refused(
                row,
                Fault(pointer=f"{row.pointer}/account", expected="an account that is there", got=shown(row.account)),
            )
        else:
            by_account[row.account].append(row)
    for account, rows in sorted(by_account.items()):
        for some in _distinct(rows):
            _keep_some(call, account, some, asked, said)
    return b"".join(msgspec.json.encode(said[place]) + b"\n" for place in range(begin, end))


def _keep_some(
    call: Call, account: str, rows: list[Row], asked: RecordQuery, said: dict[int, words.RecordedRow]
) -> None:
    """Keep rows whose references differ; those that contradict what is kept stay out."""
    while rows:
        try:
            done = recording.record(call.ledger, account, [row.flow for row in rows], restate=asked.restate)
        except Conflict as error:
            out = {one.place: differs(rows, one) for one in error.differences}
            said |= {rows[place].place: _refused(rows[place], fault) for place, fault in out.items()}
            rows = [row for place, row in enumerate(rows) if place not in out]
        except ConfigError as error:
            for row in rows:
                fault = Fault(pointer=f"{row.pointer}/account", expected="an account of one's own", got=str(error))
                said[row.place] = _refused(row, fault)
            return
        else:
            for row, outcome in zip(rows, done.outcomes, strict=True):
                said[row.place] = said_of(row, outcome.value)
            return


def _refused(row: Row, fault: Fault) -> words.RecordedRow:
    return words.RecordedRow(
        row=row.place, outcome=REFUSED, account=row.account, reference=row.flow.identity, errors=[fault]
    )


def _distinct(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows in as few lots as have no reference twice, each in order."""
    lots: list[dict[str, Row]] = [{}]
    for row in rows:
        if row.flow.identity in lots[-1]:
            lots.append({})
        lots[-1][row.flow.identity] = row
    return [list(lot.values()) for lot in lots]
