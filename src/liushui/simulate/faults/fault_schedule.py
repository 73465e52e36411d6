"""Rulings that follow from a profile, a seed and the requests before: the same requests meet the same faults."""

from collections import OrderedDict
from hashlib import blake2b
from threading import Lock
from typing import Final

from liushui.http import Request
from liushui.simulate.faults.fault import Ruling, Sort
from liushui.simulate.faults.profiles import WHOLE, Profile, drawn
from liushui.simulate.random_draw import chance

EXPIRIES_APART: Final = 20
"""Requests from one expiry to the next at least. Clients that get a new token, and see it refused, may ask for another
at once, and so on without end."""
TRIES_HELD: Final = 10_000
"""Requests that went wrong last, and are remembered as such."""
FORMS_BITS: Final = 32
RETRY_AFTER_S: Final = (None, None, 1, 2, 5)


class SeededRulings:
    """What goes wrong, request by request, until there is no next one. Any threads.

    A fault that begins goes on for some requests, `profile.burst` at most, and after so many in a row, or so many tries
    of one request, one is answered as it should be: a patient client always gets through.
    """

    def __init__(self, profile: Profile, seed: int) -> None:
        self._profile, self._seed = profile, seed
        self._number = 0
        self._going_on: Sort | None = None
        self._left = 0
        """For how many requests more."""
        self._in_a_row = 0
        self._expired_at = -EXPIRIES_APART
        self._tries: OrderedDict[bytes, int] = OrderedDict()
        self._lock = Lock()

    def rule(self, request: Request) -> Ruling:
        """What happens to the next request."""
        with self._lock:
            number = self._number
            self._number += 1
            random = chance("faults", self._seed, number)
            begun = drawn(self._profile.wire, random.randrange(WHOLE))
            length = random.randrange(self._profile.burst)
            ruling = Ruling(
                delay=random.choice(self._profile.delays),
                form=random.getrandbits(FORMS_BITS),
                retry_after_s=random.choice(RETRY_AFTER_S),
            )
            if self._left:
                self._left -= 1
            else:
                self._going_on, self._left = begun, length if begun else 0
            return ruling._replace(sort=self._allowed(number, request))

    def _allowed(self, number: int, request: Request) -> Sort | None:
        """The fault that is going on, unless it has gone on for long enough."""
        sort, most = self._going_on, self._profile.burst
        key = _key_of(request)
        tries = self._tries.pop(key, 0)
        if sort is Sort.EXPIRED and number - self._expired_at < EXPIRIES_APART:
            sort = None
        if sort is None or self._in_a_row >= most or tries >= most:
            self._left = self._in_a_row = 0
            return None
        if sort is Sort.EXPIRED:
            self._expired_at = number
        self._in_a_row += 1
        self._tries[key] = tries + 1
        if len(self._tries) > TRIES_HELD:
            self._tries.popitem(last=False)
        return sort


def _key_of(request: Request) -> bytes:
    """What a request asks for, whenever it is made."""
    asked = "\n".join((request.method, request.path, request.query)).encode("utf-8", "surrogatepass")
    return blake2b(asked + b"\n" + request.body, digest_size=16).digest()
