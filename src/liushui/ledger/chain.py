"""The hash chain of an account: each batch seals its facts and the batch before it."""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from itertools import islice
from typing import Final, NamedTuple

import msgspec

from liushui.ledger.flow_row import Row

_CHUNK: Final = 1_000
_PARTS_ALWAYS: Final = 4
"""The parts that every batch has sealed. One that came later adds nothing where it is empty: older batches hold."""

_encoder = msgspec.json.Encoder()


class Facts(NamedTuple):
    """What one batch put into the fact tables, each part in the order of its key."""

    added: Iterable[Row]
    """Versions it entered, with the columns of schema.flows."""
    ended: Iterable[Row]
    """Versions it ended: at_us, id, batch that entered it, how it ended."""
    quarantined: Iterable[Row]
    """Versions of quarantine entries it entered, as `quarantine.sealed_row` has them."""
    edges: Iterable[Row]
    settled: Iterable[Row] = ()
    """Versions of quarantine entries it ended: id, batch that entered it, how it ended."""


def facts_digest(facts: Facts) -> str:
    """The digest of a batch's facts, in hex."""
    digest = sha256()
    for part in facts[:_PARTS_ALWAYS]:
        for chunk in _chunks(part):
            digest.update(_encoder.encode_lines(chunk))
        digest.update(b"\n")
    for chunk in _chunks(facts.settled):
        digest.update(_encoder.encode_lines(chunk))
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
