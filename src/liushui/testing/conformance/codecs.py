"""The codec alone: golden pairs, round trips, rows that do not fit, and rows that know more than the codec does."""

from random import Random
from typing import Final

from liushui.errors import NotRepresentable, WireError
from liushui.flow import Flow
from liushui.ledger.flow_row import COPY_MARK, ID, identity_of, read_batch, read_rows, to_row
from liushui.money import EXACT, to_plain_string
from liushui.provider import BatchCodec, DecodedRow
from liushui.testing.conformance import material
from liushui.testing.conformance.chance import broken_bytes
from liushui.testing.conformance.checks import Checks
from liushui.testing.conformance.ensure import ensure, ensure_equal
from liushui.testing.conformance.fields import fields_of, with_field, with_unknown
from liushui.testing.golden import FLOWS, WIRE, cases, golden, samples_of
from liushui.wire.ranges import to_steps

FOREIGN_FLOWS: Final = 3_000
CURRENCIES: Final = ("USD", "HKD", "CNY", "CNH", "USDT", "JPY", "BTC", "x")
BROKEN_ROWS: Final = 5_000
STRANGE: Final = (None, b"null", b"true", b"[]", b"{}")
"""What no field of money or time has for a value; None: the field is missing."""
ODD_VALUES: Final = (b'"liushui"', b'"a~1"', b'""', b"-7", b"7.25", b"1e400", b"123456789012345678901234567890")


class CodecChecks(Checks):
    """What a row means, and how a flow is said."""

    def test_golden_pairs(self) -> None:
        """Every saved answer means what stands beside it; what the provider's document prints is one of them."""
        folder = samples_of(self.provider)
        names = [name for name, _, _ in cases(folder)]
        ensure("document" in names, f"{folder} has no document{WIRE}: what the provider's document prints")
        for name, wire, flows in cases(folder):
            expected = flows.read_text(encoding="utf-8") if flows.exists() else ""
            ensure_equal(f"{name}{FLOWS}", golden(self.provider.codec, wire.read_bytes()), expected)

    def test_rows_are_the_documents_own_bytes(self) -> None:
        for name, wire, _ in cases(samples_of(self.provider)):
            document, at = wire.read_bytes(), 0
            for row in self.provider.codec.extract_rows(document):
                found = document.find(row, at)
                ensure(found >= 0, f"{name}{WIRE} does not have these bytes: {row!r}")
                at = found + len(row)

    def test_a_row_that_is_written_again_is_the_same_flow(self) -> None:
        codec = self.provider.codec
        for came in material.samples(self.provider):
            served = codec.read(came.served or came.row)
            ensure(served.served is None, f"what is served in a row's place is not served as it is: {served.row!r}")
            written = codec.write(came.flow)
            ensure_equal(f"the flow of {written!r}", codec.read(written).flow, served.flow)
            ensure_equal("a row written twice", fields_of(codec.write(served.flow)), fields_of(written))

    def test_a_flow_from_elsewhere_is_said_exactly_or_not_at_all(self) -> None:
        """Its time to the wire's finest step, its currency, its amount to the last digit; else NotRepresentable."""
        random, known = Random(3), material.samples(self.provider)  # noqa: S311 - the same flows in each run
        step = self.provider.rules.resolution
        moments = [came.flow.at for came in known]
        said = 0
        for _ in range(FOREIGN_FLOWS):
            flow = material.made_up(known, moments, random)
            flow = flow._replace(currency=random.choice((*CURRENCIES, flow.currency)))
            try:
                row = self.provider.codec.write(flow)
            except NotRepresentable as error:
                ensure(bool(error.field and error.reason), f"Unsayable without a field or a reason: {error!r}")
                continue
            came = self.provider.codec.read(row)
            said += 1
            facts = _money(came.flow), to_steps(came.flow.at, step)
            ensure_equal(f"amount, currency, time of {row!r}", facts, (_money(flow), to_steps(flow.at, step)))
            ensure(came.served is None, f"a row that the codec wrote is not served as it is: {row!r}")
        ensure(said > 0, "no flow from elsewhere can be said")

    def test_a_field_that_nobody_knows_is_passed_over_and_kept(self) -> None:
        for came in material.samples(self.provider):
            row = with_unknown(came.row)
            again = self.provider.codec.read(row)
            ensure_equal(f"the flow of {row!r}", again.flow, came.flow)
            ensure_equal("the row kept", again.row, row)

    def test_a_value_that_nobody_knows_passes_through_or_is_named(self) -> None:
        """Where a filter lists the values of a field, for the list may grow."""
        for came in material.samples(self.provider):
            for one in self.provider.rules.filters:
                value = fields_of(came.row).get(one.field, b"")
                if value and one.values is not None:
                    unknown = b'"liushui"' if value.startswith(b'"') else b"97"
                    self._check_changed(came, one.field, unknown, exact=True)

    def test_a_field_that_is_missing_or_does_not_fit_is_named_and_never_guessed(self) -> None:
        """Or it does not matter: then the row's money and its time are what they were."""
        for came in material.samples(self.provider):
            for field in fields_of(came.row):
                for value in (*STRANGE, *ODD_VALUES):
                    self._check_changed(came, field, value, exact=value in STRANGE)

    def test_broken_rows_are_flows_or_wire_errors(self) -> None:
        random, known = Random(4), material.samples(self.provider)  # noqa: S311 - the same rows in each run
        for _ in range(BROKEN_ROWS):
            row = broken_bytes(random, random.choice(known).row)
            try:
                came = self.provider.codec.read(row)
            except WireError as error:
                ensure(bool(error.field and error.reason), f"a WireError without a field or a reason: {error!r}")
            else:
                ensure_equal("the row kept", came.row, row)

    def test_rows_read_together_say_what_each_says_alone(self) -> None:
        """Samples, rows with a field that does not fit, broken ones, and flows from elsewhere as the codec writes them.
        Those that it writes of its own samples are ordinary ones: where it reads many at once, it reads them so."""
        random, known = Random(5), material.samples(self.provider)  # noqa: S311 - the same rows in each run
        rows = [came.row for came in known]
        rows += [
            with_field(came.row, field, value)
            for came in known
            for field in fields_of(came.row)
            for value in (*STRANGE, *ODD_VALUES)
        ]
        rows += [broken_bytes(random, random.choice(known).row) for _ in range(BROKEN_ROWS)]
        written = [self.provider.codec.write(came.flow) for came in known]
        for row in rows + written:
            self._check_together([row])
        if isinstance(self.provider.codec, BatchCodec):
            plain_ones = [row for row in written if self.provider.codec.read_many([row]) is not None]
            ensure(bool(plain_ones), "not one row that the codec itself writes is read together with others")
            self._check_together(plain_ones * 2)
            ensure(read_batch(self.provider.codec, plain_ones) is not None, "rows that are read so alone are not")

    def _check_together(self, rows: list[bytes]) -> None:
        """Where rows are read together, each of them could be read, is served as it came, and says the same."""
        together = read_batch(self.provider.codec, rows)
        if together is None:
            return
        received, rejected = read_rows(self.provider.codec, rows)
        ensure(not rejected, f"rows were read together though they cannot be read alone: {rejected!r}")
        found = [row[:ID] + row[ID + 1 :] for row in together.to_rows("", 0)]
        expected = [to_row("", "", came, 0) for came in received]
        ensure_equal(f"what {rows!r} say together", found, [row[:ID] + row[ID + 1 :] for row in expected])
        ids = [identity_of(str(row[ID])) for row in together.to_rows("", 0)]
        ensure_equal(f"what {rows!r} are together", ids, [came.flow.identity for came in received])

    def _check_changed(self, came: DecodedRow, field: str, value: bytes | None, *, exact: bool) -> None:
        """Change a field of a row: it is read, `exact` its money and time as they were, or this field is named."""
        row = with_field(came.row, field, value)
        try:
            again = self.provider.codec.read(row).flow
        except WireError as error:
            others = fields_of(came.row).keys() - {field}
            names = error.field.split(".")[0] not in others or field in error.reason
            ensure(names, f"{field} is {value!r}, but the error names {error}")
            ensure(not exact or error.field != "row", f"{field} is {value!r}, but the error names no field: {error}")
        else:
            ensure(COPY_MARK not in again.identity, f"an identity has the ledger's own mark: {again.identity}")
            if exact:
                facts, expected = (_money(again), again.at), (_money(came.flow), came.flow.at)
                ensure_equal(f"amount, currency and time of {row!r}", facts, expected)


def _money(flow: Flow) -> tuple[str, str]:
    """The amount, exact to its value, and its currency."""
    return to_plain_string(flow.amount.normalize(EXACT)), flow.currency
