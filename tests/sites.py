"""The application of a ledger, for a test that sends it requests.

Creating one takes a tenth of a second, so the tests of a process share a few. Each test gives its own ledger to an
application that no other test is using.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from litestar import Litestar

from liushui.server.context import AppContext
from liushui.server.litestar_app import make_site, site_state

_FREE: Final[list[Litestar]] = []
"""Applications that no test uses now."""


@contextmanager
def site_of(app_context: AppContext) -> Iterator[Litestar]:
    """The application of a ledger, until the block ends."""
    if _FREE:
        site = _FREE.pop()
        site.state = site_state(app_context)
    else:
        site = make_site(app_context)
    try:
        yield site
    finally:
        _FREE.append(site)
