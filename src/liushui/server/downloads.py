"""Files of any length as answers: written in threads while they are sent."""

import asyncio
from collections.abc import AsyncIterator, Generator, Iterator
from itertools import chain

from litestar.response import Stream

from liushui.export.formats import Format


async def download(parts: Iterator[bytes], form: Format, name: str, *, as_attachment: bool = True) -> Stream:
    """An answer with a file in pieces. `name`: the file's name without its extension.

    The first piece is made before the answer begins, so that an error in the request is raised here.
    """
    first = await asyncio.to_thread(next, parts, b"")
    headers = {"Cache-Control": "no-store"}
    if as_attachment:
        headers["content-disposition"] = f'attachment; filename="{name}.{form.extension}"'
    return Stream(in_threads(_with_first(first, parts)), media_type=form.media_type, headers=headers)


def _with_first(first: bytes, parts: Iterator[bytes]) -> Generator[bytes]:
    try:
        yield from (part for part in chain((first,), parts) if part)  # an empty one would end the stream
    finally:
        if isinstance(parts, Generator):
            parts.close()


async def in_threads(parts: Generator[bytes]) -> AsyncIterator[bytes]:
    """The parts, each made in a thread. A client that disconnects early ends the reading."""
    made = asyncio.ensure_future(asyncio.to_thread(next, parts, b""))
    try:
        while part := await asyncio.shield(made):
            yield part
            made = asyncio.ensure_future(asyncio.to_thread(next, parts, b""))
    finally:
        await asyncio.wait({made})  # a generator that is running cannot be closed
        await asyncio.to_thread(parts.close)
