"""liushui statement: a month of an account to print, as HTML or PDF."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from liushui.cli import EXIT_INCOMPLETE, options
from liushui.cli.options import Settings
from liushui.cli.output import messages

if TYPE_CHECKING:
    from liushui.server.web.statement_texts import StatementTexts


class StatementFormat(StrEnum):
    """The formats of a statement."""

    HTML = "html"
    PDF = "pdf"


class StatementLanguage(StrEnum):
    """The languages of a statement."""

    EN = "en"
    HANS = "zh-Hans"
    HANT = "zh-Hant"


FILE: Final = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("account", help="The account.")
@click.option(
    "--period", metavar="MONTH", help="A month of the account's zone: 2026-10. (default: the last one that is over)"
)
@click.option(
    "--format",
    "layout",
    type=options.EnumChoice(StatementFormat),
    default=StatementFormat.HTML.value,
    show_default=True,
    help="HTML that prints on A4, or PDF. PDF needs the extra `liushui[pdf]`.",
)
@click.option(
    "--language",
    type=options.EnumChoice(StatementLanguage),
    default=StatementLanguage.EN.value,
    show_default=True,
    help="The language.",
)
@click.option("--output", type=FILE, help="The file to write. (default: standard output)")
@click.option(
    "--fonts",
    type=click.Path(path_type=Path, file_okay=False),
    multiple=True,
    help="A folder with fonts, in addition to the system's. May be repeated.",
)
@options.ledger_only
def statement(
    settings: Settings,
    account: str,
    period: str | None,
    layout: StatementFormat,
    language: StatementLanguage,
    output: Path | None,
    fonts: tuple[Path, ...],
) -> None:
    """Write an account statement for a month: opening balances, all rows and closing balances.

    It says whether the month is complete and, if not, why, and names the newest certificate of the month. Times are in
    the account's zone. The exit code is 3 unless the month is complete.

    PDF uses the fonts of this machine. Chinese text needs a Chinese font, such as Noto Sans CJK (Debian:
    fonts-noto-cjk).

    \b
    Example: liushui statement shop --period 2026-10 --format pdf --language zh-Hans --output october.pdf
    """
    from liushui.ledger.read.statement import read_statement
    from liushui.providers import load_providers
    from liushui.server.web.i18n import read_languages
    from liushui.server.web.statement_texts import write_statement
    from liushui.server.web.statements import newest_certificate

    if layout is StatementFormat.PDF and output is None and sys.stdout.isatty():
        raise click.UsageError("--output: expected a file for the PDF, for standard output is a terminal")
    model = settings.open_read_model()
    found = read_statement(model, account, period)
    name = found.account.name
    provider = load_providers().get(name.provider)
    texts = write_statement(
        found,
        newest_certificate(model.ledger, account, found.month.month.name),
        name.provider if provider is None else provider.title,
        name.zone,
        read_languages()[language.value],
    )
    content = _rendered(texts, layout, fonts)
    if output is None:
        _print(content)
    else:
        _write(content, output)
    if not found.month.verdict.is_complete:
        messages.warn(f"{account} {found.month.month.name} is not complete: {found.month.verdict.reason}")
        sys.exit(EXIT_INCOMPLETE)


def _rendered(texts: "StatementTexts", layout: StatementFormat, fonts: tuple[Path, ...]) -> bytes:
    if layout is StatementFormat.PDF:
        from liushui.server.web.statement_pdf import statement_pdf

        return statement_pdf(texts, fonts)
    from liushui.server.web.statements import statement_html

    return statement_html(texts).encode()


def _print(content: bytes) -> None:
    # If standard output is replaced by text in memory, it has no byte stream.
    buffer = getattr(sys.stdout, "buffer", None)
    if buffer is None:
        sys.stdout.write(content.decode())
    else:
        buffer.write(content)
        buffer.flush()


def _write(content: bytes, output: Path) -> None:
    try:
        output.write_bytes(content)
    except OSError as error:
        raise click.UsageError(f"--output: cannot write {output}: {error.strerror}") from error
