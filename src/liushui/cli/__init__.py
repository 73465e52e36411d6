"""The command line. One function a command; this module only puts them together and turns errors into one line."""

import gc
import os
import sys
from typing import Final

EXIT_FAILED: Final = 1
EXIT_INCOMPLETE: Final = 3
EXIT_DAMAGED: Final = 4
EXIT_INTERRUPTED: Final = 130


def main() -> None:
    """Run the command that was typed. No traceback reaches a user, unless LIUSHUI_DEBUG asks for it."""
    from liushui.errors import LiushuiError

    try:
        gc.disable()  # until a command begins: of what is read in before nothing is ever let go
        from liushui.cli.app import program  # inside: it takes a while, and may be interrupted

        program()(prog_name="liushui")
    except LiushuiError as error:
        _fail(f"error: {error}", EXIT_FAILED)
    except KeyboardInterrupt:
        _fail("interrupted: what was committed is kept, and the next run goes on from there", EXIT_INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_FAILED)
    except Exception as error:
        if os.environ.get("LIUSHUI_DEBUG"):
            raise
        kind = type(error).__name__
        _fail(f"error: {kind}: {error} (this is a fault of liushui: LIUSHUI_DEBUG=1 shows where)", EXIT_FAILED)


def _fail(line: str, code: int) -> None:
    sys.stderr.write(" ".join(line.split()) + "\n")
    sys.exit(code)
