"""Statement files prove their period if they state it and add up. Every face says so, and no face says more."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from liushui.cli.coverage import calendar_of
from liushui.formats import get_format, load_formats
from liushui.importing.closing_balances import state_closings, withdraw_closings
from liushui.importing.run import import_documents
from liushui.importing.statements import check_statements, import_file, open_statements
from liushui.ledger.engine import Ledger, open_ledger
from liushui.ledger.maintenance.copy import copy_ledger
from liushui.ledger.maintenance.verify import Damage, verify
from liushui.ledger.read.filters import FlowFilter
from liushui.ledger.read.model import ReadModel
from liushui.ledger.write.commit import make_account
from liushui.ledger.write.undo import undo_import
from liushui.testing.file_formats import samples, samples_of
from tests.engines import LedgerStore, store_of
from tests.faces.faces import Faces, open_faces
from tests.ledger.ledgers import new_ledger


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LedgerStore]:
    yield from store_of(request, tmp_path)


@pytest.fixture
def ledger(ledger_store: LedgerStore) -> Iterator[Ledger]:
    ledger = new_ledger(ledger_store, "other")
    make_account(ledger, "bank", "camt053", "Europe/Berlin")
    yield ledger
    ledger.close()


@pytest.fixture
def faces(ledger: Ledger) -> Iterator[Faces]:
    with open_faces(ledger) as faces:
        yield faces


def entry(day: str, amount: str, ref: str, status: str = "BOOK") -> str:
    side = "DBIT" if amount.startswith("-") else "CRDT"
    return (
        f'<Ntry><NtryRef>{ref}</NtryRef><Amt Ccy="EUR">{amount.lstrip("-")}</Amt><CdtDbtInd>{side}</CdtDbtInd>'
        f"<Sts><Cd>{status}</Cd></Sts><BookgDt><Dt>{day}</Dt></BookgDt><BkTxCd/></Ntry>"
    )


def statement(
    first: str, last: str, opening: str, closing: str, *entries: str, iban: str = "XX1", period: bool = True
) -> str:
    """A CAMT.053 statement of the days from `first` to `last`."""
    stated = f"<FrToDt><FrDtTm>{first}T00:00:00</FrDtTm><ToDtTm>{last}T23:59:59</ToDtTm></FrToDt>" if period else ""
    balances = "".join(
        f'<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">{amount}</Amt>'
        f"<CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>{day}</Dt></Dt></Bal>"
        for code, amount, day in (("OPBD", opening, first), ("CLBD", closing, last))
    )
    return (
        '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt><Stmt>'
        f"<Id>1</Id>{stated}<Acct><Id><IBAN>{iban}</IBAN></Id></Acct>{balances}{''.join(entries)}</Stmt>"
        "</BkToCstmrStmt></Document>"
    )


JANUARY = (entry("2025-01-03", "12.00", "1"), entry("2025-01-31", "-2.50", "2"))


def read(ledger: Ledger, folder: Path, *texts: str, account: str = "bank", form: str = "camt053") -> str:
    """Import statements as the command does. Returns the id of the import."""
    format_, zone = get_format(form), "Europe/Berlin"
    files = []
    for number, text in enumerate(texts):
        path = folder / f"{number}.xml"
        path.write_text(text, "utf-8")
        files += open_statements(path, path.name, folder, lambda _name: None, load_formats(), format_, print)
    closings = check_statements(files, zone, load_formats())
    documents = [import_file(file, zone, lambda _size: None) for file in files]
    imported = import_documents(ledger, account, documents, format_.codec, format_.rules)
    assert list(state_closings(ledger, account, closings, imported.id, format_.rules)) == []
    return imported.id


def damages(ledger: Ledger) -> list[Damage]:
    return [one for one in verify(ledger) if isinstance(one, Damage)]


def is_complete(faces: Faces, first: date, last: date, account: str = "bank") -> bool:
    """What every face says of a range of days. They must agree."""
    after = (last + timedelta(days=1)).isoformat()
    _, rows = faces.run("summary", account, "--by", "all", "--since", first.isoformat(), "--until", after)
    verdicts = [row["complete"] for row in rows]
    verdicts.append(faces.api_flows(account=account, since=first.isoformat(), until=after)[0])
    verdicts.append(faces.api_summary(account, first, last)[0])
    shown = faces.page_totals(f"account={account}&since={first}&until={after}")
    verdicts += [complete for *_, complete in shown.values()]
    asked = FlowFilter(accounts=(account,), since=first, until=last + timedelta(days=1))
    model = ReadModel(faces.ledger, {})
    verdicts += [model.verdict(asked).is_complete, model.verdict(asked, faces.ledger.clock()).is_complete]
    assert len(set(verdicts)) == 1, verdicts
    return bool(verdicts[0])


def test_a_statement_that_adds_up_proves_its_period(ledger: Ledger, faces: Faces, tmp_path: Path) -> None:
    read(ledger, tmp_path, statement("2025-01-01", "2025-01-31", "100.00", "109.50", *JANUARY))
    assert is_complete(faces, date(2025, 1, 1), date(2025, 1, 31))
    assert is_complete(faces, date(2025, 1, 3), date(2025, 1, 3))
    assert not is_complete(faces, date(2024, 12, 31), date(2025, 1, 31))
    assert not is_complete(faces, date(2025, 1, 1), date(2025, 2, 1))
    _, rows = faces.run("coverage", "bank")
    assert [(row["since"], row["until"], row["state"]) for row in rows] == [
        ("2024-12-31T23:00:00Z", "2025-01-31T23:00:00Z", "proven")
    ]
    shown = calendar_of(ReadModel(ledger, {}).accounts(["bank"])["bank"], ledger.clock()).warning
    assert shown == "complete by its statements: 2025-01-01 … 2025-01-31; otherwise no source to check it against"
    assert faces.run("balances", "bank")[1][0]["complete"] is False, "nothing says what there was later"
    (gap,) = faces.caller.get("/summary", account="bank", period="all", first_day="2025-01-01", last_day="2025-02-01")[
        "gaps"
    ]
    assert (gap["cause"], gap["since"]) == ("no_source", "2025-01-31T23:00:00Z")
    assert not damages(ledger)


def test_statements_of_adjacent_months_prove_both(ledger: Ledger, faces: Faces, tmp_path: Path) -> None:
    february = statement("2025-02-01", "2025-02-28", "109.50", "109.50")
    read(ledger, tmp_path, statement("2025-01-01", "2025-01-31", "100.00", "109.50", *JANUARY), february)
    assert is_complete(faces, date(2025, 1, 1), date(2025, 2, 28))


def test_undoing_the_import_takes_the_proof_back(ledger: Ledger, faces: Faces, tmp_path: Path) -> None:
    file = statement("2025-01-01", "2025-01-31", "100.00", "109.50", *JANUARY)
    import_id = read(ledger, tmp_path, file)
    assert is_complete(faces, date(2025, 1, 1), date(2025, 1, 31))
    withdraw_closings(ledger, "bank", import_id)
    undo_import(ledger, import_id)
    asked = FlowFilter(accounts=("bank",), since=date(2025, 1, 1), until=date(2025, 2, 1))
    assert not ReadModel(ledger, {}).verdict(asked).is_complete
    assert not damages(ledger)


@pytest.mark.parametrize(
    "file",
    [
        pytest.param(
            statement("2025-01-01", "2025-01-31", "100.00", "109.50", *JANUARY, period=False), id="states no period"
        ),
        pytest.param(
            statement(
                "2025-01-01", "2025-01-31", "100.00", "109.50", *JANUARY, entry("2025-01-04", "1.00", "3", "PDNG")
            ),
            id="a row was rejected",
        ),
        pytest.param(
            statement("2025-01-01", "2025-01-31", "100.00", "109.50", *JANUARY).replace(
                "2025-01-31T23:59:59", "2025-01-31T18:00:00"
            ),
            id="ends before the closing balance's day",
        ),
        pytest.param(
            statement("2025-01-01", "2025-01-31", "100.00", "109.50", JANUARY[0], entry("2024-12-31", "-2.50", "2")),
            id="a flow is not of the period",
        ),
    ],
)
def test_in_doubt_a_statement_proves_nothing(ledger: Ledger, faces: Faces, tmp_path: Path, file: str) -> None:
    read(ledger, tmp_path, file)
    assert not is_complete(faces, date(2025, 1, 1), date(2025, 1, 31))


def test_a_flow_that_no_statement_has_ends_the_proof(ledger: Ledger, faces: Faces, tmp_path: Path) -> None:
    read(ledger, tmp_path, statement("2025-01-01", "2025-01-31", "100.00", "109.50", *JANUARY))
    read(ledger, tmp_path, statement("2025-01-10", "2025-01-10", "1.00", "2.00", entry("2025-01-10", "1.00", "9")))
    assert not is_complete(faces, date(2025, 1, 1), date(2025, 1, 31))


def test_each_subaccount_needs_a_statement(ledger: Ledger, faces: Faces, tmp_path: Path) -> None:
    read(ledger, tmp_path, statement("2025-01-01", "2025-01-31", "100.00", "109.50", *JANUARY))
    other = entry("2025-02-03", "1.00", "1")
    read(ledger, tmp_path, statement("2025-02-01", "2025-02-28", "0", "1.00", other, iban="XX2"))
    assert not is_complete(faces, date(2025, 1, 1), date(2025, 1, 31)), "XX2 may have had flows in January"
    read(ledger, tmp_path, statement("2025-01-01", "2025-01-31", "0.00", "0.00", iban="XX2"))
    assert is_complete(faces, date(2025, 1, 1), date(2025, 1, 31))
    assert not is_complete(faces, date(2025, 2, 1), date(2025, 2, 28)), "XX1 has no statement of February"


def test_a_bill_with_control_totals_proves_its_period_if_its_balances_follow_one_another(
    ledger: Ledger, faces: Faces, tmp_path: Path
) -> None:
    make_account(ledger, "shop", "alipay_accountlog", "Asia/Shanghai")
    (path,) = samples(samples_of("alipay_accountlog"))
    text = path.read_text("gb18030").replace("2026-01-", "2025-01-").replace("2026年", "2025年")
    broken = text.replace(",1087.47,", ",1087.40,")
    assert text != broken
    read(ledger, tmp_path, broken, account="shop", form="alipay_accountlog")
    assert not is_complete(faces, date(2025, 1, 1), date(2025, 1, 31), "shop")
    make_account(ledger, "till", "alipay_accountlog", "Asia/Shanghai")
    read(ledger, tmp_path, text, account="till", form="alipay_accountlog")
    assert is_complete(faces, date(2025, 1, 1), date(2025, 1, 31), "till")
    assert not is_complete(faces, date(2025, 1, 1), date(2025, 2, 1), "till")


def test_a_copy_of_the_ledger_proves_the_same(ledger: Ledger, tmp_path: Path) -> None:
    read(ledger, tmp_path, statement("2025-01-01", "2025-01-31", "100.00", "109.50", *JANUARY))
    copy_ledger(ledger, str(tmp_path / "copy.db"))
    target = open_ledger(str(tmp_path / "copy.db"))
    asked = FlowFilter(accounts=("bank",), since=date(2025, 1, 1), until=date(2025, 2, 1))
    assert ReadModel(target, {}).verdict(asked).is_complete
    assert not damages(target)
    target.close()
