"""Definitions that the resources share: the types of their values, their base, and the error document."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Protocol, Self

import msgspec
from msgspec import Meta

Amount = Annotated[
    str,
    Meta(
        pattern=r"^-?(0|[1-9][0-9]{0,99})(\.[0-9]{1,98})?$",
        max_length=100,
        description="Exact decimal text; never a JSON number.",
        examples=["-248.60"],
    ),
]
Sum = Annotated[
    str,
    Meta(
        pattern=r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?$",
        description="Exact decimal text. A sum may have more digits than an amount.",
        examples=["-1248.60"],
    ),
]
Instant = Annotated[datetime, Meta(tz=True)]
Day = Annotated[str, Meta(description="A date in the account's own zone.", examples=["2024-01-31"])]
Count = Annotated[int, Meta(ge=0)]
SearchText = Annotated[str, Meta(min_length=1, max_length=200)]


class Order(StrEnum):
    """The end of a range that comes first."""

    NEWEST = "newest"
    OLDEST = "oldest"


class Record(Protocol):
    """A named tuple."""

    def _asdict(self) -> dict[str, Any]: ...


class Model(msgspec.Struct, kw_only=True):
    """Base of the resources."""

    @classmethod
    def of(cls, record: Record, **fields: object) -> Self:
        """Return the resource with those fields of a record that have the same names. `fields` replace or extend
        them."""
        return msgspec.convert(record._asdict() | fields, cls)


class Fault(Model, omit_defaults=True):
    """One error in a request: its position, what was expected there, and what was sent."""

    expected: str
    got: str
    parameter: str | None = None
    """The query parameter or header, by name."""
    pointer: str | None = None
    """The place in the body, as a JSON pointer. In a body of JSON lines it begins with the line number, from 0."""


class Problem(Model, omit_defaults=True):
    """Why a request failed, as in RFC 9457."""

    title: str
    status: int
    type: str = "about:blank"
    detail: str | None = None
    errors: list[Fault] = []
