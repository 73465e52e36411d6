"""The steps of the proof, of syncs and of commits: one of them left out, each counted where it decides something."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from typing import Final
from unittest.mock import patch

from liushui.ledger import proofs as of_commits
from liushui.sync import proofs as of_syncs

STEPS: Final = tuple(step.name for module in (of_syncs, of_commits) for step in fields(module.Proofs))
"""Every step, by name."""


class _Counted:
    """Says of each step that is looked at whether it is taken, and tells of it."""

    def __init__(self, without: str | None, decides: Callable[[str], None]) -> None:
        self._without, self._decides = without, decides

    def __getattr__(self, step: str) -> bool:
        self._decides(step)
        return step != self._without


def _nobody(_step: str) -> None:
    return None


@contextmanager
def proving(*, without: str | None = None, decides: Callable[[str], None] = _nobody) -> Iterator[None]:
    """Inside, every step is taken but that one; `decides` is told of each, every time that leaving it out may change
    something. Raises ValueError where there is no such step."""
    if without is not None and without not in STEPS:
        raise ValueError(f"without: expected one of {', '.join(STEPS)}, got {without}")
    with ExitStack() as stack:
        for module in (of_syncs, of_commits):
            stack.enter_context(patch.object(module, "PROOFS", _Counted(without, decides)))
        yield
