"""Odd texts and broken bytes, from a seeded random.Random: the same seed gives the same ones."""

import json
from collections.abc import Sequence
from random import Random
from typing import Final

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
MARKS: Final = (*(b'"{}[]:,\\\x00\xff-9\n'[at : at + 1] for at in range(13)), b"\xed\xa0\x80", b"null")


def odd_text(random: Random) -> str:
    """Text that a parameter hardly expects, and now and then a number that it does."""
    sort = random.randrange(10)
    if sort == 0:
        return "".join(chr(random.choice((random.randrange(32, 127), random.randrange(160, 0xD800)))) for _ in range(8))
    if sort <= 2:
        return str(random.randint(-(10 ** random.randrange(1, 20)), 10 ** random.randrange(1, 20)))
    return random.choice(ODD_TEXTS)


def broken_bytes(random: Random, whole: bytes) -> bytes:
    """Bytes with a few places of them changed, left out, doubled, or cut off."""
    broken = bytearray(whole)
    for _ in range(random.randrange(1, 4)):
        at = random.randrange(len(broken) + 1)
        match random.randrange(5):
            case 0:
                broken[at : at + 1] = bytes([random.randrange(256)])
            case 1:
                broken[at:at] = random.choice(MARKS)
            case 2:
                del broken[at : at + random.randrange(1, 9)]
            case 3:
                broken[at:at] = broken[max(0, at - random.randrange(1, 30)) : at]
            case _:
                del broken[at + random.randrange(1 + len(broken) - at) :]
    return bytes(broken)


def broken_text(random: Random, whole: str) -> str:
    """Text broken as `broken_bytes` breaks bytes: as a server would see it, each byte a character."""
    return broken_bytes(random, whole.encode()).decode("latin-1")


def odd_json(random: Random, body: bytes, names: Sequence[str]) -> bytes:
    """A JSON object with some of its values odd ones, or with names that were not there."""
    fields = json.loads(body, parse_float=str)
    for _ in range(random.randrange(1, 4)):
        fields[random.choice(names)] = random.choice(ODD_JSON)
    return json.dumps(fields, ensure_ascii=random.choice((True, False))).encode()
