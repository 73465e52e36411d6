"""Conditions on flows, as data, so that a database, a list in memory and a simulated world evaluate them alike."""

from typing import Final, NamedTuple

from liushui.flow import Flow, side_of

DETAIL_PREFIX: Final = "detail:"
"""Prefix of a Term's field that names a key of Flow.detail: `detail:hkus:business_type`."""

SIDE: Final = "side"
"""A Term's field that stands for `flow.side_of`, as text."""

RECORD_ID: Final = "record_id"
"""A Term's field for the provider's own id of a record, if a codec uses it as the flow's identity: the `ref` of a flow
that equals its `identity`. Ledgers have an index of these."""

Value = str | int | None


class Term(NamedTuple):
    """A test of one field: its value is one of `values`. The value None matches a field that is not set.

    `field` is a text field of Flow, SIDE, RECORD_ID, or DETAIL_PREFIX with a key of Flow.detail. With `ending`, a text
    matches if it ends with one of the values. `negated` inverts the result.
    """

    field: str
    values: tuple[Value, ...]
    ending: bool = False
    negated: bool = False


AllOf = tuple[Term, ...]
AnyOf = tuple[AllOf, ...]
Where = tuple[AnyOf, ...]
"""A condition: AND of ORs of ANDs. The providers' filters need exactly three levels."""

EVERYTHING: Final[Where] = ()
"""The condition that every flow meets."""


def one_of(field: str, *values: Value) -> AnyOf:
    """Return the clause that a field has one of these values."""
    return ((Term(field, values),),)


def matches(flow: Flow, where: Where) -> bool:
    """Whether a flow meets a condition."""
    return all(
        any(all(satisfies(_value(flow, term.field), term) for term in all_of) for all_of in any_of) for any_of in where
    )


def satisfies(value: object, term: Term) -> bool:
    """Whether a field's value passes a term."""
    if term.ending and isinstance(value, str):
        found = value.endswith(tuple(end for end in term.values if isinstance(end, str)))
    else:
        found = value in term.values
    return found is not term.negated


def _value(flow: Flow, field: str) -> object:
    if field == SIDE:
        return side_of(flow).value
    if field == RECORD_ID:
        return flow.ref if flow.ref == flow.identity else None
    if field.startswith(DETAIL_PREFIX):
        return (flow.detail or {}).get(field.removeprefix(DETAIL_PREFIX))
    return getattr(flow, field)
