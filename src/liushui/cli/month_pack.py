"""liushui month-pack: all that an accountant needs of a month of some accounts, as one zip."""

import sys
from pathlib import Path

import click

from liushui.cli import EXIT_INCOMPLETE, options
from liushui.cli.export import opened_output
from liushui.cli.options import Settings
from liushui.cli.output import messages
from liushui.cli.reconcile import describe_failures
from liushui.cli.statement import StatementLanguage

REASONS_MAX = 6
"""The most reasons that are printed."""


@click.command("month-pack")
@options.accounts
@click.option(
    "--period", metavar="MONTH", help="A month of each account's zone: 2026-10. (default: the last one that is over)"
)
@click.option(
    "--language",
    type=options.EnumChoice(StatementLanguage),
    default=StatementLanguage.EN.value,
    show_default=True,
    help="The language of the statement.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    required=True,
    help="The zip to write. An existing file is replaced only when everything is written.",
)
@options.ledger_only
def month_pack(
    settings: Settings,
    accounts: tuple[str, ...],
    period: str | None,
    language: StatementLanguage,
    output: Path,
) -> None:
    """Write everything that an accountant needs for a month into one zip.

    Each account has a folder: the proof of cash with the bank reconciliation statement (银行存款余额调节表) and
    outstanding items as a workbook, the statement (PDF, or HTML where Typst or a font is missing), the flows with what
    they cover, and the certificates of the month with their rows. README.txt lists the files with their digests, and
    check_certificate.py checks a certificate without liushui. The exit code is 3 unless every line of the proof passes.

    \b
    Example: liushui month-pack shop --period 2026-10 --language zh-Hans --output shop-2026-10.zip
    """
    from liushui.ledger.read.month_calendar import read_month
    from liushui.providers import load_providers
    from liushui.server.month_pack import month_proofs, pack_parts
    from liushui.server.web.i18n import read_languages

    first = None if period is None else read_month(period)
    model = settings.open_read_model()
    proofs = month_proofs(model, accounts, first)
    with opened_output(output) as out:
        for part in pack_parts(model, proofs, load_providers(), read_languages()[language.value]):
            out.write(part)
    failed = [proof for proof in proofs.values() if proof.status.value != "pass"]
    reasons = [reason for proof in failed for reason in describe_failures(proof)]
    for reason in reasons[:REASONS_MAX]:
        messages.warn(reason)
    if len(reasons) > REASONS_MAX:
        messages.print(f"  and {len(reasons) - REASONS_MAX} more; `liushui reconcile` prints all of them")
    if failed:
        sys.exit(EXIT_INCOMPLETE)
