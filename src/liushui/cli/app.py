"""The `liushui` command: its global options, and the table of commands whose modules are imported when used."""

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, ParamSpec, TypeVar

import click

from liushui.cli import options
from liushui.errors import ConfigError, short_repr

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

P = ParamSpec("P")
R = TypeVar("R")


class LazyCommand(NamedTuple):
    """Where a command is, and its line in `liushui --help`: the first sentence of its own help."""

    module: str
    attribute: str
    help: str


COMMANDS: Final = {
    "source": LazyCommand("sources", "source", "Manage the sources that flows are collected from."),
    "account": LazyCommand("accounts", "account", "List, rename or remove accounts."),
    "sync": LazyCommand("sync", "sync", "Collect new flows from the sources."),
    "import": LazyCommand(
        "import_group",
        "import_",
        "Import statement files of banks, exchanges and payment services, or rows saved as JSON.",
    ),
    "flows": LazyCommand("flows", "flows", "Print flows by account and time."),
    "view": LazyCommand("views", "view", "Save filters of flows under names, and list, change or remove them."),
    "balances": LazyCommand(
        "balances",
        "balances",
        "Print the balance of each account by currency, and whether it agrees with the stated balance.",
    ),
    "balance": LazyCommand("balances", "balance", "State what an account holds, and compare it with the flows."),
    "summary": LazyCommand("flows", "summary", "Print money in and out by period, account, currency and kind."),
    "reconcile": LazyCommand(
        "reconcile", "reconcile", "Prove what moved in a month: opening, receipts, payments and closing."
    ),
    "close": LazyCommand("close", "close", "Close a month whose proof of cash passes or is explained."),
    "month-pack": LazyCommand(
        "month_pack", "month_pack", "Write everything that an accountant needs for a month into one zip."
    ),
    "export": LazyCommand("export", "export", "Write flows to a file for another program."),
    "statement": LazyCommand(
        "statement",
        "statement",
        "Write an account statement for a month: opening balances, all rows and closing balances.",
    ),
    "coverage": LazyCommand("coverage", "coverage", "Show which days are complete, which are not, and why."),
    "status": LazyCommand(
        "coverage", "status", "Print up to when each account is complete, and its last and next sync."
    ),
    "notify": LazyCommand(
        "notify", "notify", "Send messages about what needs attention, by signed webhooks, e-mail or ntfy."
    ),
    "verify": LazyCommand("database", "verify", "Check that nothing in the ledger was changed or damaged."),
    "certificate": LazyCommand(
        "certificate", "certificate", "Make and check signed certificates of a month of an account."
    ),
    "link": LazyCommand("links", "link", "Show which flows belong together, and confirm or reject links."),
    "findings": LazyCommand("findings", "findings", "List flows that deserve a review."),
    "finding": LazyCommand("findings", "finding", "Explain flows to review, and show what was explained."),
    "breaks": LazyCommand(
        "findings", "breaks", "List the rows whose stated balance does not follow from the balance before."
    ),
    "quarantine": LazyCommand("quarantine", "quarantine", "Review rejected rows: rows that could not be read."),
    "rebuild": LazyCommand("quarantine", "rebuild", "Derive the flows again from the received rows."),
    "db": LazyCommand("database", "db", "Upgrade, copy, back up, restore or compact the ledger."),
    "key": LazyCommand("access", "key", "Manage keys that read accounts through the provider APIs."),
    "token": LazyCommand("access", "token", "Manage tokens of liushui's own API, /api/v1."),
    "user": LazyCommand("users", "user", "Manage the people who log in to the web page."),
    "oidc": LazyCommand("oidc", "oidc", "Let users log in to the web page through an OpenID Connect provider."),
    "audit": LazyCommand("users", "audit", "List who did what."),
    "password": LazyCommand("access", "password", "Set or remove the password of the web page."),
    "login": LazyCommand("access", "login", "Print a link that logs one browser in to the web page, once."),
    "serve": LazyCommand("serve", "serve", "Serve the web page, liushui's API and the provider APIs."),
    "mcp": LazyCommand(
        "mcp",
        "mcp",
        "Let an assistant read the ledger, over the Model Context Protocol on standard input and output.",
    ),
    "simulate": LazyCommand("serve", "simulate", "Serve simulated accounts through the provider APIs."),
    "demo": LazyCommand("serve", "demo", "Simulate the providers, sync every account and serve the result."),
}

EXIT_CODES: Final = (
    "Exit codes: 0 done; 1 failed, nothing half-written; 2 wrong usage: correct what was given; 3 done, but "
    "incomplete: a gap is open, rows are in quarantine, a balance does not add up, or a rebuild would change "
    "something; 4 `verify` found damage, or a certificate is not valid; 130 interrupted."
)


class LazyGroup(click.Group):
    """The commands of COMMANDS. A command's module is imported only when the command runs or shows its own help."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The commands, in the order of a user's journey."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """The command with this name, imported; None if there is none."""
        if cmd_name not in COMMANDS:
            return None
        lazy = COMMANDS[cmd_name]
        command = getattr(import_module(f"liushui.cli.{lazy.module}"), lazy.attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{lazy.module}.{lazy.attribute} is not a command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the arguments name. Raises click.UsageError, with a suggestion for a misspelled
        name."""
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as error:
            raise click.exceptions.NoSuchCommand(error.command_name, possibilities=COMMANDS, ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """Write the list of commands without importing any of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.help) for name, command in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        """Complete a command's name without importing any, or a global option."""
        from click.shell_completion import CompletionItem

        names: list[CompletionItem] = [
            CompletionItem(name, help=command.help) for name, command in COMMANDS.items() if name.startswith(incomplete)
        ]
        return names + click.Command.shell_complete(self, ctx, incomplete)


# ---------------------------------------------------------------- shell completion

_COMPLETION_FILES: Final = {
    "bash": (".bash_completions/liushui.sh", ".bashrc", "source ~/.bash_completions/liushui.sh"),
    "zsh": (".zfunc/_liushui", ".zshrc", "fpath+=~/.zfunc; autoload -Uz compinit; compinit"),
    "fish": (".config/fish/completions/liushui.fish", "", ""),
}
"""For each shell, relative to the home folder: the completion script, and the start-up file that loads it."""


def completion_script() -> str:
    """The script that completes liushui's commands and options in the user's shell. Raises ConfigError."""
    from click.shell_completion import get_completion_class

    completion_class = get_completion_class(_shell())
    if completion_class is None:
        raise ConfigError(f"shell: click has no completion for {_shell()}")
    return completion_class(program, {}, "liushui", "_LIUSHUI_COMPLETE").source()


def install_completion() -> str:
    """Write the script where the user's shell loads it. Returns a line for the user. Raises ConfigError."""
    script_name, startup_name, line = _COMPLETION_FILES[_shell()]
    script = Path.home().joinpath(script_name)
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(completion_script(), encoding="utf-8")
    if startup_name:
        startup = Path.home().joinpath(startup_name)
        text = startup.read_text(encoding="utf-8") if startup.exists() else ""
        if line not in text.splitlines():
            startup.write_text(f"{text}\n{line}\n", encoding="utf-8")
    return f"{_shell()} completion is installed in {script}; it works in the next terminal you open"


def _shell() -> str:
    shell = Path(os.environ.get("SHELL", "")).name
    if shell not in _COMPLETION_FILES:
        raise ConfigError(f"shell: expected bash, zsh or fish in SHELL, got {short_repr(shell)}")
    return shell


# ---------------------------------------------------------------- the command itself


def _version() -> str:
    from liushui import __version__

    return f"liushui {__version__}"


def _flag(name: str, action: Callable[[], str], text: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A flag that prints the result of `action` instead of running a command."""

    def act(ctx: click.Context, _parameter: click.Parameter, is_set: bool) -> None:
        if is_set and not ctx.resilient_parsing:
            click.echo(action())
            ctx.exit()

    return click.option(name, is_flag=True, is_eager=True, expose_value=False, callback=act, help=text)


@click.group(
    cls=LazyGroup,
    epilog=EXIT_CODES,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True, "max_content_width": 120},
)
@options.ledger_and_format
@_flag("--version", _version, "Print the version.")
@_flag("--install-completion", install_completion, "Install completion for the shell in $SHELL (bash, zsh or fish).")
@_flag(
    "--show-completion", completion_script, "Print the completion script for the shell in $SHELL, to copy or change it."
)
def program(_settings: options.Settings) -> None:
    """liushui (流水): one ledger for every fund flow. It collects, stores, checks, shows and serves them."""
