"""Checks for one field of a row or a request. Each raises WireError naming the field, what was expected, what came."""

import re
from collections.abc import Mapping
from typing import TypeVar

from liushui.errors import WireError
from liushui.money import shown

T = TypeVar("T")
K = TypeVar("K")

_DIGITS = re.compile(r"[0-9]{1,18}", re.ASCII)


def whole_number(field: str, text: str, *, least: int, most: int) -> int:
    """Text of a whole number from `least` to `most`."""
    if _DIGITS.fullmatch(text) is None or not least <= int(text) <= most:
        raise WireError(field, f"expected a whole number from {least} to {most}, got {shown(text)}")
    return int(text)


def choice(field: str, value: K, choices: Mapping[K, T]) -> T:
    """What `value` stands for, of a closed list."""
    try:
        return choices[value]
    except (KeyError, TypeError):
        expected = " or ".join(str(known) for known in choices)
        raise WireError(field, f"expected {expected}, got {shown(value)}") from None
