"""Rows of the first draft's wire for tests: those of the current generation, with their time as an integer."""

from typing import Final

from hypothesis import strategies as st

from tests.providers.longbridge import rows as current
from tests.providers.longbridge.rows import Row

TIME: Final = "business_time"


def row(**changes: object) -> Row:
    """A purchase, with some of its fields changed or left out."""
    return current.row(**{TIME: 1621507957, **changes})


def drafted(values: Row) -> Row:
    """A row of the current generation, as this one has it."""
    return values | {TIME: int(values[TIME])}


rows: Final[st.SearchStrategy[Row]] = current.rows.map(drafted)
"""Any row that the document allows, its fields in the document's order. A name is never empty."""
