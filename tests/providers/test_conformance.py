"""The conformance suite over every installed provider: a new folder needs no new test."""

from pathlib import Path

from liushui.providers import load_providers
from liushui.testing.conformance import ProviderConformance
from tests.cli import commands


def run_here(*words: str, ledger: Path, given: str = "") -> str:
    """Run a command in this process. The suite of a toy provider runs the same commands in processes of their own."""
    done = commands.run(ledger, *words, stdin=given)
    assert done.returncode == 0, done.stderr
    return done.stdout


globals().update(
    {
        f"Test_{name}": type(
            f"Test_{name}", (ProviderConformance,), {"provider": provider, "run": staticmethod(run_here)}
        )
        for name, provider in load_providers().items()
    }
)
