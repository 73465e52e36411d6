"""The content of a certificate, and the differences that a comparison with a ledger finds."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from secrets import token_hex

import msgspec
import pytest
import rfc8785
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liushui.certificate import document as doc
from liushui.certificate.check import compare_with_ledger, is_erased, list_rows, open_certificate
from liushui.certificate.keys import create_signing_key, list_signing_keys, load_signing_key
from liushui.certificate.note import SigningKey
from liushui.certificate.rows import COLUMNS, canonical_row
from liushui.certificate.store import StoredCertificate, insert_certificate, list_certificates, load_certificate
from liushui.errors import AlreadyExists, CertificateError, ConfigError, InvalidField, LedgerBusy, NotFound
from liushui.flow import Kind
from liushui.ledger.engine import Ledger, open_ledger
from liushui.ledger.jobs.sources import add_source
from liushui.ledger.maintenance.backup import back_up
from liushui.ledger.maintenance.copy import copy_ledger
from liushui.ledger.maintenance.restore import restore
from liushui.ledger.maintenance.verify import Damage, Verified, verify
from liushui.ledger.read import open_items
from liushui.ledger.read.balances import read_balances
from liushui.ledger.read.filters import FlowFilter
from liushui.ledger.read.model import ReadModel
from liushui.ledger.schema import certificates
from liushui.ledger.write.commit import commit_gap, make_account
from liushui.ledger.write.quarantine import row_digest
from liushui.ledger.write.remove import remove_account
from liushui.ledger.write.stated_balances import Statement, state_balance
from liushui.provider import DecodedRow, Slice
from liushui.providers import ProviderRules
from liushui.providers.wecom.rules import RULES as WECOM
from liushui.services.quarantine import discard_row
from liushui.testing.clock import MovableClock
from liushui.testing.empty_ledger import create_ledger
from tests.certificate.certified import (
    BEGIN,
    END,
    MARCH,
    NAME,
    PERIOD,
    certifiable_ledger,
    certify,
    export,
    march_rows,
)
from tests.cli.commands import run
from tests.engines import LedgerStore
from tests.ledger.ledgers import READ_AT, commit_read, hour, hours, import_page, make_row, new_ledger, rejected_row

MONTH_ENDS = {
    "2024-02": MARCH[0],
    "2024-03": MARCH[1],
    "2024-04": datetime(2024, 4, 30, 16, tzinfo=UTC),
}
"""Where months end in Hong Kong."""


def verdict_of(ledger: Ledger) -> tuple[str, bool, str]:
    """What the read model says of March."""
    verdict = ReadModel(ledger, ProviderRules()).verdict(FlowFilter(("a",), *MARCH))
    return verdict.status.value, verdict.is_complete, verdict.reason


def basis_of(document: doc.Document) -> tuple[str, bool, str]:
    """What a certificate says of it."""
    basis = document.completeness
    return basis.status, basis.complete, "; ".join(dict.fromkeys(one.reason for one in basis.missing))


# ---------------------------------------------------------------- what it says


def test_a_complete_month(ledger_store: LedgerStore, tmp_path: Path) -> None:
    ledger = certifiable_ledger(ledger_store)
    made = certify(ledger)
    assert (made.number, made.subject.account, made.subject.zone) == (1, "a", "Asia/Hong_Kong")
    assert made.subject.period == doc.Period(
        PERIOD, "2024-02-29T16:00:00Z", "2024-03-31T16:00:00Z", "2024-03-01T00:00:00+08:00", "2024-04-01T00:00:00+08:00"
    )
    assert (made.subject.subaccounts, made.subject.currencies) == (["", "margin"], ["HKD", "USD"])
    assert basis_of(made) == verdict_of(ledger) == ("complete", True, "")
    assert made.completeness.read == [
        doc.ReadRange("2024-02-29T16:00:00Z", "2024-03-31T16:00:00Z", "2024-06-01T00:00:00Z", 1)
    ]
    assert made.population.rows == 23
    assert made.population.rejected.rows == 0
    lines = {(line.subaccount, line.currency): line for line in made.roll_forward}
    assert list(lines) == [("", "HKD"), ("", "USD"), ("margin", "USD")]
    usd = lines["", "USD"]
    assert (usd.opening.amount, usd.opening.complete) == ("100.50", True)
    assert (usd.money_in, usd.money_out, usd.closing.amount) == ("56.54", "-45.36", "111.68")
    assert lines["", "HKD"].closing.amount == "-0.000000000000000000000000000000000001"
    assert usd.check.status == "could_not_check"
    assert usd.check.reason
    files = export(ledger, tmp_path / "files")
    done = files.check_everything()
    assert (done.stdout, done.returncode) == ("valid: a, 2024-03, 23 rows, complete\n", 0)
    assert files.check("--rows", files.lines.name).returncode == 0
    assert compare_with_ledger(ledger, files.open(ledger)) == []
    ledger.close()


def test_a_month_that_is_not_complete_says_so(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    add_source(ledger, account="a", base_url="http://x", credentials={}, since=BEGIN, paced=True)
    create_signing_key(ledger, NAME)
    commit_read(ledger, Slice(BEGIN, hour(100)), *[make_row(str(n), n) for n in range(100)])
    commit_gap(ledger, "a", hours(100, 130), tried_at=READ_AT, reason="HTTP 500")
    commit_read(ledger, hours(130, 900), make_row("late", 140), rejected=[rejected_row("{"), rejected_row("[")])
    made = certify(ledger)
    assert basis_of(made) == verdict_of(ledger)
    assert not made.completeness.complete
    assert made.completeness.complete_until == "2024-03-05T04:00:00Z"
    assert [(one.cause, one.reason) for one in made.completeness.missing] == [
        ("read_failed", "read failed: HTTP 500"),
        ("rejected_rows", "2 rejected rows"),
    ]
    assert made.population.rejected.rows == 2
    digests = "".join(f"{digest}\n" for digest in sorted(map(row_digest, (b"{", b"["))))
    assert made.population.rejected.digest == sha256(digests.encode()).hexdigest()
    (line,) = made.roll_forward
    assert (line.opening.amount, line.opening.complete, line.closing.complete) == ("0", True, False)
    assert "read failed: HTTP 500" in line.closing.reason
    files = export(ledger, tmp_path / "files")
    assert files.check_everything().stdout == "valid: a, 2024-03, 101 rows, not complete (incomplete)\n"
    discard_row(ledger, row_digest(b"{"), "a password", "a")
    assert certify(ledger).population.rejected == made.population.rejected
    assert basis_of(certify(ledger)) == verdict_of(ledger)
    ledger.close()


def test_an_imported_month_has_no_balance_and_no_verdict(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    create_signing_key(ledger, NAME)
    import_page(ledger, make_row("b", 31), make_row("a", 30))
    made = certify(ledger)
    assert basis_of(made) == verdict_of(ledger) == ("unknown", False, "no source to check it against")
    (line,) = made.roll_forward
    assert (line.opening.amount, line.closing.amount) == (None, None)
    assert line.opening.reason == "flows are known only since 2024-03-02"
    assert export(ledger, tmp_path / "files").check_everything().returncode == 0
    ledger.close()


def test_an_empty_month(tmp_path: Path) -> None:
    ledger = certifiable_ledger(tmp_path)
    made = certify(ledger, "2020-02")
    assert (made.population.rows, made.roll_forward, made.completeness.complete) == (0, [], True)
    assert made.integrity.root == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    files = export(ledger, tmp_path / "files")
    assert files.check("--rows", files.rows.name).returncode == 0
    assert files.check("--rows", files.lines.name).returncode == 0
    ledger.close()


def make_ordered_row(identity: str, at: float, amount: str, kind: Kind) -> DecodedRow:
    """A row that names an order."""
    decoded = make_row(identity, at, amount, kind=kind)
    return decoded._replace(flow=decoded.flow._replace(order_ref="order-1"))


def test_transfers_and_refunds_without_another_side_are_outstanding(ledger_store: LedgerStore) -> None:
    ledger = certifiable_ledger(
        ledger_store,
        make_row("to b", 10, "-250.50", kind=Kind.TRANSFER),
        make_row("to nobody", 20, "-17.25", kind=Kind.TRANSFER),
        make_row("back", 30, "-3", kind=Kind.REFUND),
        make_ordered_row("sold", 1, "8.40", Kind.RECEIPT),
        make_ordered_row("returned", 29, "-8.40", Kind.REFUND),
        make_row("fee", 31, "-1", kind=Kind.FEE),
    )
    make_account(ledger, "b", "longbridge", "Asia/Hong_Kong")
    commit_read(ledger, hours(0, 24), make_row("from a", 10.1, "250.50", kind=Kind.TRANSFER), account="b")
    items = certify(ledger).open_items
    assert (items.status, items.reason) == ("fail", "transfers, refunds and fees whose other side is not known")
    assert items.items == [
        {
            "id": "to nobody", "at": "2024-03-01T20:00:00.000000Z", "kind": "transfer", "subaccount": "",
            "currency": "USD", "amount": "-17.25", "age_days": "671",
        },
        {
            "id": "back", "at": "2024-03-02T06:00:00.000000Z", "kind": "refund", "subaccount": "",
            "currency": "USD", "amount": "-3", "age_days": "671",
        },
    ]  # fmt: skip
    assert certify(ledger, "2024-02").open_items == doc.Section("pass", "", [])
    ledger.close()


def test_of_a_month_that_is_not_complete_nobody_knows_the_outstanding_items(tmp_path: Path) -> None:
    ledger = certifiable_ledger(tmp_path, make_row("one", 1))
    assert certify(ledger, "2024-04").open_items == doc.Section("pass", "", [])
    reason = "the period is not complete: not read yet"
    assert certify(ledger, "2024-05").open_items == doc.Section("could_not_check", reason, [])
    ledger.close()


def test_a_month_before_the_providers_floor_is_not_complete(tmp_path: Path) -> None:
    """A provider that refuses requests before a day says nothing about rows before it."""
    ledger = certifiable_ledger(tmp_path)
    make_account(ledger, "shop", "wecom", "Asia/Shanghai")
    floor = WECOM.history_start
    add_source(ledger, account="shop", base_url="http://x", credentials={}, since=floor, paced=True)
    commit_read(ledger, Slice(floor, END), account="shop")
    known, unknown = (certify(ledger, period, account="shop").completeness for period in ("2022-12", "2022-11"))
    assert known.complete
    assert (unknown.complete, unknown.status) == (False, "incomplete")
    assert [(gap.cause, gap.since, gap.until) for gap in unknown.missing] == [
        ("before_floor", "2022-10-31T16:00:00Z", "2022-11-30T16:00:00Z")
    ]
    ledger.close()


def make_stated_row(identity: str, at: float, amount: str, balance_after: str) -> DecodedRow:
    """A row that states the balance after it."""
    decoded = make_row(identity, at, amount)
    return decoded._replace(flow=decoded.flow._replace(balance_after=Decimal(balance_after)))


def test_balances_that_follow_and_that_break(tmp_path: Path) -> None:
    whole = [
        make_stated_row("one", 1, "10.00", "10.00"),
        make_stated_row("fee", 2, "-0.50", "59.50"),
        make_stated_row("two", 2, "50.00", "60.00"),
        make_stated_row("three", 3, "-9.50", "50.00"),
        make_row("other", 4, "1", currency="HKD"),
    ]
    for name, rows in (("whole", whole), ("broken", [whole[0], whole[1], *whole[3:]])):
        folder = tmp_path / name
        folder.mkdir()
        ledger = certifiable_ledger(folder, *rows)
        made = certify(ledger)
        line = next(one for one in made.roll_forward if one.currency == "USD")
        if name == "whole":
            assert made.breaks == doc.Section("pass", "no row of HKD states a balance", [])
            assert (line.closing.amount, line.check.status, line.check.stated) == ("50.00", "pass", "50.00")
        else:
            assert (made.breaks.status, made.breaks.reason) == ("fail", "1 break of the balance chain")
            assert made.breaks.items == [
                {
                    "subaccount": "", "currency": "USD", "before": "one", "after": "fee", "expected": "10.00",
                    "stated": "60.00", "difference": "50.00", "cause": "missing",
                }
            ]  # fmt: skip
            assert (line.check.status, line.check.difference) == ("fail", "50.00")
        done = export(ledger, folder / "files").check_everything()
        failures = (
            ", 1 closing balances differ from what is stated, the balance chain breaks" if name == "broken" else ""
        )
        assert (done.returncode, done.stdout) == (0, f"valid: a, 2024-03, {len(rows)} rows, complete{failures}\n")
        ledger.close()


@given(st.data())
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_roll_forward_adds_up_whatever_is_known(tmp_path: Path, data: st.DataObject) -> None:
    """Rows and balances of people before, in and after the month, of a source or of files: the checker is content."""
    folder = tmp_path / token_hex(8)
    folder.mkdir()
    hours_ = data.draw(st.lists(st.integers(-400, 1_200), unique=True, max_size=8))
    rows = []
    for at in sorted(hours_):
        currency, states = data.draw(st.sampled_from(["USD", "HKD"])), data.draw(st.booleans())
        row = make_row(f"row {at}", at, data.draw(st.sampled_from(["5", "-2.50", "0"])), currency=currency)
        rows.append(row._replace(flow=row.flow._replace(balance_after=Decimal(7) if states else None)))
    if data.draw(st.booleans()):
        ledger = certifiable_ledger(folder, *(rows or [make_row("one", 1)]))
    else:
        ledger = new_ledger(folder)
        create_signing_key(ledger, NAME)
        import_page(ledger, *(rows[::-1] or [make_row("one", 1)]))
    for at in data.draw(st.lists(st.integers(-400, 1_200), unique=True, max_size=2)):
        currency = data.draw(st.sampled_from(sorted({row.flow.currency for row in rows} or {"USD"})))
        state_balance(ledger, Statement("a", hour(at), currency, Decimal(100)), None)
    for period in ("2024-02", "2024-03", "2024-04"):
        made = certify(ledger, period)
        balances = {
            (row.subaccount, row.currency): row
            for row in read_balances(ReadModel(ledger, ProviderRules()), ["a"], at=MONTH_ENDS[period]).rows
        }
        for line in made.roll_forward:
            balance = balances[line.subaccount, line.currency]
            assert line.closing.amount == (str(balance.amount) if balance.basis.is_balance else None)
            assert line.closing.complete <= balance.verdict.is_complete
            assert line.check.status == balance.check.status.value
        done = export(ledger, folder / period).check()
        assert done.returncode == 0, done.stdout
    ledger.close()


def test_without_stated_balances_there_is_no_chain(tmp_path: Path) -> None:
    ledger = certifiable_ledger(tmp_path, make_row("one", 1))
    assert certify(ledger).breaks == doc.Section("could_not_check", "no row states a balance", [])
    ledger.close()


def test_too_many_transfers_are_not_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_items, "ROWS_MAX", 2)
    rows = [make_row(str(n), n, f"{n}", kind=Kind.TRANSFER) for n in range(3)]
    ledger = certifiable_ledger(tmp_path, *rows)
    assert certify(ledger).open_items == doc.Section("could_not_check", "3 transfers and refunds: more than 2", [])
    ledger.close()


def test_a_later_certificate_follows_from_the_one_before_it(tmp_path: Path) -> None:
    ledger = certifiable_ledger(tmp_path)
    certify(ledger)
    first = load_certificate(ledger, "a")
    rows = [row for row in march_rows() if row.flow.identity not in ("row 3", "row 4")]
    commit_read(ledger, Slice(BEGIN, END), *rows, make_row("row 3", hour(87), "55"))
    made = certify(ledger)
    assert (made.number, made.integrity.previous, made.population.since_certificate) == (2, first.digest, 1)
    assert made.population.ended == {"restated": 1, "withdrawn": 1}
    assert certify(ledger, "2024-04").population.ended == {}
    assert [one.number for one in list_certificates(ledger, ["a"])] == [1, 2, 3]
    ledger.close()


@pytest.mark.parametrize("period", ["2026-01", "2026-02", "2026-13", "2026-00", "2026-1", "26-01", "", "2026-01-01"])
def test_a_period_that_is_invalid_or_not_over_is_refused(tmp_path: Path, period: str) -> None:
    ledger = certifiable_ledger(tmp_path)
    assert ledger.clock() == datetime(2026, 1, 2, 12, tzinfo=UTC)
    with pytest.raises(InvalidField, match="period: expected a month"):
        certify(ledger, period)
    assert list_certificates(ledger) == []
    ledger.close()


def test_two_processes_that_certify_at_once_make_no_two_of_one_number(tmp_path: Path) -> None:
    ledger = certifiable_ledger(tmp_path)
    certify(ledger)
    first = load_certificate(ledger, "a")
    with pytest.raises(LedgerBusy, match="another process has made a certificate of account a"):
        insert_certificate(ledger, first)
    ledger.close()


# ---------------------------------------------------------------- keys


def test_keys(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    with pytest.raises(ConfigError, match="the ledger has no key to sign with"):
        load_signing_key(ledger)
    created = create_signing_key(ledger, NAME)
    assert load_signing_key(ledger).verifier == load_signing_key(ledger, NAME).verifier == created.verifier
    with pytest.raises(AlreadyExists):
        create_signing_key(ledger, NAME)
    with pytest.raises(NotFound, match=r"key: expected one of example\.com/ledger, got 'x'"):
        load_signing_key(ledger, "x")
    with pytest.raises(InvalidField):
        create_signing_key(ledger, "a b")
    seed = load_signing_key(ledger).seed
    assert seed.hex().encode() not in ledger.path.read_bytes()
    ledger.close()


# ---------------------------------------------------------------- against a ledger


def test_rows_stay_those_of_the_certificate_when_the_ledger_changes(ledger_store: LedgerStore, tmp_path: Path) -> None:
    ledger = certifiable_ledger(ledger_store)
    certify(ledger)
    before = export(ledger, tmp_path / "before")
    rows = [row for row in march_rows() if row.flow.identity != "row 4"]
    commit_read(ledger, Slice(BEGIN, END), *rows[:-1], make_row("new", 50), make_row("row 3", hour(87), "55"))
    after = export(ledger, tmp_path / "after")
    for name in ("certificate", "rows.csv", "rows.jsonl", "proofs"):
        assert (before.folder / name).read_bytes() == (after.folder / name).read_bytes()
    assert compare_with_ledger(ledger, after.open(ledger)) == []
    assert [one.account for one in verify(ledger, anchors=[after.open(ledger).anchor])] == ["a"]
    ledger.close()


def test_a_cut_ledger_is_found(tmp_path: Path) -> None:
    ledger, saved = certifiable_ledger(tmp_path), tmp_path / "saved.db"
    back_up(ledger, saved)
    commit_read(ledger, hours(5, 6), make_row("one more", 5))
    certify(ledger)
    files = export(ledger, tmp_path / "files")
    opened = files.open(ledger)
    older = open_ledger(str(saved))
    (difference,) = compare_with_ledger(older, opened)
    assert difference.startswith("batch 2 had the link ")
    assert "and the ledger ends before it" in difference
    (damage,) = verify(older, anchors=[opened.anchor])
    assert isinstance(damage, Damage)
    assert f"batches are missing at its end: the account ends at batch 1, and {files.certificate}" in damage.what
    older.close()
    ledger.close()


def test_a_certificate_that_the_ledger_no_longer_has_is_found(tmp_path: Path) -> None:
    ledger = certifiable_ledger(tmp_path)
    certify(ledger)
    files = export(ledger, tmp_path / "files")
    with ledger.writing() as connection:
        connection.execute(certificates.delete())
    (difference,) = compare_with_ledger(ledger, files.open(ledger))
    assert difference.startswith("the ledger has no certificate 1 of the account: it was removed")
    ledger.close()


def test_changed_rows_of_a_resealed_ledger_are_found(tmp_path: Path) -> None:
    ledger = certifiable_ledger(tmp_path)
    certify(ledger)
    files = export(ledger, tmp_path / "files")
    forged = tmp_path / "forged"
    forged.mkdir()
    rows = march_rows()
    other = certifiable_ledger(forged, *rows[:-1])
    (difference,) = compare_with_ledger(other, files.open(ledger))
    assert "had the link" in difference
    (damage,) = verify(other, anchors=[files.open(ledger).anchor])
    assert isinstance(damage, Damage)
    assert damage.what.startswith("this batch or an earlier one was replaced: ")
    with ledger.writing() as connection:
        connection.exec_driver_sql("UPDATE flows SET amount = '9' WHERE id = 'row 3'")
    (difference,) = compare_with_ledger(ledger, files.open(ledger))
    assert difference.startswith("it is about 23 rows with the root ")
    other.close()
    ledger.close()


def test_certificates_of_a_removed_account_stay_and_their_rows_are_gone(tmp_path: Path) -> None:
    ledger = certifiable_ledger(tmp_path)
    certify(ledger)
    files = export(ledger, tmp_path / "files")
    assert not is_erased(ledger, files.open(ledger))
    remove_account(ledger, "a")
    opened = files.open(ledger)
    assert compare_with_ledger(ledger, opened) == []
    assert is_erased(ledger, opened)
    assert [one.batches for one in verify(ledger, anchors=[opened.anchor]) if isinstance(one, Verified)] == [2]
    with pytest.raises(CertificateError, match="account a was removed, and its rows were erased"):
        list(list_rows(ledger, opened))
    assert files.check_everything().returncode == 0
    done = run(ledger.path, "certificate", "verify", str(files.certificate), "--format", "json")
    assert done.returncode == 3
    (record,) = json.loads(done.stdout)
    assert record["result"] == "valid; the account was removed, so that its rows cannot be compared"
    ledger.close()


def test_a_certificate_of_an_account_without_batches(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    create_signing_key(ledger, NAME)
    assert certify(ledger).integrity.batch == 0
    files = export(ledger, tmp_path / "files")
    assert compare_with_ledger(ledger, files.open(ledger)) == []
    assert not is_erased(ledger, files.open(ledger))
    ledger.close()


def test_a_certificate_of_another_ledger_is_named(tmp_path: Path) -> None:
    ledger = certifiable_ledger(tmp_path)
    certify(ledger)
    files = export(ledger, tmp_path / "files")
    other = create_ledger(str(tmp_path / "other.db"), clock=MovableClock())
    with pytest.raises(CertificateError, match="is of another ledger: this one has no account 'a'"):
        compare_with_ledger(other, files.open(ledger))
    make_account(other.with_clock(MovableClock(READ_AT)), "a", "longbridge", "Asia/Hong_Kong")
    with pytest.raises(CertificateError, match="is of another ledger: its account 'a' was created at another time"):
        compare_with_ledger(other, files.open(ledger))
    other.close()
    ledger.close()


# ---------------------------------------------------------------- unusable certificates


def resign(ledger: Ledger, path: Path, change: dict[str, object]) -> None:
    """Change fields of a certificate's document, and sign it with the ledger's key."""
    text = path.read_bytes().split(b"\n")[0]
    changed = json.loads(text) | change
    path.write_bytes(load_signing_key(ledger).sign(rfc8785.dumps(changed) + b"\n"))


def test_certificates_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    ledger = certifiable_ledger(tmp_path)
    certify(ledger)
    files = export(ledger, tmp_path / "files")
    keys = [key.verifier for key in list_signing_keys(ledger)]
    content = files.certificate.read_bytes()

    files.certificate.write_bytes(content.replace(b'"rows":23', b'"rows":24'))
    with pytest.raises(CertificateError, match=r"certificate: it was changed after example\.com/ledger\+\w+ signed it"):
        open_certificate(files.certificate, keys)
    assert "it was changed after it was signed" in files.check().stdout

    files.certificate.write_bytes(content)
    resign(ledger, files.certificate, {"version": 2})
    with pytest.raises(CertificateError, match="version 2 of the format, and this liushui knows 1: upgrade liushui"):
        open_certificate(files.certificate, keys)
    assert files.check().stdout == "not valid: it has version 2 of the format, and this program knows 1\n"

    resign(ledger, files.certificate, {"version": 1, "format": "something"})
    with pytest.raises(CertificateError, match="its format is 'something'"):
        open_certificate(files.certificate, keys)

    files.certificate.write_bytes(content)
    resign(ledger, files.certificate, {"more": 1})
    with pytest.raises(CertificateError, match=r"it is not a liushui certificate: .*more"):
        open_certificate(files.certificate, keys)

    files.certificate.write_bytes(content)
    stranger = SigningKey("example.com/stranger", bytes(32)).verifier
    with pytest.raises(
        CertificateError, match=r"it is signed by example\.com/ledger\+\w+, and the keys that are known"
    ):
        open_certificate(files.certificate, [stranger])

    text = content.split(b"\n")[0].replace(b'":', b'": ', 1)
    files.certificate.write_bytes(load_signing_key(ledger).sign(text + b"\n"))
    with pytest.raises(CertificateError, match="its JSON is not in the canonical form"):
        open_certificate(files.certificate, keys)
    assert "its JSON is not canonical" in files.check().stdout

    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        open_certificate(tmp_path / "missing", keys)
    ledger.close()


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=len(COLUMNS), max_size=len(COLUMNS)))
def test_rows_have_the_canonical_form_of_rfc_8785(texts: list[str]) -> None:
    row = dict(zip(COLUMNS, texts, strict=True))
    assert canonical_row(row) == rfc8785.dumps(row)
    assert list(COLUMNS) == sorted(COLUMNS)


# ---------------------------------------------------------------- moving


def stored(ledger: Ledger) -> list[StoredCertificate]:
    return list_certificates(ledger)


def test_backup_restore_and_copy_carry_certificates_and_keys(ledger_store: LedgerStore, tmp_path: Path) -> None:
    ledger = certifiable_ledger(ledger_store)
    certify(ledger)
    expected, key = stored(ledger), load_signing_key(ledger)
    saved, restored_path = tmp_path / "saved.db", tmp_path / "restored.db"
    back_up(ledger, saved, with_secrets=True)
    assert restore(saved, str(restored_path)).secrets == "readable"
    copy_url = ledger_store.fresh("copy.db")
    assert not any(account.differs for account in copy_ledger(ledger, copy_url))
    for url in (str(restored_path), copy_url):
        other = open_ledger(url)
        assert stored(other) == expected
        assert load_signing_key(other).sign(b"x\n") == key.sign(b"x\n")
        files = export(other, tmp_path / "files")
        assert compare_with_ledger(other, files.open(other)) == []
        other.close()
    ledger.close()


def test_a_document_is_read_back_as_it_was(tmp_path: Path) -> None:
    ledger = certifiable_ledger(tmp_path)
    made = certify(ledger)
    assert doc.parse_document(doc.to_bytes(made)) == made
    assert msgspec.to_builtins(made)["population"]["columns"] == list(COLUMNS)
    ledger.close()
