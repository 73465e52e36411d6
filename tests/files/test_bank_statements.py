"""CAMT.053, MT940 and OFX: signs, several statements in a file, and balances that have to add up."""

import json
import re
from pathlib import Path

import pytest

from liushui.errors import WireError
from liushui.files.cells import ZONE, Cells
from liushui.formats import ofx
from tests.cli.commands import result
from tests.files.inputs import Desk, picked
from tests.importing.test_same_record import answer, wecom


def sample(name: str) -> str:
    from liushui.testing.file_formats import samples, samples_of

    (path,) = samples(samples_of(name))
    return path.read_text("utf-8")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.mark.parametrize(
    ("name", "rows", "balances"),
    [
        ("camt053", 3, [("XX00999900000000000001", "EUR", "11897.50")]),
        ("mt940", 5, [("99999999/0000000001", "EUR", "11897.50")]),
        ("ofx", 3, [("000-123456-001", "HKD", "11897.50")]),
    ],
)
def test_statements_of_banks_are_recognised_and_come_in_once(
    desk: Desk, name: str, rows: int, balances: list[tuple[str, str, str]]
) -> None:
    file = desk.write("statement.txt", sample(name))
    done = desk.run("import", file, "--account", "a", "--zone", "Europe/Berlin")
    assert (done.returncode, f"({name})" in done.stderr) == (0, True), done.stderr
    assert picked(desk.reads(file), "rows", "added", "known") == [rows, 0, rows]
    flows = desk.flows()
    assert {(flow["subaccount"], flow["currency"]) for flow in flows} == {balance[:2] for balance in balances}
    assert result(desk.ledger, "rebuild", "--dry-run")[0]["changed"] == 0


def test_days_without_a_zone_are_those_of_the_account(desk: Desk) -> None:
    desk.reads(desk.write("s.sta", sample("mt940")), words=("--zone", "Europe/Berlin"))
    assert {flow["at"] for flow in desk.flows()} >= {"2026-01-04T23:00:00Z", "2025-12-30T23:00:00Z"}


def test_marks_of_mt940_say_the_side_also_of_what_is_taken_back(desk: Desk) -> None:
    desk.reads(desk.write("s.sta", sample("mt940")))
    sides = {flow["detail"]["mt940:mark"]: flow["direction"] for flow in desk.flows()}
    assert sides == {"C": "in", "D": "out", "RC": "out", "RD": "in"}


@pytest.mark.parametrize("version", ["02", "04", "08", "10", "14"])
def test_versions_of_camt_053(desk: Desk, version: str) -> None:
    text = sample("camt053").replace("053.001.08", f"053.001.{version}")
    if version in ("02", "04"):
        text = text.replace("<Sts><Cd>BOOK</Cd></Sts>", "<Sts>BOOK</Sts>").replace("<Pty><Nm>", "<Nm>")
        text = text.replace("</Nm></Pty>", "</Nm>")
    desk.reads(desk.write("plain.xml", sample("camt053")))
    assert picked(desk.reads(desk.write("s.xml", text)), "added", "known") == [0, 3]


def test_elements_with_a_prefix(desk: Desk) -> None:
    text = sample("camt053").replace("</", "</c:").replace("<c:", "<c:")
    text = "".join(f"<c:{part}" if part[:1].isalpha() else f"<{part}" for part in text.split("<")[1:])
    text = text.replace("xmlns=", "xmlns:c=").replace("</c:c:", "</c:")
    assert desk.reads(desk.write("s.xml", text))["added"] == 3


def test_an_entry_that_is_not_booked_is_rejected(desk: Desk) -> None:
    text = sample("camt053").replace("<Cd>BOOK</Cd>", "<Cd>PDNG</Cd>", 1)
    done = desk.run("import", desk.write("s.xml", text), "--account", "a")
    assert (done.returncode, "Sts: expected BOOK, got 'PDNG'" in done.stderr) == (3, True), done.stderr


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "camt053",
            ("12397.60", "12399.60"),
            "XX00999900000000000001: the opening balance 500.10 EUR and the rows give 12397.60, and the file states "
            "12399.60: rows are missing",
        ),
        ("camt053", ("<Document", "<!DOCTYPE x [<!ENTITY a 'b'>]><Document"), "the XML declares entities"),
        ("camt053", ("</Document>", ""), "the XML is damaged or was cut off"),
        ("camt053", ("camt.053.001.08", "camt.054.001.08"), "it is camt.054, a notification: export the end-of-day"),
        ("mt940", (":61:2601060106D100,5NTRF", ":61:2601060106C100,5NTRF"), "rows are missing"),
        ("mt940", (":62F:C260108EUR12397,60\n-\n", ""), "expected fields 60F and 62F, its balances: it was cut off"),
        ("mt940", (":60F:C260104EUR500,10", ":60F:nothing"), "line 5: expected a balance in field 60F, got 'nothing'"),
        ("ofx", ("</OFX>", ""), "the element </OFX> is missing: the file was cut off"),
    ],
)
def test_a_statement_that_does_not_add_up_or_was_cut_off_changes_nothing(
    desk: Desk, name: str, change: tuple[str, str], message: str
) -> None:
    text = sample(name)
    assert change[0] in text
    assert message in desk.refuses("import", desk.write("s.txt", text.replace(*change)), "--account", "a")
    assert not desk.ledger.exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (":61:nonsense", "line 6: 61: expected a statement line, got 'nonsense'"),
        (":61:2602300230D1,NTRFNONREF", "line 6: 61: expected a time such as 260131, got '260230'"),
    ],
)
def test_a_line_of_mt940_that_cannot_be_read_is_rejected(desk: Desk, line: str, message: str) -> None:
    text = sample("mt940").replace(":61:2601050105C12000,00NTRFSALARY-1//B260105-1", line)
    done = desk.run("import", desk.write("s.sta", text), "--account", "a")
    assert (done.returncode, message in done.stderr) == (3, True), done.stderr


def test_four_blanks_in_place_of_an_entry_date_of_mt940(desk: Desk) -> None:
    text = sample("mt940")
    assert text.count(":61:2601050105") == 1
    desk.reads(desk.write("s.sta", text.replace(":61:2601050105", ":61:260105    ")))
    assert {flow["at"] for flow in desk.flows()} >= {"2026-01-05T00:00:00Z"}


def test_an_interim_report_is_told_by_its_field(desk: Desk) -> None:
    text = sample("mt940").replace(":60F:", ":34F:").replace(":62F:", ":90D:")
    message = desk.refuses("import", desk.write("s.sta", text), "--account", "a")
    assert "it is MT942, an interim report: export the end-of-day statement, MT940" in message


def test_a_statement_in_the_encoding_of_dos(desk: Desk) -> None:
    text = sample("mt940").replace(":86:", ":86:Müller ", 1)
    assert text != sample("mt940")
    desk.reads(desk.write("s.sta", text.encode("cp850")))
    assert any("Müller" in flow["note"] for flow in desk.flows() if flow["note"])


def test_an_entry_without_a_booking_date_is_of_its_value_date(desk: Desk) -> None:
    text = re.sub(r"<BookgDt>.*?</BookgDt>", "", sample("camt053"), count=1, flags=re.DOTALL)
    desk.reads(desk.write("s.xml", text))
    (flow,) = (flow for flow in desk.flows() if flow["order_ref"] == "SALARY-1")
    assert flow["at"] == flow["settled_at"]


def test_a_file_without_a_statement_is_refused(desk: Desk) -> None:
    empty = re.sub(r"<Stmt>.*</Stmt>", "", sample("camt053"), flags=re.DOTALL)
    assert "expected a statement (Stmt)" in desk.refuses("import", desk.write("s.xml", empty), "--account", "a")
    refused = "OFXHEADER:100\n\n<OFX><SIGNONMSGSRSV1><SONRS><STATUS><CODE>15500<SEVERITY>ERROR"
    refused += "<MESSAGE>Wrong password</STATUS></SONRS></SIGNONMSGSRSV1></OFX>\n"
    message = desk.refuses("import", desk.write("s.ofx", refused), "--account", "a")
    assert "expected a statement of a bank account or credit card, got none: the bank says 15500 Wrong pass" in message


def test_the_currency_from_which_an_amount_of_ofx_was_converted_is_not_its_currency(desk: Desk) -> None:
    """In CURRENCY the amount is in that currency; in ORIGCURRENCY it is in the statement's."""
    text = sample("ofx")
    amount = "<TRNAMT>-100.50"
    assert text.count(amount) == 1
    original = "<ORIGCURRENCY><CURRATE>7.8<CURSYM>USD</ORIGCURRENCY>"
    desk.reads(desk.write("a.ofx", text.replace(amount, amount + original)))
    desk.reads(desk.write("b.ofx", text.replace(amount, amount + original.replace("ORIG", ""))), account="b")
    for account, currency in (("a", "HKD"), ("b", "USD")):
        (flow,) = (flow for flow in desk.flows(account) if flow["amount"] == "-100.50")
        assert flow["currency"] == currency


def test_transactions_of_investments_are_rejected_beside_those_of_the_bank(desk: Desk) -> None:
    fund = (
        "<INVSTMTMSGSRSV1><INVSTMTTRNRS><INVSTMTRS><CURDEF>USD<INVTRANLIST><BUYSTOCK><INVBUY><INVTRAN><FITID>F1"
        "</INVTRAN><TOTAL>-50.00</INVBUY></BUYSTOCK><INVBANKTRAN><STMTTRN><TRNAMT>7.00<FITID>F2</STMTTRN>"
        "</INVBANKTRAN></INVTRANLIST></INVSTMTRS></INVSTMTTRNRS></INVSTMTMSGSRSV1></OFX>"
    )
    done = desk.run("import", desk.write("s.ofx", sample("ofx").replace("</OFX>", fund)), "--account", "a")
    assert (done.returncode, len(desk.flows())) == (3, 3)
    assert "transactions of investments (BUYSTOCK) are not read" in done.stderr
    assert "transactions of investments (INVBANKTRAN) are not read" in done.stderr


def test_the_totals_below_a_statement_of_icbc_are_compared(desk: Desk) -> None:
    text = sample("icbc_csv")
    total = '人民币合计,,,,,,,,,"12,000.00","116.50",'
    assert total in text
    wrong = desk.write("wrong.csv", text.replace(total, total.replace("116.50", "117.50")))
    assert "its rows of money out add up to 117.50" in desk.refuses("import", wrong, "--account", "a")
    card = desk.write("card.csv", text.replace("人民币合计,,,,", "合计金额,"))
    assert picked(desk.reads(card), "rows", "added") == [4, 4]


def test_the_entry_date_of_mt940_is_the_one_nearest_to_the_value_date(desk: Desk) -> None:
    text = sample("mt940").replace(":61:2512311231D2", ":61:2512310102D2")
    desk.reads(desk.write("s.sta", text))
    (fee,) = (flow for flow in desk.flows() if flow["kind"] == "fee")
    assert (fee["at"], fee["settled_at"]) == ("2026-01-02T00:00:00Z", "2025-12-31T00:00:00Z")


def test_ofx_in_one_line_and_as_xml(desk: Desk) -> None:
    text = sample("ofx")
    desk.reads(desk.write("a.ofx", text))
    header, body = text.split("\n\n", 1)
    one_line = header + "\n\n" + body.replace("\n", "")
    assert picked(desk.reads(desk.write("b.ofx", one_line + "\n")), "added", "known") == [0, 3]
    closed = "\n".join(
        f"{line}</{line.split('>')[0][1:]}>"
        if line.startswith("<") and line.count("<") == 1 and line[-1] != ">"
        else line
        for line in body.split("\n")
    )
    assert picked(desk.reads(desk.write("c.ofx", f"<?OFX OFXHEADER='200'?>\n{closed}")), "added", "known") == [0, 3]


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("20260102003000[8:HKT]", "2026-01-01T16:30:00+00:00"),
        ("20260102003000[+5.50:IST]", "2026-01-01T19:00:00+00:00"),  # decimals of an hour, as the standard says
        ("20260102003000[+5.30:IST]", "2026-01-01T19:00:00+00:00"),  # hours and minutes, as ofxtools writes
        ("20260102003000[5.5]", "2026-01-01T19:00:00+00:00"),
        ("20260102003000[-3.5:NST]", "2026-01-02T04:00:00+00:00"),
        ("20260102003000[-0.30]", "2026-01-02T01:00:00+00:00"),
        ("20260102003000[5.45:NPT]", "2026-01-01T18:45:00+00:00"),
        ("20260102003000[5.75:NPT]", "2026-01-01T18:45:00+00:00"),
        ("20260102003000[8.00:GMT+8]", "2026-01-01T16:30:00+00:00"),
        ("20260102003000.123[8:HKT]", "2026-01-01T16:30:00.123000+00:00"),
        ("202601020030[8:HKT]", "2026-01-01T16:30:00+00:00"),
        ("20260102", "2026-01-01T16:00:00+00:00"),
    ],
)
def test_times_of_ofx(text: str, instant: str) -> None:
    cells = {"DTPOSTED": text, "TRNAMT": "1.00", "FITID": "1", "#currency": "HKD", ZONE: "Asia/Hong_Kong"}
    assert ofx.read(Cells(cells)).at.isoformat() == instant


@pytest.mark.parametrize("text", ["20260102003000[5.20:X]", "20260102003000[15:X]", "20260102[]", "2026010200[8:HKT]"])
def test_a_time_of_ofx_that_names_no_time_zone_is_refused(text: str) -> None:
    cells = {"DTPOSTED": text, "TRNAMT": "1.00", "FITID": "1", "#currency": "HKD"}
    with pytest.raises(WireError, match=r"DTPOSTED.*expected"):
        ofx.read(Cells(cells))


def test_a_transaction_of_ofx_with_another_amount_differs(desk: Desk) -> None:
    desk.reads(desk.write("a.ofx", sample("ofx")))
    counts = desk.reads(desk.write("b.ofx", sample("ofx").replace("-100.50", "-100.00")), returncode=3)
    assert picked(counts, "differs", "restated") == [1, 1]


# ---------------------------------------------------------------- stated balances


def month(number: int, opening: str, amount: str, closing: str) -> str:
    """A statement of MT940 with one entry."""
    return (
        f":20:S\n:25:1\n:28C:{number}/1\n:60F:C26{number:02}01EUR{opening}\n"
        f":61:26{number:02}10{number:02}10D{amount}NTRFNONREF\n:62F:C26{number:02}28EUR{closing}\n-\n"
    )


def balance(desk: Desk) -> list[str]:
    (known,) = json.loads(desk.run("balances", "a", "--format", "json").stdout)
    return picked(known, "amount", "opening", "check", "difference")


def test_closing_balances_check_the_flows_and_a_missing_statement_is_found(desk: Desk) -> None:
    january, february, march = (
        desk.write(f"{number}.sta", month(number, *amounts))
        for number, amounts in enumerate(
            [("100,00", "1,00", "99,00"), ("99,00", "2,00", "97,00"), ("97,00", "3,00", "94,00")], 1
        )
    )
    desk.reads(january)
    assert balance(desk) == ["99.00", "100.00", "could_not_check", "0.00"]
    done = desk.reads(march)
    assert balance(desk)[2:] == ["fail", "-2.00"]
    (_, second) = result(desk.ledger, "balance", "list", returncode=3)
    assert picked(second, "amount", "currency", "subaccount") == ["94.00", "EUR", "1"]
    assert second["note"] == f"closing balance in 3.sta (import {done['id']})"
    desk.reads(february)
    assert balance(desk)[2:] == ["pass", "0.00"]
    assert desk.reads(january)["added"] == 0
    assert len(result(desk.ledger, "balance", "list")) == 3
    desk.run("import", "undo", done["id"], "--yes")
    assert [known["amount"] for known in result(desk.ledger, "balance", "list")] == ["99.00", "97.00"]


def test_a_closing_balance_that_contradicts_another_one_is_told(desk: Desk) -> None:
    desk.reads(desk.write("1.sta", month(1, "100,00", "1,00", "99,00")))
    other = desk.write("2.sta", month(1, "101,00", "1,00", "100,00"))
    done = desk.run("import", other, "--account", "a")
    assert "2.sta: its closing balance was not recorded: amount: " in done.stderr
    assert "states 99.00 EUR at 2026-01-29T00:00:00Z already, got 100.00" in done.stderr


# ---------------------------------------------------------------- the same money elsewhere


def test_a_payout_and_its_arrival_at_the_bank_are_linked(desk: Desk) -> None:
    payout = {**json.loads(wecom(1)), "transaction_type": 4, "fund_flow_type": 2, "transaction_amount": 1_234_56}
    payout["timestamp"] = 1767600000  # 2026-01-05 16:00 in Shanghai
    desk.write("wecom.json", answer("wecom", [json.dumps(payout).encode()]))
    words = ("import", desk.folder / "wecom.json", "--provider", "wecom", "--account", "shop")
    assert desk.run(*words).returncode == 0
    text = (
        "交易日期,交易时间,交易摘要,交易金额,本次余额,对手信息,日志号,交易渠道,交易附言\n"
        "20260106,090000,提现,+1234.56,1234.56,财付通,1,系统,\n"
    )
    desk.reads(desk.write("bank.csv", text))
    (link,) = result(desk.ledger, "link", "list")
    assert picked(link, "kind", "state") == ["payout", "certain"]


def test_a_file_of_an_account_that_is_collected_too_is_told(desk: Desk) -> None:
    from liushui.ledger.engine import open_ledger
    from liushui.ledger.write.commit import make_account

    ledger = open_ledger(str(desk.ledger), create=True)
    make_account(ledger, "trading", "okx", "UTC")
    ledger.close()
    done = desk.run("import", desk.write("okx.csv", sample("okx_csv")), "--account", "a")
    assert (
        "trading is collected from okx: if the file is of the same account, its money is in totals twice" in done.stderr
    )
