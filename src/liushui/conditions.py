"""Conditions on flows, as data: a database, a list in memory and a simulated world answer them alike. Pure."""

from typing import Final, NamedTuple

from liushui.flow import Flow, side_of

DETAIL_PREFIX: Final = "detail:"
"""Before a key of Flow.detail, as the field of a term: `detail:hkus:business_type`."""

SIDE: Final = "side"
"""As the field of a term: the side that the money went to, `flow.side_of`, as text."""

Value = str | int | None


class Term(NamedTuple):
    """What stands in a field is one of `values`, or, as an `ending`, ends with one of them; `negated`, is none of them.
    None as a value: nothing stands there.

    `field` is a field of Flow that holds text, `SIDE`, or a key of Flow.detail after `DETAIL_PREFIX`.
    """

    field: str
    values: tuple[Value, ...]
    ending: bool = False
    negated: bool = False


AllOf = tuple[Term, ...]
AnyOf = tuple[AllOf, ...]
Where = tuple[AnyOf, ...]
"""All of its parts hold; a part holds where one of its alternatives does; an alternative where all its terms do."""

EVERYTHING: Final[Where] = ()


def one_of(field: str, *values: Value) -> AnyOf:
    """The part that holds where the field has one of these values."""
    return ((Term(field, values),),)


def matches(flow: Flow, where: Where) -> bool:
    """Whether a flow is one of those that are meant."""
    return all(
        any(all(satisfies(_value(flow, term.field), term) for term in every) for every in part) for part in where
    )


def satisfies(value: object, term: Term) -> bool:
    """Whether what stands in a term's field is what is meant."""
    if term.ending and isinstance(value, str):
        found = value.endswith(tuple(end for end in term.values if isinstance(end, str)))
    else:
        found = value in term.values
    return found is not term.negated


def _value(flow: Flow, field: str) -> object:
    if field == SIDE:
        return side_of(flow).value
    if field.startswith(DETAIL_PREFIX):
        return (flow.detail or {}).get(field.removeprefix(DETAIL_PREFIX))
    return getattr(flow, field)
