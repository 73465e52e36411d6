"""liushui mcp: the ledger for assistants, through the Model Context Protocol."""

from typing import Final

import click

from liushui.cli.serve import PORT
from liushui.errors import ConfigError

TOKEN_VARIABLE: Final = "LIUSHUI_TOKEN"  # noqa: S105 - its name


@click.command()
@click.option(
    "--url",
    metavar="URL",
    help=f"The address of the server. (default: the one that runs on this machine, else http://127.0.0.1:{PORT})",
)
def mcp(url: str | None) -> None:
    """Let an assistant read the ledger, over the Model Context Protocol on standard input and output.

    It calls the API of a running server (`liushui serve`) with the token in LIUSHUI_TOKEN, or in the file that
    LIUSHUI_TOKEN_FILE names, and sees what that token may see. Nothing is changed. Needs the extra liushui[mcp].

    \b
    Example: LIUSHUI_TOKEN_FILE=~/.config/liushui/token liushui mcp
    """
    from liushui.client.client import Client
    from liushui.environment import read_secret
    from liushui.wire.transport import parse_base_url

    try:
        from liushui.mcp.server import run_server
    except ImportError as error:
        raise ConfigError("mcp: expected the package mcp: pip install 'liushui[mcp]'") from error
    token = read_secret(TOKEN_VARIABLE)
    if token is None:
        raise ConfigError(
            f"{TOKEN_VARIABLE}: expected a token, or {TOKEN_VARIABLE}_FILE with a file that has one: "
            "`liushui token create --scope read --all-accounts --name assistant`"
        )
    # An assistant waits for the answer, so it should learn soon that the server is not running.
    with Client(server_url() if url is None else parse_base_url(url), token, attempts=3) as client:
        run_server(client)


def server_url() -> str:
    """Return the URL of the default ledger's server, or of the only server on this machine."""
    from liushui.cli.options import default_ledger
    from liushui.server.running import running_servers

    servers = running_servers()
    own = [server for server in servers if server.ledger == str(default_ledger())] or servers
    if len(own) > 1:
        raise ConfigError(f"url: several servers run here, choose one with --url: {', '.join(s.url for s in own)}")
    return own[0].local_url if own else f"http://127.0.0.1:{PORT}"
