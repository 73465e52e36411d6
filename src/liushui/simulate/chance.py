"""Chance that comes out the same on any machine, in any process: seeded from text, drawn as integers, never a float."""

from hashlib import blake2b
from random import Random


def chance(*seed: object) -> Random:
    """A generator seeded from the words of `seed` alone. `hash()` would differ from process to process."""
    digest = blake2b("/".join(map(str, seed)).encode(), digest_size=16).digest()
    return Random(int.from_bytes(digest, "big"))  # noqa: S311 # it has to repeat itself; it keeps no secret of value
