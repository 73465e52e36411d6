"""The hash chain of an account: each batch has a digest of its facts, and a link that depends on the batch before."""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from itertools import islice
from typing import Final, NamedTuple

import msgspec

from liushui.ledger.flow_row import Row

REMOVED, REOPENED, RENAMED = "removed", "reopened", "renamed"
"""The states of batches without facts. REMOVED: what earlier batches wrote was erased. REOPENED: a new account uses the
name again; `describe` makes the reason. RENAMED: from this batch on the account has another name; `describe_names`
makes the reason, from both names."""

_CHUNK: Final = 1_000
_FIRST_PARTS: Final = 4
"""The parts in the digest of every batch. A later part adds nothing to the digest if it is empty, so that the digests
of older batches stay valid."""

_encoder = msgspec.json.Encoder()


class Facts(NamedTuple):
    """The rows that one batch wrote to the fact tables, each part ordered by key."""

    added: Iterable[Row]
    """New versions of flows, with the columns of schema.flows."""
    ended: Iterable[Row]
    """Versions of flows that ended: at_us, id, the batch that entered it, how it ended."""
    quarantined: Iterable[Row]
    """New versions of quarantine entries, as `quarantine.sealed_row` gives them."""
    edges: Iterable[Row]
    """New rows of schema.page_edges."""
    settled: Iterable[Row] = ()
    """Versions of quarantine entries that ended: id, the batch that entered it, how it ended."""
    ended_edges: Iterable[Row] = ()
    """Rows of schema.page_edges that ended: identity, side, copies, the batch that entered it."""
    reseals: Iterable[Row] = ()
    """New digests of older batches, from which bytes were erased: batch, digest."""
    stated: Iterable[Row] = ()
    """Balances that people stated: at_us, subaccount, currency, amount, note."""
    unstated: Iterable[Row] = ()
    """Stated balances that were withdrawn: the batch that stated it, the reason."""
    decided: Iterable[Row] = ()
    """People's decisions about links: the columns of schema.link_decisions without account and batch."""
    periods: Iterable[Row] = ()
    """Months that people closed or reopened: the columns of schema.period_decisions without account and batch."""
    findings: Iterable[Row] = ()
    """People's explanations of findings: the columns of schema.finding_decisions without account and batch."""


def facts_digest(facts: Facts) -> str:
    """The digest of a batch's facts, in hex."""
    digest = sha256()
    for part in facts[:_FIRST_PARTS]:
        for chunk in _chunks(part):
            digest.update(_encoder.encode_lines(chunk))
        digest.update(b"\n")  # an empty line ends a part, so that a row cannot move to another part unnoticed
    for chunk in _chunks(facts.settled):
        digest.update(_encoder.encode_lines(chunk))
    for mark, part in ((b"\n", facts.ended_edges), (b"\n\n", facts.reseals)):
        for number, chunk in enumerate(_chunks(part)):
            digest.update((b"" if number else mark) + _encoder.encode_lines(chunk))
    for name in ("stated", "unstated", "decided", "periods", "findings"):
        for chunk in _chunks(getattr(facts, name)):
            # Each line begins with the name of its part, and has another number of values than the lines above.
            digest.update(_encoder.encode_lines((name, *row) for row in chunk))
    return digest.hexdigest()


def genesis(account: str, provider: str, zone: str, created_at_us: int) -> str:
    """The link before an account's first batch."""
    return _sealed("", (account, provider, zone, created_at_us))


def describe(provider: str, zone: str, created_at_us: int) -> str:
    """Return the description of an account that its first batch after a removal seals."""
    return _encoder.encode((provider, zone, created_at_us)).decode()


def describe_names(before: str, after: str) -> str:
    """Return the description of a change of the name, which the first batch under the new name seals."""
    return _encoder.encode((before, after)).decode()


def link(previous: str, batch: Row) -> str:
    """The link of a batch. `batch` is its row in schema.batches without the link itself."""
    return _sealed(previous, batch)


def _sealed(previous: str, values: Row) -> str:
    return sha256(previous.encode() + b"\n" + _encoder.encode(values)).hexdigest()


def _chunks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    walk = iter(rows)
    while chunk := list(islice(walk, _CHUNK)):
        yield chunk


NO_FACTS: Final = facts_digest(Facts((), (), (), ()))
"""The digest of a batch without facts."""
