"""A codec that can learn: the same rows are read otherwise by one that was told more."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import msgspec

from liushui.errors import NotRepresentable, WireError
from liushui.flow import Direction, Flow, Kind
from liushui.ledger.flow_row import Rejected, read_rows
from liushui.provider import DecodedRow
from tests.ledger.books import hour


class Told(msgspec.Struct):
    """A row of this wire. `at` counts hours after DAY_ONE."""

    id: str
    at: int
    amount: str = "1.00"
    label: str = "x"
    side: str = "none"


_decode = msgspec.json.Decoder(Told).decode


def told(id_: str, at: int = 1, amount: str = "1.00", label: str = "x", side: str = "none") -> bytes:
    """A row as it comes."""
    return msgspec.json.encode(Told(id_, at, amount, label, side))


@dataclass(frozen=True)
class LearningCodec:
    """Reads Told rows. What it has learned are its fields."""

    unreadable: frozenset[str] = frozenset()
    """Labels that it does not know what to make of."""
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    """By label."""
    identity: Callable[[Told], str] = lambda row: row.id
    late_hours: int = 0
    """How much later than it says a row happened."""

    def extract_rows(self, document: bytes, status: int = 200) -> Sequence[bytes]:
        return document.splitlines()

    def read(self, row: bytes) -> DecodedRow:
        try:
            found = _decode(row)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise WireError("row", f"expected a row, got {row[:20]!r}") from error
        if found.label in self.unreadable:
            raise WireError("label", f"expected one that is known, got {found.label!r}")
        kind = self.kinds.get(found.label, Kind.OTHER)
        at = hour(found.at + self.late_hours)
        direction = Direction(found.side)
        flow = Flow(self.identity(found), at, Decimal(found.amount), "USD", direction, kind, label=found.label)
        return DecodedRow(flow, row, None)

    def write(self, flow: Flow, language: str | None = None) -> bytes:
        raise NotRepresentable("row", "expected to be read alone")


def read(codec: LearningCodec, *rows: bytes) -> tuple[list[DecodedRow], list[Rejected]]:
    """What a codec makes of rows."""
    return read_rows(codec, rows)
