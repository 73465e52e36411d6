"""Odd texts, broken bytes and JSON objects with odd fields, from a seeded random.Random or in sequence."""

import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from random import Random
from typing import Final

import msgspec

from liushui.simulate.faults.json_rewriting import fields_of, with_field

_NUMBERS: Final = "0 -0 1 -1 00 +1 1.5 1e9 1E400 0x10 1_000 1,000 NaN Infinity null true None 1５ ٣ ² 253402300800"
_SYNTAX: Final = "' \" % %% %00 %ff %2525 * ; {} [] [[[[ ../../etc/passwd <script> ${jndi:x} AAPL.US in out USD"
ODD_TEXTS: Final = (
    *(
        *_NUMBERS.split(),
        *_SYNTAX.split(),
        "",
        " ",
        " 1",
        "1 ",
        "1\n",
        "\x00",
        "\x7f",
        "\u202e",
        "\ufeff",
        "é",
        "e\u0301",
        "😀",
    ),
    *("9" * 30, "-" + "9" * 400, str(2**31), str(2**63), str(2**64), "253402300799", "-62135596801"),
    *("' OR '1'='1", "1; DROP TABLE flows; --", '{"a":{"b":[1,null,"x"]}}', '{"$gt":""}', "a\r\nx-evil: 1"),
    *("A" * 5_000, "流" * 1_000, "[" * 3_000),
)
ODD_JSON: Final[Sequence[object]] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, 10**40, -(10**40), "", "0", "1", "-1", "x", "流水", "\u0000"),
    *([], {}, [1], [None], {"a": 1}, {"a": {"b": [1, None, "x"]}}, [[[[[[]]]]]], "A" * 2_000, ["x"] * 500),
)
INSERTED_BYTES: Final = (*(b'"{}[]:,\\\x00\xff-9\n'[at : at + 1] for at in range(13)), b"\xed\xa0\x80", b"null")

MISFITS: Final = (None, b"null", b"true", b'"liushui"', b"{}")
"""Values that are not a list, an object or a code. None: the field is missing."""

_text = msgspec.json.Decoder(str)


# ---------------------------------------------------------------- texts and bytes


def odd_text(random: Random) -> str:
    """Return an unusual text for a parameter, and sometimes a valid number."""
    kind = random.randrange(10)
    if kind == 0:
        return "".join(chr(random.choice((random.randrange(32, 127), random.randrange(160, 0xD800)))) for _ in range(8))
    if kind <= 2:
        return str(random.randint(-(10 ** random.randrange(1, 20)), 10 ** random.randrange(1, 20)))
    return random.choice(ODD_TEXTS)


def break_bytes(random: Random, intact: bytes) -> bytes:
    """Return the bytes with one to three changes. A change replaces, inserts, removes, doubles or cuts off some of
    them."""
    broken = bytearray(intact)
    for _ in range(random.randrange(1, 4)):
        at = random.randrange(len(broken) + 1)
        match random.randrange(5):
            case 0:
                broken[at : at + 1] = bytes([random.randrange(256)])
            case 1:
                broken[at:at] = random.choice(INSERTED_BYTES)
            case 2:
                del broken[at : at + random.randrange(1, 9)]
            case 3:
                broken[at:at] = broken[max(0, at - random.randrange(1, 30)) : at]
            case _:
                del broken[at + random.randrange(1 + len(broken) - at) :]
    return bytes(broken)


def break_text(random: Random, intact: str) -> str:
    """Return the text broken as by `break_bytes`, decoded as a server would decode it: each byte is a character."""
    return break_bytes(random, intact.encode()).decode("latin-1")


def odd_json(random: Random, body: bytes, names: Sequence[str]) -> bytes:
    """A JSON object in which some fields have odd values. Some of these fields may be new."""
    fields = json.loads(body, parse_float=str)
    for _ in range(random.randrange(1, 4)):
        fields[random.choice(names)] = random.choice(ODD_JSON)
    return json.dumps(fields, ensure_ascii=random.choice((True, False))).encode()


# ---------------------------------------------------------------- JSON objects, field by field


def with_unknown_field(document: bytes) -> bytes:
    """Return the object with one more field. Every other byte stays the same."""
    return document.rstrip()[:-1] + b',"liushui_unheard_of":{"list":[1,null,"}"]}}'


def with_misfits(document: bytes) -> Iterator[bytes]:
    """Yield the object once for each field and misfit, at any depth of objects. Lists are not changed."""
    for name, value in fields_of(document).items():
        for misfit in MISFITS:
            yield with_field(document, name, misfit)
        if value.startswith(b"{"):
            for inner in with_misfits(value):
                yield with_field(document, name, inner)


@lru_cache(maxsize=10_000)
def parameter_value(row: bytes, name: str) -> str:
    """Return the value of a row's field in the form of a parameter. Empty if the field is missing or null."""
    value = fields_of(row).get(name, b"null")
    if value.startswith(b'"'):
        return _text.decode(value)
    return "" if value == b"null" else value.decode()
