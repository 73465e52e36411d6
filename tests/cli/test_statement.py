"""`liushui statement`: all rows of a month with exact figures, as HTML and as PDF, in three languages."""

import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Final

import pytest

from liushui.errors import ConfigError
from liushui.flow import Kind
from liushui.ledger.jobs.sources import add_source
from liushui.ledger.write.commit import make_account
from liushui.provider import Slice
from liushui.server.web import statement_pdf
from liushui.server.web.i18n import read_languages
from liushui.server.web.statement_pdf import choose_fonts
from liushui.server.web.statement_texts import StatementTexts
from tests.cli.commands import run
from tests.ledger.ledgers import commit_read, make_row, new_ledger
from tests.system import require

BEGIN: Final = datetime(2010, 1, 1, tzinfo=UTC)
"""Before it the provider has nothing."""
MARCH: Final = datetime(2024, 2, 29, 16, tzinfo=UTC)
APRIL: Final = datetime(2024, 3, 31, 16, tzinfo=UTC)
ROWS: Final = 700
MARK: Final = "结算款"
"""What every row of March has in its label."""


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A shop with one row in February and many in March; April is not read."""
    made = new_ledger(tmp_path_factory.mktemp("statement"), "empty")
    make_account(made, "shop", "hkus", "Asia/Hong_Kong")
    add_source(made, account="shop", base_url="http://h", credentials={}, since=BEGIN, paced=True)
    rows = [make_row("first", MARCH - timedelta(days=3), "100.00", balance="100.00", kind=Kind.DEPOSIT)]
    rows += [
        make_row(
            f"m{number}",
            MARCH + number * timedelta(minutes=30),
            "1.500000",
            balance=f"{100 + (number + 1) * 3 / 2:.6f}",
            label=f"{MARK} <b>&",
        )
        for number in range(ROWS)
    ]
    commit_read(made, Slice(BEGIN, APRIL), *rows, account="shop")
    yield made.path
    made.close()


def pdf_text(path: Path) -> str:
    """The text of a PDF, line by line as it is printed."""
    pdftotext = require("pdftotext", "poppler-utils")
    done = subprocess.run([pdftotext, "-layout", str(path), "-"], capture_output=True, check=True, timeout=60)
    return done.stdout.decode()


def test_the_pdf_has_every_row_and_the_figures(ledger: Path, tmp_path: Path) -> None:
    file = tmp_path / "march.pdf"
    done = run(ledger, "statement", "shop", "--period", "2024-03", "--format", "pdf", "--output", str(file))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    text = pdf_text(file)
    assert text.count(MARK) == ROWS
    assert len(re.findall(r"^ *2024-03-\d\d \d\d:\d\d:\d\d", text, re.MULTILINE)) == ROWS
    assert re.search(r"Opening balance +In +Out +Closing balance\n.*100\.00 +1,050\.00 +0\.00 +1,150\.00", text)
    assert re.search(r"2024-03-01 00:00:00 +Deposit +结算款 <b>& .*\+1\.50 +101\.50", text)
    assert "Complete. All flows up to Apr 1, 2024, 00:00:00 are included." in re.sub(r"\s+", " ", text)
    pages = text.count("\f")
    assert pages > 5
    for number in (1, pages):
        assert f"Page {number} of {pages}" in text


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ("Account statement", "Opening balance", "700 flows", "Page 1 of")),
        ("zh-Hans", ("账户对账单", "期初余额", "700 笔流水", "已核对完整")),
        ("zh-Hant", ("帳戶對帳單", "期初餘額", "700 筆流水", "已核對完整")),
    ],
)
def test_a_statement_speaks_every_language(ledger: Path, tmp_path: Path, language: str, words: tuple[str, ...]) -> None:
    common = ("statement", "shop", "--period", "2024-03", "--language", language)
    html = run(ledger, *common).stdout
    shown = unescape(re.sub(r"<[^>]+>", " ", html))
    assert f'<html lang="{language}">' in html
    assert shown.count(MARK) == ROWS
    assert "<b>&" in shown and "<b>&" not in html, "a label is no markup"
    file = tmp_path / "march.pdf"
    assert run(ledger, *common, "--format", "pdf", "--output", str(file)).returncode == 0
    printed = pdf_text(file)
    for word in words:
        assert word in printed
        assert word in shown or word.startswith("Page")


def test_a_month_that_is_not_complete_says_so(ledger: Path) -> None:
    done = run(ledger, "statement", "shop", "--period", "2024-04")
    assert done.returncode == 3
    assert "shop 2024-04 is not complete: not read yet" in done.stderr
    assert "Not complete. shop: not read yet" in done.stdout
    assert "1,150.00" in done.stdout, "the balance that is known"


def test_the_certificate_of_the_month_is_named(ledger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where its file is written
    assert run(ledger, "certificate", "key", "create", "example.com/shop").returncode == 0
    assert run(ledger, "certificate", "create", "shop", "--period", "2024-02").returncode == 0
    february = run(ledger, "statement", "shop", "--period", "2024-02").stdout
    assert re.search(r"<dt>Certificate</dt><dd>shop 1 · [^<]* · [0-9A-Za-z+/=:]{20,}</dd>", february)
    assert "<dt>Certificate</dt>" not in run(ledger, "statement", "shop", "--period", "2024-03").stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nobody",), "nobody"),
        (("shop", "--period", "March"), "period: expected a month such as 2026-10, got 'March'"),
        (("shop", "--format", "docx"), "'docx' is not one of 'html', 'pdf'"),
        (("shop", "--output", "/nowhere/at/all.html"), "cannot write /nowhere/at/all.html"),
        (
            ("shop", "--format", "pdf", "--fonts", "/nowhere", "--output", "x.pdf"),
            "fonts: expected a folder, got '/nowhere'",
        ),
    ],
)
def test_wrong_use_gets_a_clear_error(ledger: Path, words: tuple[str, ...], message: str) -> None:
    done = run(ledger, "statement", *words)
    assert done.returncode in (1, 2)
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def texts_of(label: str, language: str = "en") -> StatementTexts:
    """A statement with one fact."""
    return StatementTexts(language, "Statement", [("Account", label)], [], [], "", "")


def test_fonts_are_chosen_for_the_language() -> None:
    families = ["DejaVu Sans", "Noto Sans CJK TC", "Noto Sans CJK SC", "WenQuanYi Zen Hei"]
    simplified = choose_fonts(texts_of("账户", "zh-Hans"), families)
    assert simplified == ["DejaVu Sans", "Noto Sans CJK SC", "Noto Sans CJK TC", "WenQuanYi Zen Hei"]
    assert choose_fonts(texts_of("帳戶", "zh-Hant"), families)[1] == "Noto Sans CJK TC"
    assert choose_fonts(texts_of("plain"), ["Libertinus Serif"]) == ["Libertinus Serif"]


def test_a_missing_font_is_named() -> None:
    with pytest.raises(ConfigError, match=r"Noto Sans CJK SC, .*WenQuanYi Zen Hei.*apt-get install fonts-noto-cjk"):
        choose_fonts(texts_of("账户"), ["DejaVu Sans"])


def test_without_typst_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "typst", None)
    with pytest.raises(ConfigError, match=r"expected typst to be installed.*liushui\[pdf\]"):
        statement_pdf.statement_pdf(texts_of("shop"))


def test_the_languages_of_the_page_are_offered() -> None:
    from liushui.cli.statement import StatementLanguage

    assert [one.value for one in StatementLanguage] == list(read_languages())
