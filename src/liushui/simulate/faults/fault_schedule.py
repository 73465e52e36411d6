"""A fault schedule that a profile, a seed and the previous requests determine. Equal requests meet equal faults."""

from collections import OrderedDict
from hashlib import blake2b
from threading import Lock
from typing import Final

from liushui.http import Request
from liushui.simulate.faults.fault import Fault, FaultKind
from liushui.simulate.faults.profiles import RATE_BASE, Profile, choose
from liushui.simulate.random_draw import seeded_random

EXPIRIES_APART: Final = 20
"""The smallest number of requests between two expiries. Some clients request a new token as soon as one is refused;
with more frequent expiries they might never finish."""
TRIES_REMEMBERED: Final = 10_000
"""The number of failed requests whose attempts are remembered."""
VARIANT_BITS: Final = 32
RETRY_AFTER_S: Final = (None, None, 1, 2, 5)


class SeededSchedule:
    """A FaultSchedule without an end. Thread-safe.

    A fault lasts for some requests, at most `profile.burst`. After this number of consecutive failures, or of attempts
    of one request, the next request is answered correctly. A patient client therefore always succeeds.
    """

    def __init__(self, profile: Profile, seed: int) -> None:
        self._profile, self._seed = profile, seed
        self._number = 0
        self._current: FaultKind | None = None
        self._left = 0
        """The number of further requests that the current fault lasts."""
        self._in_a_row = 0
        self._expired_at = -EXPIRIES_APART
        self._tries: OrderedDict[bytes, int] = OrderedDict()
        self._lock = Lock()

    def next_fault(self, request: Request) -> Fault:
        """Return the fault of the next request."""
        with self._lock:
            number = self._number
            self._number += 1
            random = seeded_random("faults", self._seed, number)
            begins = choose(self._profile.wire, random.randrange(RATE_BASE))
            length = random.randrange(self._profile.burst)
            fault = Fault(
                delay=random.choice(self._profile.delays),
                variant=random.getrandbits(VARIANT_BITS),
                retry_after_s=random.choice(RETRY_AFTER_S),
            )
            if self._left:
                self._left -= 1
            else:
                self._current, self._left = begins, length if begins else 0
            return fault._replace(kind=self._allowed_kind(number, request))

    def _allowed_kind(self, number: int, request: Request) -> FaultKind | None:
        """Return the current fault. Returns None if there is none, or if it has lasted long enough."""
        kind, most = self._current, self._profile.burst
        key = _key_of(request)
        tries = self._tries.pop(key, 0)
        if kind is FaultKind.EXPIRED and number - self._expired_at < EXPIRIES_APART:
            kind = None
        if kind is None or self._in_a_row >= most or tries >= most:
            self._left = self._in_a_row = 0
            return None
        if kind is FaultKind.EXPIRED:
            self._expired_at = number
        self._in_a_row += 1
        self._tries[key] = tries + 1
        if len(self._tries) > TRIES_REMEMBERED:
            self._tries.popitem(last=False)
        return kind


def _key_of(request: Request) -> bytes:
    """Return the parts that identify a request. Headers are not included, because they contain the time and the
    signature."""
    target = "\n".join((request.method, request.path, request.query)).encode("utf-8", "surrogatepass")
    return blake2b(target + b"\n" + request.body, digest_size=16).digest()
