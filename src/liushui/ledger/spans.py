"""When a row that cannot be read may have happened: pieces of time, in microseconds since the epoch. Pure."""

from itertools import chain, pairwise
from typing import NamedTuple

import msgspec

_encode = msgspec.json.Encoder().encode
_holes_of = msgspec.json.Decoder(tuple[tuple[int, int], ...]).decode


class Piece(NamedTuple):
    """[since, until)."""

    since_us: int
    until_us: int


Span = tuple[Piece, ...]
"""Pieces that do not touch, oldest first. None stands for a span that nobody knows."""


def within(span: Span | None, cut: Piece) -> Span:
    """The part of a span inside a range. Of one that nobody knows: the range."""
    if span is None:
        return (cut,)
    parts = (Piece(max(known.since_us, cut.since_us), min(known.until_us, cut.until_us)) for known in span)
    return tuple(part for part in parts if part.since_us < part.until_us)


def without(span: Span, cut: Piece) -> Span:
    """The part of a span outside a range."""
    parts = chain.from_iterable(
        (
            Piece(known.since_us, min(known.until_us, cut.since_us)),
            Piece(max(known.since_us, cut.until_us), known.until_us),
        )
        for known in span
    )
    return tuple(part for part in parts if part.since_us < part.until_us)


def length_us(span: Span) -> int:
    """How much time a span has."""
    return sum(piece.until_us - piece.since_us for piece in span)


def has(span: Span | None, at_us: int) -> bool:
    """Whether an instant is in a span, or may be."""
    return span is None or any(piece.since_us <= at_us < piece.until_us for piece in span)


def to_columns(span: Span | None) -> tuple[int | None, int | None, str | None]:
    """A span as schema.quarantine has it: its ends, and as JSON the ranges between them that are no part of it."""
    if span is None:
        return None, None, None
    holes = [(before.until_us, after.since_us) for before, after in pairwise(span)]
    return span[0].since_us, span[-1].until_us, _encode(holes).decode() if holes else None


def from_columns(since_us: int | None, until_us: int | None, holes: str | None) -> Span | None:
    """What `to_columns` was given."""
    if since_us is None or until_us is None:
        return None
    edges = [since_us, *chain.from_iterable(_holes_of(holes) if holes else ()), until_us]
    return tuple(Piece(*ends) for ends in zip(edges[::2], edges[1::2], strict=True))
