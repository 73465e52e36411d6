"""liushui login, liushui password: who may see the page."""

import getpass
import sys
from typing import Annotated, Final

import typer

from liushui.cli.options import LedgerOption, opened
from liushui.cli.output import messages
from liushui.errors import ConfigError
from liushui.instant import to_iso
from liushui.ledger.access.logins import CODE_LIFE, has_password, new_code, remove_password, set_password
from liushui.ledger.access.tokens import list_tokens
from liushui.ledger.engine import Ledger
from liushui.server.exposure import is_full, is_loopback, login_link
from liushui.wire.transport import parse_base_url

PORT: Final = 8700

app = typer.Typer(help="The password of the page, for where it is served beyond this machine.", no_args_is_help=True)


def login(
    ctx: typer.Context,
    url: Annotated[
        str, typer.Option("--url", metavar="URL", help="Where the page is served.")
    ] = f"http://127.0.0.1:{PORT}",
    ledger: LedgerOption = None,
) -> None:
    """Print a link that lets one browser into the page, once."""
    where, book = parse_base_url(url), opened(ctx, ledger)
    until = book.clock() + CODE_LIFE
    sys.stdout.write(f"{login_link(where, new_code(book))}\n")
    messages.print(f"[dim]it works once, until {to_iso(until)}[/]")


@app.command("set")
def set_(ctx: typer.Context, ledger: LedgerOption = None) -> None:
    """Set the password, from the terminal or the first line of standard input. Every browser is logged out."""
    book = opened(ctx, ledger, create=True)
    set_password(book, _typed())
    messages.print("the page's password is set; every browser has to log in again")


@app.command()
def remove(ctx: typer.Context, ledger: LedgerOption = None) -> None:
    """Remove the password. Every browser is logged out; links and tokens still let one in."""
    remove_password(opened(ctx, ledger))
    messages.print("the page has no password any more")


def check_exposure(ledger: Ledger, base: str) -> None:
    """Raises ConfigError where others than this machine's own programs would reach a page that nobody can log in to."""
    if is_loopback(base) or has_password(ledger):
        return
    now = ledger.clock()
    for token in list_tokens(ledger):
        if is_full(token) and token.revoked_at is None and (token.expires_at is None or now < token.expires_at):
            return
    raise ConfigError(
        f"host: expected a loopback address, for the page has no password yet (`liushui password set`), got {base}"
    )


def _typed() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != password:
        raise ConfigError("password: expected the same twice, got two")
    return password
