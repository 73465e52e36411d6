"""The codec alone: golden pairs, round trips, malformed rows, and rows with unknown fields or values."""

from random import Random
from typing import Final

import msgspec

from liushui.errors import NotRepresentable, WireError
from liushui.flow import Flow
from liushui.ledger.flow_row import COPY_MARK, ID, identity_of, read_batch, read_rows, to_row
from liushui.money import EXACT, to_plain_string
from liushui.provider import UNSERVABLE, BatchCodec, DecodedRow
from liushui.simulate.faults.json_rewriting import fields_of, with_field
from liushui.testing.conformance import sample_rows
from liushui.testing.conformance.assertions import ensure, ensure_equal
from liushui.testing.conformance.both_ends import Checks
from liushui.testing.conformance.odd_values import break_bytes, with_unknown_field
from liushui.testing.golden import FLOWS, JSON, WIRE, cases, golden, samples_of
from liushui.wire.ranges import to_steps

FOREIGN_FLOWS: Final = 3_000
CURRENCIES: Final = ("USD", "HKD", "CNY", "CNH", "USDT", "JPY", "BTC", "x")
BROKEN_ROWS: Final = 5_000
IMPOSSIBLE_VALUES: Final = (None, b"null", b"true", b"[]", b"{}")
"""Values that no amount, currency or time can have. None: the field is missing."""
ODD_VALUES: Final = (b'"liushui"', b'"a~1"', b'""', b"-7", b"7.25", b"1e400", b"123456789012345678901234567890")


class CodecChecks(Checks):
    """Decoding rows and encoding flows."""

    def test_golden_pairs(self) -> None:
        """Each saved answer decodes to the flows in the file next to it. One of them is the sample of the provider's
        document."""
        folder = samples_of(self.provider)
        names = [name for name, _, _ in cases(folder)]
        ensure("document" in names, f"{folder} has no document{WIRE}json: what the provider's document prints")
        for name, wire, flows in cases(folder):
            expected = flows.read_text(encoding="utf-8") if flows.exists() else ""
            ensure_equal(f"{name}{FLOWS}", golden(self.provider.codec, wire.read_bytes()), expected)

    def test_rows_are_bytes_of_the_answer(self) -> None:
        """If an answer is not JSON, the cells of a table occur in the answer one after another."""
        for _, wire, _ in cases(samples_of(self.provider)):
            document, at = wire.read_bytes(), 0
            for row in self.provider.codec.extract_rows(document):
                for part in [row] if wire.suffix == JSON else _cells_of(row):
                    found = document.find(part, at)
                    ensure(found >= 0, f"{wire.name} does not have these bytes: {part!r}")
                    at = found + len(part)

    def test_a_row_survives_a_round_trip(self) -> None:
        codec = self.provider.codec
        for decoded in sample_rows.golden_rows(self.provider):
            if decoded.served == UNSERVABLE:
                continue
            served = codec.read(decoded.served or decoded.row)
            ensure(served.served is None, f"a row that replaces another is not served as it is: {served.row!r}")
            written = codec.write(decoded.flow)
            ensure_equal(f"the flow of {written!r}", codec.read(written).flow, served.flow)
            ensure_equal("a row written twice", fields_of(codec.write(served.flow)), fields_of(written))

    def test_a_row_that_no_answer_may_have_is_not_written_either(self) -> None:
        for decoded in sample_rows.golden_rows(self.provider):
            try:
                self.provider.codec.write(decoded.flow)
            except NotRepresentable as error:
                ensure_equal(f"what is served of a row that is refused: {error}", decoded.served, UNSERVABLE)
            else:
                ensure(decoded.served != UNSERVABLE, f"the codec writes the flow of {decoded.row!r} nevertheless")

    def test_a_foreign_flow_is_written_exactly_or_refused(self) -> None:
        """The time (to the wire's finest step), the currency and every digit of the amount must be exact."""
        random, known = Random(3), sample_rows.golden_rows(self.provider)  # noqa: S311 - the same flows in each run
        step = self.provider.rules.resolution
        moments = [decoded.flow.at for decoded in known]
        said = 0
        for _ in range(FOREIGN_FLOWS):
            flow = sample_rows.invented_flow(known, moments, random)
            flow = flow._replace(currency=random.choice((*CURRENCIES, flow.currency)))
            try:
                row = self.provider.codec.write(flow)
            except NotRepresentable as error:
                ensure(bool(error.field and error.reason), f"Unsayable without a field or a reason: {error!r}")
                continue
            decoded = self.provider.codec.read(row)
            said += 1
            facts = _money(decoded.flow), to_steps(decoded.flow.at, step)
            ensure_equal(f"amount, currency, time of {row!r}", facts, (_money(flow), to_steps(flow.at, step)))
            ensure(decoded.served is None, f"a row that the codec wrote is not served as it is: {row!r}")
        ensure(said > 0, "no foreign flow can be written")

    def test_an_unknown_field_is_ignored_and_kept(self) -> None:
        for decoded in sample_rows.golden_rows(self.provider):
            row = with_unknown_field(decoded.row)
            again = self.provider.codec.read(row)
            ensure_equal(f"the flow of {row!r}", again.flow, decoded.flow)
            ensure_equal("the row kept", again.row, row)

    def test_an_unknown_value_is_accepted_or_named(self) -> None:
        """For fields with a filter that lists their values, because such a list may grow."""
        for decoded in sample_rows.golden_rows(self.provider):
            for one in self.provider.rules.filters:
                value = fields_of(decoded.row).get(one.field, b"")
                if value and one.values is not None:
                    unknown = b'"liushui"' if value.startswith(b'"') else b"97"
                    self._check_changed(decoded, one.field, unknown, exact=True)

    def test_a_missing_or_mistyped_field_is_named_or_irrelevant(self) -> None:
        """If it is irrelevant, the row's amount, currency and time stay the same."""
        for decoded in sample_rows.golden_rows(self.provider):
            for field in fields_of(decoded.row):
                for value in (*IMPOSSIBLE_VALUES, *ODD_VALUES):
                    self._check_changed(decoded, field, value, exact=value in IMPOSSIBLE_VALUES)

    def test_a_broken_row_is_a_flow_or_a_wire_error(self) -> None:
        random, known = Random(4), sample_rows.golden_rows(self.provider)  # noqa: S311 - the same rows in each run
        for _ in range(BROKEN_ROWS):
            row = break_bytes(random, random.choice(known).row)
            try:
                decoded = self.provider.codec.read(row)
            except WireError as error:
                ensure(bool(error.field and error.reason), f"a WireError without a field or a reason: {error!r}")
            else:
                ensure_equal("the row kept", decoded.row, row)

    def test_a_batch_decodes_as_its_rows_do_one_by_one(self) -> None:
        """Golden rows, rows with odd values, broken rows, and rows that the codec wrote.

        The rows that the codec wrote are ordinary, so a codec that decodes batches must decode them as a batch.
        """
        random, known = Random(5), sample_rows.golden_rows(self.provider)  # noqa: S311 - the same rows in each run
        rows = [decoded.row for decoded in known]
        rows += [
            with_field(decoded.row, field, value)
            for decoded in known
            for field in fields_of(decoded.row)
            for value in (*IMPOSSIBLE_VALUES, *ODD_VALUES)
        ]
        rows += [break_bytes(random, random.choice(known).row) for _ in range(BROKEN_ROWS)]
        written = [self.provider.codec.write(decoded.flow) for decoded in known if decoded.served != UNSERVABLE]
        for row in rows + written:
            self._check_batch([row])
        if isinstance(self.provider.codec, BatchCodec):
            plain_ones = [row for row in written if self.provider.codec.read_many([row]) is not None]
            ensure(bool(plain_ones), "no row that the codec itself writes is decoded in a batch")
            self._check_batch(plain_ones * 2)
            ensure(
                read_batch(self.provider.codec, plain_ones) is not None,
                "rows that are decoded as batches of one are not decoded as one batch",
            )

    def _check_batch(self, rows: list[bytes]) -> None:
        """If the rows are decoded as a batch, each row must decode to the same flow alone, and be served unchanged."""
        together = read_batch(self.provider.codec, rows)
        if together is None:
            return
        received, rejected = read_rows(self.provider.codec, rows)
        ensure(not rejected, f"a batch was decoded although these rows cannot be decoded alone: {rejected!r}")
        found = [row[:ID] + row[ID + 1 :] for row in together.to_rows("", 0)]
        expected = [to_row("", "", decoded, 0) for decoded in received]
        ensure_equal(f"the batch {rows!r}", found, [row[:ID] + row[ID + 1 :] for row in expected])
        ids = [identity_of(str(row[ID])) for row in together.to_rows("", 0)]
        ensure_equal(f"the identities of the batch {rows!r}", ids, [decoded.flow.identity for decoded in received])

    def _check_changed(self, decoded: DecodedRow, field: str, value: bytes | None, *, exact: bool) -> None:
        """Change a field of a row: the row must be decoded, or the error must name the field.

        With `exact`, a decoded row must have the same amount, currency and time. An error must name a field.
        """
        row = with_field(decoded.row, field, value)
        try:
            again = self.provider.codec.read(row).flow
        except WireError as error:
            others = fields_of(decoded.row).keys() - {field}
            names = error.field.split(".")[0] not in others or field in error.reason
            ensure(names, f"{field} is {value!r}, but the error names {error}")
            ensure(not exact or error.field != "row", f"{field} is {value!r}, but the error names no field: {error}")
        else:
            ensure(COPY_MARK not in again.identity, f"an identity has the ledger's own mark: {again.identity}")
            if exact:
                facts, expected = (_money(again), again.at), (_money(decoded.flow), decoded.flow.at)
                ensure_equal(f"amount, currency and time of {row!r}", facts, expected)


def _cells_of(row: bytes) -> list[bytes]:
    """Return the texts of a line's cells in the document. A value that is not in the document has a name with #."""
    cells = msgspec.json.decode(row, type=dict[str, str])
    return [text.encode() for name, text in cells.items() if not name.startswith("#")]


def _money(flow: Flow) -> tuple[str, str]:
    """The amount, normalised, and its currency."""
    return to_plain_string(flow.amount.normalize(EXACT)), flow.currency
