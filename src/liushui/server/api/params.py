"""Reading what is asked: query parameters and bodies as structs, strictly, each fault with its name."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from types import NoneType, UnionType
from typing import Annotated, Any, Final, TypeVar, Union, get_args, get_origin

import msgspec
from litestar import Request
from litestar.enums import RequestEncodingType

from liushui.client.models import Fault
from liushui.errors import short_repr
from liushui.server.api.errors import Refusal, fault_of, malformed

S = TypeVar("S", bound=msgspec.Struct)

BODY_MAX: Final = 1024 * 1024
QUERY: Final = "query"
BODY: Final = "body"
"""Under these names a route says of which struct its parameters and its body are."""
IN_LINES: Final = "lines"
"""Of a route: it takes its body, and gives its answer, as lines too."""
STREAM: Final = "stream"
"""Of a route: its answer is a stream of server-sent events."""

_INSTANT = re.compile(r"^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)$", re.ASCII)
_EXAMPLE: Final = "an ISO 8601 time with its offset such as 2024-01-31T09:30:00Z (in a URL + is %2B)"


def query_of(request: Request[Any, Any, Any], type_: type[S]) -> S:
    """The query parameters. Raises a Refusal that names each that is unknown, stands twice or does not fit."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(type_)}
    faults: list[Fault] = []
    values: dict[str, object] = {}
    for name, texts in request.query_params.dict().items():
        field = fields.get(name)
        if field is None:
            known = ", ".join(fields) or "none"
            faults.append(
                Fault(parameter=name, expected=f"a parameter that is known here: {known}", got=short_repr(name))
            )
        elif is_many(field.type):
            values[field.name] = [_read(name, text, _item(field.type), faults) for text in texts]
        elif len(texts) > 1:
            faults.append(Fault(parameter=name, expected="one value", got=f"{len(texts)} of them"))
        else:
            values[field.name] = _read(name, texts[0], plain_type(field.type), faults)
    faults += [
        Fault(parameter=name, expected="a value", got="nothing")
        for name, field in fields.items()
        if field.required and field.name not in values and not any(fault.parameter == name for fault in faults)
    ]
    if faults:
        raise malformed(faults)
    return type_(**values)


def no_query(request: Request[Any, Any, Any]) -> None:
    """Where no parameter is known."""
    query_of(request, Nothing)


class Nothing(msgspec.Struct, frozen=True):
    """No parameters."""


def body_of(body: bytes, request: Request[Any, Any, Any], type_: type[S]) -> S:
    """A body of JSON. Raises a Refusal that names the place."""
    check_media_type(request, [RequestEncodingType.JSON.value])
    if len(body) > BODY_MAX:
        raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"body: expected at most {BODY_MAX} bytes, got {len(body)}")
    try:
        return msgspec.json.decode(body, type=type_)
    except msgspec.MsgspecError as error:
        raise malformed([fault_of(error, body)]) from error
    except UnicodeDecodeError as error:
        raise malformed([Fault(pointer="", expected="UTF-8", got=short_repr(body[:40]))]) from error


def check_media_type(request: Request[Any, Any, Any], known: Sequence[str]) -> str:
    """The type of a body, where it is one of those known."""
    said = request.headers.get("content-type", "")
    found = said.partition(";")[0].strip().lower()
    if found not in known:
        expected = " or ".join(known)
        fault = Fault(parameter="Content-Type", expected=expected, got=short_repr(said) if said else "nothing")
        raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Content-Type: expected {expected}", [fault])
    return found


def is_many(type_: Any) -> bool:  # noqa: ANN401 - an annotation
    """Whether a parameter may stand several times."""
    return get_origin(bare_type(plain_type(type_))) in (list, tuple)


def _item(type_: Any) -> Any:  # noqa: ANN401 - an annotation
    return get_args(bare_type(plain_type(type_)))[0]


def bare_type(type_: Any) -> Any:  # noqa: ANN401 - an annotation
    """A type without what is said of it."""
    return get_args(type_)[0] if get_origin(type_) is Annotated else type_


def plain_type(type_: Any) -> Any:  # noqa: ANN401 - an annotation
    """A type without None, which no parameter can be."""
    if get_origin(type_) in (Union, UnionType):
        return next(one for one in get_args(type_) if one is not NoneType)
    return type_


def _read(name: str, text: str, type_: Any, faults: list[Fault]) -> object:  # noqa: ANN401 - an annotation
    """One value. What does not fit becomes a fault."""
    bare = bare_type(type_)
    try:
        if bare is datetime:
            return _instant(text)
        if bare is bool and text not in ("true", "false"):
            raise ValueError("true or false")
        if bare is int and not (text.isascii() and text.removeprefix("-").isdecimal()):
            raise ValueError("a whole number")
        return msgspec.convert(text, type_, strict=False)
    except msgspec.ValidationError as error:
        expected = str(error).removeprefix("Expected ").replace("`", "").partition(", got ")[0]
        if isinstance(bare, type) and issubclass(bare, str) and hasattr(bare, "__members__"):
            expected = f"one of {', '.join(bare.__members__[member].value for member in bare.__members__)}"
        faults.append(Fault(parameter=name, expected=expected, got=short_repr(text)))
    except ValueError as error:
        faults.append(Fault(parameter=name, expected=str(error), got=short_repr(text)))
    return None


def _instant(text: str) -> datetime:
    if not _INSTANT.match(text):
        raise ValueError(_EXAMPLE)
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{_EXAMPLE}, of the years 1 to 9999") from error
