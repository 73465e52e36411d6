"""Imports and proofs of the same rows, in any order and form, give the ledger that a sync alone gives."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from liushui.ledger.engine import Ledger
from liushui.ledger.flow_row import read_rows
from liushui.ledger.write.commit import commit_slice
from liushui.provider import Slice
from liushui.providers.longbridge import codec
from tests.importing.flows_digest import flows_digest
from tests.importing.inputs import SECOND, envelope, import_texts, new_ledger, row
from tests.importing.test_import import ROWS, assert_intact, held, identities, newest_first

END: Final = 8
"""Seconds after SECOND at which every row is past."""

FORMS: Final = {
    "an answer": envelope,
    "an answer, pretty-printed": lambda rows: json.dumps(json.loads(envelope(rows)), indent=2).encode(),
    "an array": lambda rows: b"[" + b",\n".join(rows) + b"]",
    "lines": b"\n".join,
}

pairs = st.tuples(st.integers(0, END - 1), st.integers(1, END)).filter(lambda pair: pair[0] < pair[1])


def cut(rows: list[bytes], sizes: list[int]) -> list[list[bytes]]:
    """Pages of the rows, newest first, of these sizes, the last of them again and again."""
    rows = newest_first(rows)
    pages: list[list[bytes]] = []
    while rows:
        size = sizes[min(len(pages), len(sizes) - 1)]
        pages.append(rows[:size])
        rows = rows[size:]
    return pages


def is_told(page: list[bytes]) -> bool:
    """Whether a page has rows of two seconds or more: one that has not may be a whole second, or a part of it."""
    return len({codec.read(one).flow.at for one in page}) > 1


def prove(ledger: Ledger, rows: list[bytes], since: int, until: int) -> None:
    """Commit the rows of some seconds, as a sync that has read them whole."""
    begin = datetime.fromtimestamp(SECOND, UTC)
    asked = Slice(begin + timedelta(seconds=since), begin + timedelta(seconds=until))
    received, rejected = read_rows(codec, [one for one in rows if asked.since <= codec.read(one).flow.at < asked.until])
    commit_slice(ledger, "a", asked, read_at=datetime.now(UTC), received=received, rejected=rejected)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(ROWS, st.lists(st.integers(2, 9), min_size=1, max_size=4), st.lists(pairs, max_size=3), st.data())
def test_imports_and_proofs_in_any_order(
    rows: list[bytes], sizes: list[int], proofs: list[tuple[int, int]], data: st.DataObject
) -> None:
    pages = cut(rows, sizes)
    assume(all(map(is_told, pages)))
    form = st.sampled_from(sorted(FORMS))
    steps: list[list[bytes] | tuple[int, int]] = [
        *pages,
        *proofs,
        *data.draw(st.lists(st.sampled_from(pages), max_size=2)),
    ]
    with TemporaryDirectory() as name:
        folder = Path(name)
        ledger = new_ledger(folder / "ledger.db")
        for step in data.draw(st.permutations(steps), label="steps"):
            if isinstance(step, tuple):
                prove(ledger, rows, *step)
            else:
                import_texts(ledger, folder, [FORMS[data.draw(form)](step)])
        assert held(ledger) == identities(rows)
        synced = new_ledger(folder / "synced.db")
        prove(synced, rows, 0, END)
        assert flows_digest(ledger) == flows_digest(synced)
        assert_intact(ledger)
        prove(ledger, rows, 0, END)
        assert flows_digest(ledger) == flows_digest(synced)
        assert_intact(ledger)
        ledger.close()
        synced.close()


def test_what_a_proof_put_right_stays_right(tmp_path: Path) -> None:
    """Two ranges that touch in one row look like a cut between two equal rows, until a sync knows better."""
    ledger = new_ledger(tmp_path / "ledger.db")
    touching = [envelope([row(3), row(2)]), envelope([row(2), row(1)])]
    import_texts(ledger, tmp_path, touching)
    assert sum(held(ledger).values()) == 4
    prove(ledger, [row(3), row(2), row(1)], 0, END)
    assert held(ledger) == identities([row(3), row(2), row(1)])
    again = import_texts(ledger, tmp_path, touching)
    assert (again.added, again.withdrawn, again.known) == (0, 0, 4)
    assert held(ledger) == identities([row(3), row(2), row(1)])
    ledger.close()


def test_the_digest_tells_one_fact_from_another(tmp_path: Path) -> None:
    def digest(name: str, *rows: bytes) -> str:
        ledger = new_ledger(tmp_path / name)
        import_texts(ledger, tmp_path, [envelope(list(rows))])
        found = flows_digest(ledger)
        assert flows_digest(ledger, ("a",)) == found
        ledger.close()
        return found

    alike = {digest("one", row(1), row(2)), digest("two", row(2), row(1)), digest("three", row(1), row(2, label="y"))}
    assert len(alike) == 1
    others = {
        digest("none"),
        digest("fewer", row(1)),
        digest("more", row(1), row(2), row(2)),
        digest("amount", row(1), row(2, "-1.000")),
        digest("second", row(1), row(3)),
        digest("note", row(1), row(2, note="y")),
    }
    assert len(others | alike) == 7


def test_the_digest_is_of_the_accounts_that_are_asked_for(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path / "ledger.db")
    empty = flows_digest(ledger, ("b",))
    import_texts(ledger, tmp_path, [envelope([row(1), row(2)])])
    assert flows_digest(ledger, ("b",)) == empty
    assert flows_digest(ledger, ("a",)) == flows_digest(ledger, ("a", "b")) == flows_digest(ledger) != empty
    ledger.close()
