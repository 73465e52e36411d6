"""Slices committed in one transaction give the same tables, to the last link, as slices committed one by one."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from liushui.errors import ConfirmationRequired, StaleRead
from liushui.ledger.engine import Ledger
from liushui.ledger.flow_row import Row
from liushui.ledger.write.change import Committed
from liushui.ledger.write.commit import SliceRead, commit_gap, commit_slice, commit_slices
from tests.ledger.ledgers import (
    READ_AT,
    assert_intact,
    commit_read,
    hours,
    make_full_row,
    make_row,
    new_ledger,
    rejected_row,
    tables,
)

LATER = READ_AT + timedelta(days=1)


def kept_one_by_one(ledger: Ledger, slices: Sequence[SliceRead]) -> list[Committed | None]:
    """What `commit_slices` would return for them."""
    kept: list[Committed | None] = []
    for asked, read_at, received, rejected in slices:
        try:
            committed = commit_slice(
                ledger, "a", asked, read_at=read_at, received=received, rejected=rejected, may_end=False
            )
        except StaleRead:
            kept.append(None)
        except ConfirmationRequired:
            break
        else:
            kept.append(committed)
    return kept


def assert_same(folder: Path, slices: Sequence[SliceRead], *, over_a_gap: bool, known: bool) -> None:
    """Commit slices in both ways, to ledgers with some coverage."""
    found: list[tuple[list[Committed | None], dict[str, list[Row]]]] = []
    for name in ("together", "alone"):
        ledger = new_ledger(folder, name=f"{name}.db")
        if over_a_gap:
            commit_gap(ledger, "a", hours(0, 1_000), tried_at=READ_AT - timedelta(days=9), reason="down")
        if known:
            commit_read(
                ledger,
                hours(0, 30),
                make_row("k-1", 3),
                rejected=[rejected_row("torn")],
                read_at=READ_AT - timedelta(days=3),
            )
        kept = commit_slices(ledger, "a", slices) if name == "together" else kept_one_by_one(ledger, slices)
        found.append((kept, tables(ledger)))
        assert_intact(ledger)
        ledger.close()
    assert found[0] == found[1]


@pytest.mark.parametrize("over_a_gap", [False, True])
@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_slices_committed_together_or_alone_make_the_same_ledger(
    tmp_path: Path, seed: int, *, over_a_gap: bool, known: bool
) -> None:
    random = Random(seed)
    slices = []
    at = 0
    for number in range(20):
        until = at + random.choice([1, 5, 24, 50])
        rows = [make_row(f"{number}-{one}", at + one / 50, "-1.50" if one % 3 else "2.25") for one in range(number % 7)]
        rows += [make_full_row(f"full-{number}", at)] * random.choice([0, 0, 1, 2])
        rejected = [rejected_row("torn")] * random.choice([0, 0, 0, 1])
        slices.append(
            SliceRead(hours(at, until), READ_AT, [*rows, *([make_row("k-1", 3)] if at <= 3 < until else [])], rejected)
        )
        at = until if random.random() < 0.9 else max(0, until - 2)
    assert_same(tmp_path, slices, over_a_gap=over_a_gap, known=known)


def test_a_slice_that_a_later_read_has_proven_is_skipped(ledger: Ledger) -> None:
    commit_read(ledger, hours(24, 48), make_row("late", 30), read_at=LATER)
    slices = [SliceRead(hours(24 * day, 24 * day + 24), READ_AT, [make_row(f"d-{day}", 24 * day)]) for day in range(3)]
    first, stale, last = commit_slices(ledger, "a", slices)
    assert stale is None
    assert first is not None
    assert last is not None
    assert (first.added, last.added) == (1, 1)
    assert_intact(ledger)


def test_slices_from_the_first_that_ends_versions_are_not_committed(ledger: Ledger) -> None:
    commit_read(ledger, hours(24, 48), make_row("gone", 30))
    slices = [SliceRead(hours(24 * day, 24 * day + 24), LATER, [make_row(f"d-{day}", 24 * day)]) for day in range(3)]
    assert len(commit_slices(ledger, "a", slices)) == 1
    assert [row[2] for row in tables(ledger)["flows"]] == ["d-0", "gone"]
    assert_intact(ledger)


def test_many_small_slices_need_few_statements(tmp_path: Path) -> None:
    """What several slices add is written together."""
    ledger = new_ledger(tmp_path)
    statements: list[str] = []
    event.listen(ledger.engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    slices = [SliceRead(hours(hour, hour + 1), READ_AT, [make_row(f"h-{hour}", hour)]) for hour in range(100)]
    assert len(commit_slices(ledger, "a", slices)) == 100
    assert len(statements) < 2.5 * len(slices)
    with ledger.reading() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM batches")) == 100
    assert_intact(ledger)
    ledger.close()
