"""The bills of WeChat Pay and Alipay: sides in words, control totals, and rows that moved no money."""

from pathlib import Path

import pytest

from liushui.testing.file_formats import samples, samples_of
from tests.files.inputs import Desk, picked, workbook, zipped


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def sample(name: str, number: int = 0) -> bytes:
    return samples(samples_of(name))[number].read_bytes()


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "wechatpay_fundflow",
            ("`88.00,`3.0", "`89.00,`3.0"),
            "the file states that its rows of money in add up to 89.00",
        ),
        ("wechatpay_fundflow", ("`4.0,", "`5.0,"), "the file states 5 rows, and has 4"),
        (
            "wechatpay_fundflow",
            ("`1.0,`88.00,`3.0", "`1.0,`88.00,`2.0"),
            "the file states 2 rows of money out, and has 3",
        ),
        ("wechatpay_fundflow", ("资金流水总笔数,收入", "另一总笔数,收入"), "the control totals at the end are missing"),
        ("wechatpay_fundflow", ("`3.0,`16.53", "`3.0,`x"), "line 7: 支出金额: expected an amount"),
        ("alipay_accountlog", ("2笔，共-1000.53元", "2笔，共-1000.54元"), "its rows of money out add up to 1000.54"),
        ("alipay_accountlog", ("#收入合计：1笔", "#收入合计：2笔"), "the file states 2 rows of money in, and has 1"),
        ("alipay_accountlog", ("合计", "小计"), "the control totals at the end are missing"),
    ],
)
def test_a_bill_whose_totals_do_not_add_up_changes_nothing(
    desk: Desk, name: str, change: tuple[str, str], message: str
) -> None:
    text = sample(name).decode("gb18030" if name == "alipay_accountlog" else "utf-8")
    assert change[0] in text
    file = desk.write("bill.csv", text.replace(*change))
    assert message in desk.refuses("import", file, "--account", "a")
    assert not desk.ledger.exists()


def test_a_summary_beside_the_details_in_an_archive_is_passed_over(desk: Desk) -> None:
    file = desk.write("bill.zip", zipped(details=sample("alipay_accountlog"), summary="类型,笔数\n收费,1\n".encode()))
    done = desk.run("import", file, "--account", "a")
    assert (done.returncode, "passed over: summary.csv: no format recognises the file" in done.stderr) == (0, True)
    assert len(desk.flows()) == 3


def test_a_bill_as_a_workbook_and_as_csv_is_the_same(desk: Desk) -> None:
    lines = sample("wechat_personal").decode("utf-8-sig").splitlines()
    cells = [[cell.strip('"\t') for cell in line.split(",")] for line in lines]
    assert desk.reads(desk.write("bill.csv", sample("wechat_personal")))["added"] == 4
    assert picked(desk.reads(desk.write("bill.xlsx", workbook(cells, merged="A1:K1"))), "added", "known") == [0, 4]


def test_a_bill_with_numbers_has_the_rows_of_one_with_amounts_as_text(desk: Desk) -> None:
    """Since March 2026 amounts are numbers, and a line below the rows may say how many there are."""
    text = sample("wechat_personal").decode("utf-8-sig")
    assert text.count("¥12.00") == 1
    desk.reads(desk.write("bill.csv", text))
    width = text.splitlines()[-1].count(",")
    newer = text.replace("¥12.00", "12").replace("¥", "") + "共4笔记录" + "," * width + "\n"
    assert picked(desk.reads(desk.write("newer.csv", newer)), "rows", "added", "known") == [4, 0, 4]


def test_a_sheet_that_was_copied_within_its_workbook_counts_once(desk: Desk) -> None:
    lines = sample("wechat_personal").decode("utf-8-sig").splitlines()
    cells = [[cell.strip('"\t') for cell in line.split(",")] for line in lines]
    assert picked(desk.reads(desk.write("bill.xlsx", workbook(cells, sheets=2))), "rows", "added") == [8, 4]


@pytest.mark.parametrize(("words", "amount"), [("黄金-卖出", "100.00"), ("购买理财通", "-100.00")])
def test_the_words_of_a_neutral_row_say_where_the_money_went(desk: Desk, words: str, amount: str) -> None:
    text = sample("wechat_personal").decode()
    assert text.count("零钱提现") == 1
    desk.reads(desk.write("bill.csv", text.replace("零钱提现", words)))
    assert amount in [flow["amount"] for flow in desk.flows() if flow["label"] == words]


def test_an_account_log_with_a_description_in_place_of_a_type(desk: Desk) -> None:
    text = sample("alipay_accountlog").decode("gb18030").replace("业务类型", "业务描述")
    text = text.replace("起始日期：", "起始日期:").replace("合计：", "合计:")
    desk.reads(desk.write("log.csv", text))
    assert {flow["label"] for flow in desk.flows()} > {"收费"}


def test_a_neutral_row_of_unknown_meaning_is_rejected(desk: Desk) -> None:
    text = sample("wechat_personal").decode().replace("零钱提现", "转盘")
    done = desk.run("import", desk.write("bill.csv", text), "--account", "a")
    assert (done.returncode, "line 12: 收/支: expected 收入 or 支出, got ''" in done.stderr) == (3, True), done.stderr


def test_a_closed_payment_moved_no_money(desk: Desk) -> None:
    desk.reads(desk.write("bill.csv", sample("alipay_personal", 1)))
    (closed,) = (flow for flow in desk.flows() if flow["note"] == "雨伞")
    assert (closed["amount"], closed["detail"]["alipay_personal:金额"]) == ("0", "30.00")


def test_personal_bills_prove_nothing(desk: Desk) -> None:
    desk.reads(desk.write("bill.csv", sample("wechat_personal")))
    done = desk.run("balances", "a")
    assert (done.returncode, "no source to check it against" in done.stderr) == (3, True)


def test_tables_of_two_formats_in_one_file_are_refused(desk: Desk) -> None:
    ledgers, bill = sample("kraken_csv").decode(), sample("wechatpay_fundflow").decode()
    both = desk.write("both.csv", ledgers + bill.replace(",业务凭证号", "").replace(",`SHOP-7", ""))
    assert "this may be kraken_csv" in desk.refuses("import", both, "--account", "a")
    message = desk.refuses("import", both, "--account", "a", "--as", "kraken_csv")
    assert (
        "line 7: expected one table, got the header of another one, 微信支付 资金账单 (wechatpay_fundflow)" in message
    )
    assert not desk.ledger.exists()
