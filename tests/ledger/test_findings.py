"""Findings: directions that contradict the sign, and copies that differ. Each commit counts them by day."""

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Connection

from liushui.flow import Direction, Kind
from liushui.ledger.engine import Ledger
from liushui.ledger.findings import SAME_ID, SIDE
from liushui.ledger.flow_row import to_row
from liushui.ledger.read.finding_lists import list_findings
from liushui.ledger.write.change import REBUILT, REDERIVED, Change
from liushui.ledger.write.commit import commit_change
from liushui.provider import DecodedRow
from tests.ledger.ledgers import (
    assert_intact,
    column,
    commit_read,
    damages,
    hour,
    hours,
    import_page,
    make_full_row,
    make_row,
    tables,
)
from tests.ledger.reading import model_of, statuses

IN, OUT, NONE = Direction.IN, Direction.OUT, Direction.NONE


def found(ledger: Ledger) -> list[tuple[str, str]]:
    return [(one.kind, one.flow_id) for one in list_findings(model_of(ledger), kinds=(SIDE, SAME_ID))]


@pytest.mark.parametrize(
    ("direction", "amount", "expected"),
    [
        (IN, "-5.00", True), (OUT, "5.00", True), (IN, "-0.01", True), (OUT, "0.10", True), (IN, "5.00", False),
        (OUT, "-5.00", False), (NONE, "5", False), (NONE, "-5", False), (IN, "-0.00", False), (OUT, "0", False),
        (OUT, "0.00", False), (IN, "0", False),
    ],
)  # fmt: skip
def test_a_direction_that_contradicts_the_sign_is_a_finding(
    ledger: Ledger, direction: Direction, amount: str, expected: bool
) -> None:
    commit_read(ledger, hours(0, 24), make_row("one", 1, amount, direction=direction))
    assert found(ledger) == ([(SIDE, "one")] if expected else [])
    assert statuses(ledger)[0].findings == expected
    assert_intact(ledger)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (make_row("twin", 1), False),
        (make_row("twin", 1, label="in other words", kind=Kind.FEE), False),
        (make_row("twin", 1, "1.000"), True),
        (make_row("twin", 1, currency="HKD"), True),
        (make_row("twin", 1, subaccount="s"), True),
        (make_row("twin", 1, direction=IN), True),
        (make_full_row("twin", 1, "1.00"), True),
        (make_row("twin", 2), True),
        (make_row("another", 1, "7.00"), False),
    ],
    ids=["equal", "words", "exponent", "currency", "subaccount", "direction", "everything", "time", "identity"],
)
def test_copies_that_differ_are_a_finding(ledger: Ledger, other: DecodedRow, expected: bool) -> None:
    commit_read(ledger, hours(0, 24), make_row("twin", 1), other)
    unlike = [id_ for finding, id_ in found(ledger) if finding == SAME_ID]
    assert unlike == (["twin~1"] if expected else [])
    assert_intact(ledger)


def test_findings_end_with_their_versions(ledger: Ledger) -> None:
    side, twin, unlike = make_row("side", 1, "5.00", direction=OUT), make_row("twin", 2), make_row("twin", 2, "7.00")
    commit_read(ledger, hours(0, 24), side, twin, unlike)
    assert found(ledger) == [(SIDE, "side"), (SAME_ID, "twin~1")]
    commit_read(ledger, hours(0, 24), make_row("side", 1, "-5.00", direction=OUT), twin, unlike)
    assert found(ledger) == [(SAME_ID, "twin~1")]
    commit_read(ledger, hours(0, 24), make_row("twin", 2, "7.00"), unlike)
    assert found(ledger) == []
    assert column(ledger, "findings", "flows") == []
    assert_intact(ledger)


def test_findings_are_counted_by_the_accounts_days(ledger: Ledger) -> None:
    rows = [make_row(f"row {at}", at, "5.00", direction=OUT) for at in (1, 2, 15, 17, 40)]
    commit_read(ledger, hours(0, 48), *rows)
    assert column(ledger, "findings", "day", "finding", "flows") == [
        ("2024-03-01", SIDE, 3),
        ("2024-03-02", SIDE, 1),
        ("2024-03-03", SIDE, 1),
    ]
    assert [id_ for _, id_ in found(ledger)] == [row.flow.identity for row in rows]
    commit_read(ledger, hours(0, 24))
    assert column(ledger, "findings", "day", "flows") == [("2024-03-03", 1)]
    assert_intact(ledger)


def test_a_finding_ends_when_the_first_row_becomes_equal(ledger: Ledger) -> None:
    """The copy does not change: only the row that it is compared with does."""
    commit_read(ledger, hours(0, 24), make_row("twin", 1, label="a"), make_row("twin", 2, label="b"))
    assert found(ledger) == [(SAME_ID, "twin~1")]
    commit_read(ledger, hours(0, 24), make_row("twin", 2, label="a"), make_row("twin", 2, label="b"))
    assert found(ledger) == []
    assert_intact(ledger)


def test_findings_of_a_batch_without_a_range_are_counted(ledger: Ledger) -> None:
    first = make_row("twin", 1, label="a")
    commit_read(ledger, hours(0, 24), first, make_row("twin", 2, label="b"))
    moved = first._replace(flow=first.flow._replace(at=hour(2)))
    (old,) = (row for row in tables(ledger)["flows"] if row[2] == "twin")
    change = Change(added=[to_row("a", "twin", moved, 2)], ended=[(old, REDERIVED)])
    assert commit_change(ledger, "a", REBUILT, lambda _connection, _batch: change) is not None
    assert found(ledger) == []
    assert_intact(ledger)


def test_findings_of_an_import_are_counted(ledger: Ledger) -> None:
    import_page(
        ledger,
        make_row("one", 1),
        make_row("twin", 2),
        make_row("twin", 2, "7.00"),
        make_row("side", 3, "-1", direction=IN),
    )
    import_page(ledger, make_row("first", 1), make_row("twin", 2), make_row("twin", 2, "7.00"), make_row("last", 3))
    assert found(ledger) == [(SIDE, "side"), (SAME_ID, "twin~1")]
    assert_intact(ledger)


def test_an_account_without_findings_is_not_searched(ledger: Ledger) -> None:
    commit_read(ledger, hours(0, 24), make_row("one", 1))
    statements: list[str] = []

    def watch(_connection: Connection, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    event.listen(ledger.engine, "before_cursor_execute", watch)
    assert found(ledger) == []
    about_flows = [statement for statement in statements if "flows " in statement and "findings" not in statement]
    assert all("SELECT at_us FROM flows" in statement and "LIMIT 1" in statement for statement in about_flows)


def test_a_changed_count_is_damage(ledger: Ledger) -> None:
    commit_read(ledger, hours(0, 24), make_row("side", 1, "5.00", direction=OUT))
    for statement in (
        "UPDATE findings SET flows = 2",
        "UPDATE findings SET flows = 1, finding = 'same_id'",
        "DELETE FROM findings",
    ):
        with ledger.writing() as connection:
            connection.exec_driver_sql(statement)
        assert [damage.batch for damage in damages(ledger)]
