"""The hash chain of an account: each batch seals its facts and the batch before it."""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from itertools import islice
from typing import Final, NamedTuple

import msgspec

from liushui.ledger.rows import Row

_CHUNK: Final = 1_000
_encoder = msgspec.json.Encoder()


class Facts(NamedTuple):
    """What one batch put into the fact tables, each part in the order of its key."""

    added: Iterable[Row]
    """Versions it entered, with the columns of schema.flows."""
    ended: Iterable[Row]
    """Versions it ended: at_us, id, batch that entered it, how it ended."""
    quarantined: Iterable[Row]
    edges: Iterable[Row]


def facts_digest(facts: Facts) -> str:
    """The digest of a batch's facts, in hex."""
    digest = sha256()
    for part in facts:
        for chunk in _chunks(part):
            digest.update(_encoder.encode_lines(chunk))
        digest.update(b"\n")
    return digest.hexdigest()


def genesis(account: str, provider: str, zone: str, created_at_us: int) -> str:
    """The link that an account's first batch follows."""
    return _sealed("", (account, provider, zone, created_at_us))


def link(previous: str, batch: Row) -> str:
    """The link of a batch: its row in schema.batches but for the link itself, sealed onto the link before."""
    return _sealed(previous, batch)


def _sealed(previous: str, values: Row) -> str:
    return sha256(previous.encode() + b"\n" + _encoder.encode(values)).hexdigest()


def _chunks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    walk = iter(rows)
    while chunk := list(islice(walk, _CHUNK)):
        yield chunk
