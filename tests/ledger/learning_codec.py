"""A codec that can learn: a newer one decodes the same rows differently."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import msgspec

from liushui.errors import NotRepresentable, WireError
from liushui.flow import Direction, Flow, Kind
from liushui.ledger.flow_row import Rejected, read_rows
from liushui.provider import DecodedRow
from tests.ledger.ledgers import hour


class ToyRow(msgspec.Struct):
    """A row of this wire. `at` counts hours after DAY_ONE."""

    id: str
    at: int
    amount: str = "1.00"
    label: str = "x"
    side: str = "none"


_decode = msgspec.json.Decoder(ToyRow).decode


def toy_row(id_: str, at: int = 1, amount: str = "1.00", label: str = "x", side: str = "none") -> bytes:
    """The bytes of a row."""
    return msgspec.json.encode(ToyRow(id_, at, amount, label, side))


@dataclass(frozen=True)
class LearningCodec:
    """Decodes toy rows. Its fields are what it has learned."""

    unreadable: frozenset[str] = frozenset()
    """Labels that it cannot decode."""
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    """Kinds by label."""
    identity: Callable[[ToyRow], str] = lambda row: row.id
    late_hours: int = 0
    """Added to the time in a row."""

    def extract_rows(self, document: bytes, status: int = 200) -> Sequence[bytes]:
        return document.splitlines()

    def read(self, row: bytes) -> DecodedRow:
        try:
            toy = _decode(row)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise WireError("row", f"expected a row, got {row[:20]!r}") from error
        if toy.label in self.unreadable:
            raise WireError("label", f"expected one that is known, got {toy.label!r}")
        kind = self.kinds.get(toy.label, Kind.OTHER)
        at = hour(toy.at + self.late_hours)
        direction = Direction(toy.side)
        flow = Flow(self.identity(toy), at, Decimal(toy.amount), "USD", direction, kind, label=toy.label)
        return DecodedRow(flow, row, None)

    def write(self, flow: Flow, language: str | None = None) -> bytes:
        raise NotRepresentable("row", "expected to be read alone")


def read(codec: LearningCodec, *rows: bytes) -> tuple[list[DecodedRow], list[Rejected]]:
    """Decode rows."""
    return read_rows(codec, rows)
