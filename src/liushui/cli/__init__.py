"""The command line: the entry point, and what each exit code means."""

import gc
import os
import sys
from typing import Final, NoReturn

EXIT_FAILED: Final = 1
"""The command failed while doing its work."""
EXIT_USAGE: Final = 2
"""Invalid input from the user: an option, an argument, a variable, a file."""
EXIT_INCOMPLETE: Final = 3
EXIT_DAMAGED: Final = 4
EXIT_INTERRUPTED: Final = 130

GC_THRESHOLDS: Final = (100_000, 20, 100)
"""The number of new objects after which the garbage collector runs. Imports, and the slices of a sync, create some
100,000 objects without reference cycles. With Python's default of 700, examining them takes a tenth of the time."""


def main() -> None:
    """Run the command in `sys.argv` and exit. Errors are one line on standard error; LIUSHUI_DEBUG=1 adds the trace."""
    try:
        gc.set_threshold(*GC_THRESHOLDS)
        _run()
    except KeyboardInterrupt:
        _fail("interrupted: what was committed before is kept", EXIT_INTERRUPTED)
    except BrokenPipeError:
        # Python flushes standard output once more at exit, so it needs something to write to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_FAILED)
    except Exception as error:
        if os.environ.get("LIUSHUI_DEBUG"):
            raise
        bug = f"{type(error).__name__}: {error}"
        _fail(f"error: {bug} (a bug in liushui; run again with LIUSHUI_DEBUG=1 to see where)", EXIT_FAILED)
    finally:
        # At exit Python collects garbage once more. Frozen objects are skipped, which saves some 50 ms.
        gc.freeze()


def _run() -> None:
    import click

    from liushui.cli.app import program
    from liushui.errors import ConfigError, LiushuiError

    try:
        sys.exit(program.main(prog_name="liushui", standalone_mode=False) or 0)
    except click.exceptions.NoArgsIsHelpError as error:
        sys.stdout.write(f"{error.format_message()}\n")
        sys.exit(EXIT_USAGE)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "liushui"
        _fail(f"error: {error.format_message()} (see `{command} --help`)", EXIT_USAGE)
    except click.Abort:  # click's name for Ctrl-C and the end of input at a prompt
        raise KeyboardInterrupt from None
    except ConfigError as error:
        _fail(f"error: {error}", EXIT_USAGE)
    except LiushuiError as error:
        _fail(f"error: {error}", EXIT_FAILED)


def _fail(line: str, code: int) -> NoReturn:
    from liushui.output_text import terminal_text

    sys.stderr.write(terminal_text(" ".join(line.split())) + "\n")
    sys.exit(code)
