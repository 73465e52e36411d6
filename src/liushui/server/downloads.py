"""Sends files of any length as answers: they are written in threads while they are sent."""

import asyncio
import re
from collections.abc import AsyncIterator, Generator, Iterator
from itertools import chain
from typing import Final
from urllib.parse import quote

from litestar.response import Stream

from liushui.export.formats import Format

_NOT_PLAIN: Final = re.compile(r"[^A-Za-z0-9._@+-]")


async def download(parts: Iterator[bytes], form: Format, name: str, *, as_attachment: bool = True) -> Stream:
    """An answer with a file in pieces. `name`: the file's name without its extension, of any characters.

    The first piece is made before the answer begins, so that an error in the request is raised in time.
    """
    first = await asyncio.to_thread(next, parts, b"")
    headers = {"Cache-Control": "no-store"}
    if as_attachment:
        headers["content-disposition"] = attachment(f"{name}.{form.extension}")
    return Stream(in_threads(_with_first(first, parts)), media_type=form.media_type, headers=headers)


def attachment(name: str) -> str:
    """Return the header that makes an answer a file with this name (RFC 6266): in full, and in ASCII for old
    clients."""
    plain = _NOT_PLAIN.sub("_", name)
    return f'attachment; filename="{plain}"' + ("" if plain == name else f"; filename*=UTF-8''{quote(name, safe='')}")


def file_name(text: str) -> str:
    """A text as the name of a file or folder, on every system."""
    name = re.sub(r'[\x00-\x1f\x7f<>:"/\\|?*]', "_", text).strip(" .")
    return name or "_"


def _with_first(first: bytes, parts: Iterator[bytes]) -> Generator[bytes]:
    try:
        yield from (part for part in chain((first,), parts) if part)  # an empty one would end the stream
    finally:
        if isinstance(parts, Generator):
            parts.close()


async def in_threads(parts: Generator[bytes]) -> AsyncIterator[bytes]:
    """Yield the parts, each made in a thread. If a client disconnects early, reading ends."""
    made = asyncio.ensure_future(asyncio.to_thread(next, parts, b""))
    try:
        while part := await asyncio.shield(made):
            yield part
            made = asyncio.ensure_future(asyncio.to_thread(next, parts, b""))
    finally:
        await asyncio.wait({made})  # a generator that is running cannot be closed
        await asyncio.to_thread(parts.close)
