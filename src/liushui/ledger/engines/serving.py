"""Bare connections for the serving path: each statement is a transaction of its own, and none of them can write."""

from collections.abc import Hashable, Sequence
from typing import Any, Protocol


class Cursor(Protocol):
    """What a statement gives."""

    def fetchone(self) -> Any: ...  # noqa: ANN401 - a row has the columns that its statement names
    def fetchall(self) -> list[Any]: ...


class Bare(Protocol):
    """A connection of the driver's. One thread's at a time."""

    def execute(self, statement: str, values: Sequence[object] = ..., /) -> Cursor:
        """Run a statement with `?` in the places of its values."""
        ...

    def close(self) -> None:
        """Let it go."""
        ...


State = Hashable | None
"""What a connection knows is true for as long as two of these are equal. None: nobody can tell, it is to be asked."""
