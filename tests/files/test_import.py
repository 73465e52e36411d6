"""liushui import of statement files as a user runs it: any table with a mapping, in any packing and encoding."""

import gzip
import json
from pathlib import Path

import pytest

from tests.cli.commands import result
from tests.files.inputs import MAPPING, ROWS, Desk, picked, sealed_zip, table, with_method, workbook, zipped


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_rows_become_flows_and_a_second_import_changes_nothing(desk: Desk) -> None:
    file = desk.write("bank.csv", table(*ROWS))
    assert picked(desk.imports(file), "rows", "added", "known") == [3, 3, 0]
    assert picked(desk.imports(file), "rows", "added", "known") == [3, 0, 3]
    newest = desk.flows()[-1]
    wanted = {"at": "2026-01-06T02:00:00Z", "amount": "-2.00", "currency": "CNY", "balance_after": "12397.60"}
    assert {name: newest[name] for name in wanted} == wanted
    assert (newest["label"], newest["ref"]) == ("手续费", "A3")
    assert result(desk.ledger, "rebuild", "--dry-run")[0]["changed"] == 0


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "gb18030"])
def test_every_encoding_gives_the_same_flows(desk: Desk, encoding: str) -> None:
    plain = desk.write("plain.csv", table(*ROWS))
    desk.imports(plain)
    again = desk.write("again.csv", table(*ROWS).encode(encoding))
    assert picked(desk.imports(again), "added", "known", "rejected") == [0, 3, 0]


def test_the_euro_sign_of_windows_is_read_within_gb18030(desk: Desk) -> None:
    text = table(ROWS[0].replace("工资", "退款¥€")).encode("gb18030").replace("€".encode("gb18030"), b"\x80")
    desk.imports(desk.write("bank.csv", text))
    assert desk.flows()[0]["label"] == "退款¥€"


def test_accents_of_western_windows_are_not_chinese(desk: Desk) -> None:
    desk.write("map.toml", MAPPING.replace("摘要", "Art").replace("交易日期", "Tag").replace("余额", "Saldo"))
    text = "Tag,Art,金额,Saldo,币种\n2026-01-05,Überweisung für Müller,1.00,2.00,EUR\n".replace("金额", "B").replace(
        "币种", "W"
    )
    desk.write("map.toml", desk.mapping.read_text().replace("金额", "B").replace("币种", "W"))
    desk.imports(desk.write("bank.csv", text.encode("cp1252")))
    assert desk.flows()[0]["label"] == "Überweisung für Müller"


@pytest.mark.parametrize("packed", [gzip.compress(table(*ROWS).encode()), zipped(a=table(*ROWS).encode())])
def test_packed_files_are_unpacked(desk: Desk, packed: bytes) -> None:
    assert desk.imports(desk.write("bank.bin", packed))["added"] == 3


def test_a_zip_archive_with_several_files(desk: Desk) -> None:
    packed = zipped(one=table(ROWS[0]).encode(), two=gzip.compress(table(*ROWS[1:]).encode()))
    assert desk.imports(desk.write("bank.zip", packed))["added"] == 3


def test_a_workbook_is_a_table(desk: Desk) -> None:
    cells = [line.split(",") for line in table(*ROWS).splitlines()]
    file = desk.write("bank.xlsx", workbook([["账户明细"], *cells], merged="A1:F1"))
    assert desk.imports(file)["added"] == 3
    assert desk.imports(desk.write("bank.csv", table(*ROWS)))["known"] == 3


def test_the_header_is_found_below_other_lines_and_its_columns_in_any_order(desk: Desk) -> None:
    rows = "流水号,余额, 金额 ,摘要,交易日期,备注,币种\nA1,12500.10,12000.00,工资,2026-01-05 09:15:02,x,CNY\n"
    text = f"网上银行,明细\n账号,6222\n\n{rows}"
    desk.imports(desk.write("bank.csv", text))
    assert desk.imports(desk.write("plain.csv", table(*ROWS)))["known"] == 1


# ---------------------------------------------------------------- passwords


def test_an_archive_with_a_password(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    file = desk.write("bank.zip", sealed_zip("bank.csv", table(*ROWS).encode(), "482913"))
    words = ("import", file, "--map", desk.mapping, "--account", "a")
    assert "bank.csv" not in desk.refuses(*words)
    assert "has a password: give it at the prompt, or in the environment variable" in desk.refuses(*words)
    monkeypatch.setattr("getpass.getpass", lambda prompt: "000000" if prompt == f"Password of {file}: " else "")
    wrong = desk.run(*words, terminal=True)
    assert (wrong.returncode, "the password is wrong" in wrong.stderr) == (2, True)
    monkeypatch.setattr("getpass.getpass", lambda _prompt: "482913")
    done = desk.run(*words, terminal=True)
    assert (done.returncode, "482913" in done.stdout + done.stderr) == (0, False), done.stderr
    assert len(desk.flows()) == 3


# ---------------------------------------------------------------- bad input


def test_a_row_that_does_not_fit_is_rejected_with_its_line_and_the_others_come_in(desk: Desk) -> None:
    bad = ("2026-01-07 09:00:00,转账,12.x,1.00,CNY,A4", "2026-01-08,short,1.00", *ROWS)
    file = desk.write("bank.csv", table(*bad))
    done = desk.run("import", file, "--map", desk.mapping, "--account", "a")
    assert done.returncode == 3
    assert "line 2: 金额: expected an amount such as 1234.50, got '12.x'" in done.stderr
    assert "line 3: row: expected 6 cells as line 1 has, got 3: '2026-01-08, short, 1.00'" in done.stderr
    assert len(desk.flows()) == 3
    assert len(result(desk.ledger, "quarantine", "list", returncode=3)) == 2
    assert desk.run("quarantine", "retry").returncode == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (table(*ROWS).encode() + table(*ROWS).encode(), "line 5: expected one table, got a second header"),
        (zipped(a=table(*ROWS).encode())[:-30], "the zip archive is damaged"),
        (with_method(zipped(a=table(*ROWS).encode()), 9), "a kind of compression that Python cannot read"),  # Deflate64
        (with_method(zipped(a=table(*ROWS).encode()), 99), "a kind of encryption that Python cannot read"),  # AES
        (gzip.compress(table(*ROWS).encode())[:-9], "the gzip file ends too early"),
        (table(*ROWS).encode()[:10], "the text ends in the middle of a character: it was cut off"),
        (b"a,b\n1,2\n", "no line has the columns 交易日期"),
        (b"%PDF-1.7", "this is a PDF, whose tables cannot be read exactly: export the statement as CSV or xlsx"),
        (b"\x89PNG\r\n\0\0\0\rIHDR\0", "expected text or a workbook, got a file with zero bytes in it"),
        (b"\xff\xff,\xff\n", "expected text in UTF-8, UTF-16 or GB18030"),
        (b"", "no line has the columns"),
        (table('"' + "x" * 200_000).encode(), "this is not CSV"),
        (table(*ROWS, header="金额," + table().strip()).encode(), "expected each column once, got '金额' twice"),
    ],
)
def test_a_file_that_cannot_be_read_changes_nothing(desk: Desk, content: bytes, message: str) -> None:
    file = desk.write("bank.csv", content)
    assert message in desk.refuses("import", file, "--map", desk.mapping, "--account", "a")
    assert not desk.ledger.exists()


def test_merged_cells_in_a_table_are_refused(desk: Desk) -> None:
    cells = [line.split(",") for line in table(*ROWS).splitlines()]
    file = desk.write("bank.xlsx", workbook(cells, merged="A2:A3"))
    message = desk.refuses("import", file, "--map", desk.mapping, "--account", "a")
    assert "line 2: expected a table, got merged cells: unmerge them and save the sheet" in message


def test_of_several_files_none_is_imported_if_one_cannot_be_read(desk: Desk) -> None:
    good, bad = desk.write("good.csv", table(*ROWS)), desk.write("bad.csv", table(*ROWS, *ROWS) + table())
    assert "bad.csv: line 8" in desk.refuses("import", good, bad, "--map", desk.mapping, "--account", "a")
    assert not desk.ledger.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("zone", "zon"), "Object contains unknown field `zon`"),
        (('"金额"', '"金额"\nmoney_in = "金额"'), "columns: expected amount, or money_in and money_out"),
        (("Asia/Shanghai", "Asia/Nowhere"), "zone: expected an IANA time zone"),
        (('currency = "币种"', ""), 'currency: expected a code such as currency = "CNY"'),
        (("zone =", 'decimal_mark = ";"\nzone ='), 'decimal_mark: expected "." or ","'),
        (("zone =", 'encoding = "klingon"\nzone ='), "encoding: expected a name such as gb18030"),
        (("[columns]", "[columns"), "this is no TOML"),
        (('time = "交易日期"', "time = 5"), "columns.time: Expected"),
    ],
)
def test_a_mapping_that_cannot_work_is_refused_by_its_key(desk: Desk, change: tuple[str, str], message: str) -> None:
    file = desk.write("bank.csv", table(*ROWS))
    desk.write("map.toml", MAPPING.replace(*change))
    assert message in desk.refuses("import", file, "--map", desk.mapping, "--account", "a")


def test_options_that_exclude_one_another(desk: Desk) -> None:
    file = desk.write("bank.csv", table(*ROWS))
    assert "expected one of --provider, --as, --map and --propose" in desk.refuses(
        "import", file, "--propose", "--as", "x"
    )
    assert "account: expected --account" in desk.refuses("import", file, "--map", desk.mapping)
    assert "--as: expected" in desk.refuses("import", file, "--as", "nonsense", "--account", "a")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"rows":[]}', "this looks like JSON: saved answers of a provider are read with --provider PROVIDER"),
        (table(*ROWS).encode(), "`liushui import --propose FILE` writes a mapping for it"),
        (b" \n", "the file is empty"),
        (b"<html></html>", "this looks like XML"),
    ],
)
def test_a_file_of_no_known_format_says_what_would_read_it(desk: Desk, content: bytes, message: str) -> None:
    assert message in desk.refuses("import", desk.write("a.csv", content), "--account", "a")


def test_a_file_without_a_line_end_is_told(desk: Desk) -> None:
    file = desk.write("bank.csv", table(*ROWS).rstrip())
    done = desk.run("import", file, "--map", desk.mapping, "--account", "a")
    assert (done.returncode, "no line end at the end: if it was cut off, its last row is wrong" in done.stderr) == (
        0,
        True,
    )


# ---------------------------------------------------------------- equal rows, corrected rows, undo


def test_overlapping_files_count_equal_rows_once_and_twins_twice(tmp_path: Path) -> None:
    desk = Desk(tmp_path, MAPPING)
    twin = "2026-01-06,咖啡,-20.00,,CNY,"
    first = desk.write("first.csv", table("2026-01-05,咖啡,-20.00,,CNY,", twin, twin))
    second = desk.write("second.csv", table(twin, twin, "2026-01-07,咖啡,-20.00,,CNY,"))
    assert desk.imports(first)["added"] == 3
    assert picked(desk.imports(second), "added", "known") == [1, 2]
    assert len(desk.flows()) == 4


def test_a_corrected_row_with_an_id_differs(desk: Desk) -> None:
    desk.imports(desk.write("bank.csv", table(*ROWS)))
    corrected = desk.write("new.csv", table(ROWS[0].replace("12000.00", "12001.00")))
    counts = desk.imports(corrected, returncode=3)
    assert [counts[name] for name in ("differs", "restated")] == [1, 1]
    assert counts["differences"][0]["row"] == 2


def test_a_dry_run_and_undo(desk: Desk) -> None:
    file = desk.write("bank.csv", table(*ROWS))
    assert desk.imports(file, words=("--dry-run",))["added"] == 3
    assert not desk.ledger.exists()
    done = desk.imports(file)
    assert desk.run("import", "undo", done["id"], "--yes").returncode == 0
    assert desk.flows() == []
    assert desk.imports(file)["added"] == 3


# ---------------------------------------------------------------- signs


@pytest.mark.parametrize(
    ("columns", "extra", "header", "row", "amount", "direction"),
    [
        ('amount = "金额"', "negate = true", "金额", "88.00", "-88.00", "none"),
        ('money_in = "收入"\nmoney_out = "支出"', "", "收入,支出", ",88.00", "-88.00", "out"),
        ('money_in = "收入"\nmoney_out = "支出"', "", "收入,支出", "88.00,0.00", "88.00", "in"),
        (
            'amount = "金额"\nside = "收/支"',
            'in_words = ["收"]\nout_words = ["支"]',
            "金额,收/支",
            "88.00,支",
            "-88.00",
            "out",
        ),
        (
            'amount = "金额"\nside = "收/支"',
            'in_words = ["收"]\nout_words = ["支"]',
            "金额,收/支",
            "-8.00,支",
            "-8.00",
            "out",
        ),
        ('amount = "金额"\nfee = "费"', "", "金额,费", "88.00,0.50", "87.50", "none"),
    ],
)
def test_signs(tmp_path: Path, columns: str, extra: str, header: str, row: str, amount: str, direction: str) -> None:
    desk = Desk(tmp_path, f'currency = "CNY"\n{extra}\n[columns]\ntime = "日期"\n{columns}\n')
    desk.imports(desk.write("a.csv", f"日期,{header}\n2026-01-05,{row}\n"))
    (flow,) = desk.flows()
    assert (flow["amount"], flow["direction"]) == (amount, direction)


@pytest.mark.parametrize("row", ["1.00,2.00", ",", "x,"])
def test_an_amount_on_both_sides_or_none_is_rejected(tmp_path: Path, row: str) -> None:
    columns = 'money_in = "收入"\nmoney_out = "支出"'
    desk = Desk(tmp_path, f'currency = "CNY"\n[columns]\ntime = "日期"\n{columns}\n')
    assert desk.imports(desk.write("a.csv", f"日期,收入,支出\n2026-01-05,{row}\n"), returncode=3)["rejected"] == 1


# ---------------------------------------------------------------- a first mapping


def test_a_first_mapping_is_written_and_its_rows_are_shown(desk: Desk) -> None:
    file = desk.write("bank.csv", ("开户行,晨光银行\n" + table(*ROWS)).encode("gb18030"))
    rows = json.loads(desk.run("import", "--propose", file, "--format", "json").stdout)
    assert [row["amount"] for row in rows] == ["12000.00", "-100.50", "-2.00"]
    assert (rows[0]["line"], rows[0]["at"], rows[0]["problem"]) == (3, "2026-01-05T01:15:02Z", None)
    counts = desk.reads(file, words=("--map", f"{file}.toml"))
    assert counts["added"] == 3
    assert "expected no file of this name" in desk.refuses("import", "--propose", file)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Date;Text;Betrag;Saldo\n31.01.2026;x;-1.234,50;2,00\n", ['date_format = "%d.%m.%Y"', 'decimal_mark = ","']),
        ("Date;Text;Betrag;Saldo\n31.01.2026;x;-1.234,50;2,00\n", ['delimiter = ";"', 'currency = "?"']),
        ("Date,Amount (HKD)\n01/02/2026,5.00\n", ["both would fit", 'currency = "HKD"']),
        (
            "日期,时间,收入,支出\n20260105,091502,1.00,\n",
            ['time = ["日期", "时间"]', 'zone = "Asia/Shanghai"', 'money_in = "收入"'],
        ),
        (
            "交易时间,收/支,金额\n2026-01-05 09:00,支出,5\n",
            ['side = "收/支"', 'out_words = ["支出"]', 'zone = "Asia/Shanghai"'],
        ),
        (
            "Date,Description,Paid in,Paid out\n5 Jan 2026,x,,5\n",
            ['date_format = "%d %b %Y"', 'money_out = "Paid out"'],
        ),
        (
            "交易日期,交易金额(收入),交易金额(支出),币别\n2026-01-05,1.00,,人民币\n",
            ['money_in = "交易金额(收入)"', 'money_out = "交易金额(支出)"', 'currency = "币别"'],
        ),
        ("交易日期,存入金额,取出金额\n2026-01-05,,3.88\n", ['money_in = "存入金额"', 'money_out = "取出金额"']),
        ("交易时间,金额,收/支,备注\n2026-01-05 09:00,5,支出,x, ,\n", ['side = "收/支"']),  # rows with more cells
        ("Date;Betrag\n31.01.2026;0,12345678\n", ['decimal_mark = ","']),
        ("Date,Value date,Debit,Credit\n5-Jan-26,5-Jan-26,1,\n", ['date_format = "%d-%b-%y"', 'money_out = "Debit"']),
        (
            "日期,成交金额,清算金额,余额\n20260105,126000.00,-126000.13,100.00\n20260106,50.00,-50.02,49.98\n",
            ['amount = "清算金额"'],
        ),
        ("Date,Amount,Balance\n2026-01-05,5,95\n2026-01-06,7,88\n", ["negate = true"]),
        ("Date,Amount,Balance\n2026-01-05,5,95\n2026-01-06,7,11\n", ["# In doubt: the amounts do not lead"]),
        ("Date,Amount\n2026-01-05,5\n2026-01-06,7\n", ["# In doubt: no amount is below zero"]),
    ],
)
def test_what_a_first_mapping_guesses(desk: Desk, text: str, wanted: list[str]) -> None:
    file = desk.write("t.csv", text)
    assert desk.run("import", "--propose", file).returncode == 0
    mapping = Path(f"{file}.toml").read_text()
    assert all(line in mapping for line in wanted), mapping


def test_a_table_without_a_time_gets_no_mapping(desk: Desk) -> None:
    file = desk.write("t.csv", "a,b\n1,2\n")
    assert "no line looks like a header with a time and an amount" in desk.refuses("import", "--propose", file)
