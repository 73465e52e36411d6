"""Cursors in the API: those of the read model, with their errors as refusals."""

from typing import TypeVar

from liushui.ledger.engine import Ledger
from liushui.ledger.read.cursors import EXPECTED, CursorError, read_cursor
from liushui.server.api.errors import invalid_parameter

T = TypeVar("T")


def position_of(ledger: Ledger, query: str, text: str, type_: type[T], parameter: str = "cursor") -> T:
    """The position of a cursor. Raises ProblemError where it was not given for this query and caller."""
    try:
        return read_cursor(ledger, query, text, type_)
    except CursorError as error:
        raise invalid_parameter(parameter, EXPECTED, text) from error
