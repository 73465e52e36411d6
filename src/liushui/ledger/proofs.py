"""The steps by which a commit is sound, by name. A test may leave one out, to see what it holds; nothing else does."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Proofs:
    """Which steps are taken: all of them."""

    one_transaction: bool = True
    """All that a commit changes is kept, or nothing of it. Only SQLite can do without."""
    equal_rows_are_numbered: bool = True
    """Rows of one identity in one slice are as many flows."""
    ended_versions_become_history: bool = True
    """A version that a newer one replaces, or that is gone, is still there."""
    totals_in_the_same_commit: bool = True
    """Day totals move with the flows that they are made of."""


PROOFS = Proofs()
"""What commits go by."""
