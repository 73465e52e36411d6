"""What was typed, as a command takes it: text, and the words of a list, as they are; all else as typer converts it.

typer converts with pydantic, whose import alone takes a good part of the time in which a command answers; and nearly
every parameter is text, one word of a list, or left out.
"""

from enum import Enum
from typing import Any, Final, NamedTuple, get_args, get_origin

from typer.core import TyperArgument, TyperOption

_PARAMETERS: Final[tuple[Any, ...]] = (TyperArgument, TyperOption)
_usual: Final[Any] = getattr(TyperOption, "get_runtime_param", None)
"""typer's own: gives a parameter's conversion, and makes it first. None: a typer that goes about it in another way."""
_UNREAD: Final = object()


def spare_conversions() -> None:
    """Have typer make a parameter's conversion only where a value needs one. Doing it again changes nothing."""
    if _usual is not None:
        for parameter in _PARAMETERS:
            parameter.get_runtime_param = _get_runtime_param


def _get_runtime_param(parameter: object) -> "_Typed":
    return _Typed(parameter)


class _Typed(NamedTuple):
    """Stands where typer has its conversion of a parameter, and hands on to that what is not taken as it is."""

    parameter: Any

    def coerce(self, value: object, **asked: Any) -> object:  # noqa: ANN401 - typer's own: the parameter, the context
        """The value as the command takes it. Raises typer.BadParameter."""
        read = _read(self.parameter.type_descriptor.annotation, value)
        return _usual(self.parameter).coerce(value, **asked) if read is _UNREAD else read


def _read(annotation: Any, value: object) -> object:  # noqa: ANN401 - whatever a parameter is declared as
    """A value that needs no conversion, as the command takes it; _UNREAD where it needs one, or cannot be right."""
    if get_origin(annotation) is list:
        return _many(get_args(annotation)[0], value)
    if annotation is str or not isinstance(value, str):  # what was typed comes as text: all else is a default
        return value
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return next((member for member in annotation if value == member.value), _UNREAD)
    return _UNREAD


def _many(annotation: object, values: object) -> object:
    if values is None:
        return ()
    found = [_read(annotation, value) for value in values] if isinstance(values, list | tuple) else [_UNREAD]
    return _UNREAD if _UNREAD in found else found
