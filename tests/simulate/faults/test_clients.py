"""Each provider's client against each fault: the correct class of error, and finally all rows."""

from collections import Counter
from typing import Final

import httpx2
import pytest

from liushui.errors import AuthError, LiushuiError, RateLimited, Refused, Unavailable, WireError
from liushui.provider import Client, PageRequest, Provider
from liushui.providers import load_providers
from liushui.rules import Cursor, DayDocument, PageNumber, RangeOnly
from liushui.simulate.faults.fault import BROKEN, GARBAGE, Fault, FaultKind
from liushui.simulate.faults.profiles import PROFILES, Profile
from liushui.testing.conformance.both_ends import fetch_pages
from liushui.testing.transport import QueuedFaults
from tests.simulate.faults.testbed import OUTAGES, FaultyProvider, PatientClient, raised

EVERY: Final = pytest.mark.parametrize("provider", load_providers().values(), ids=list(load_providers()))

WITH_PAGES: Final = [
    one for one in load_providers().values() if not isinstance(one.rules.paging, RangeOnly | DayDocument)
]

ALWAYS: Final[dict[FaultKind, tuple[type[LiushuiError], ...]]] = {
    FaultKind.REFUSED: (Unavailable,),
    FaultKind.STALLED: (Unavailable,),
    FaultKind.RESET: (Unavailable,),
    FaultKind.TRUNCATED: (WireError,),
    FaultKind.GARBLED: (WireError,),
    FaultKind.HTML: (Unavailable,),
    FaultKind.BROKEN: (Unavailable,),
    FaultKind.MAINTENANCE: (Unavailable, WireError),
    FaultKind.TOO_MANY: (RateLimited,),
    FaultKind.BANNED: (RateLimited,),
}
"""The errors that each fault may raise. Maintenance is a WireError where the provider has no answer for it."""


def faulty_with(provider: Provider, *faults: Fault | FaultKind | None) -> tuple[FaultyProvider, QueuedFaults]:
    """A provider with these faults next, whose client already has the token that it may need."""
    schedule = QueuedFaults()
    faulty = FaultyProvider(provider, schedule=schedule)
    if needs_a_token(provider):
        schedule.then(None)
    schedule.then(*faults)
    return faulty, schedule


def needs_a_token(provider: Provider) -> bool:
    """Whether a client's first page takes two requests, the first of them for a token."""
    if isinstance(provider.rules.paging, DayDocument):
        return False  # both are signed
    faulty = FaultyProvider(provider, schedule=QueuedFaults())
    assert raised(faulty) is None
    return len(faulty.wire.outcomes) == 2


@EVERY
@pytest.mark.parametrize("kind", ALWAYS)
def test_a_fault_raises_an_error_of_its_class(provider: Provider, kind: FaultKind) -> None:
    variants = max(len(GARBAGE), len(BROKEN) + 2)
    for variant in (*range(variants), 10_007):
        if provider.name == "binance_usdm" and kind is FaultKind.GARBLED and GARBAGE[variant % len(GARBAGE)] == b"[]":
            continue  # its answer is a list of rows, and this is an empty one
        faulty, schedule = faulty_with(provider, Fault(kind, variant=variant))
        error = raised(faulty)
        assert isinstance(error, ALWAYS[kind]), f"variant {variant}: {error!r}"
        assert not schedule.left
        assert raised(faulty) is None


@EVERY
def test_a_fault_of_the_token_request_is_the_same(provider: Provider) -> None:
    for kind, expected in ALWAYS.items():
        faulty = FaultyProvider(provider, schedule=(schedule := QueuedFaults()))
        schedule.then(Fault(kind, variant=3))
        assert isinstance(raised(faulty), expected), kind


@EVERY
@pytest.mark.parametrize("kind", [FaultKind.TOO_MANY, FaultKind.BANNED])
def test_retry_after_is_read(provider: Provider, kind: FaultKind) -> None:
    faulty, _ = faulty_with(provider, Fault(kind, retry_after_s=7))
    error = raised(faulty)
    assert isinstance(error, RateLimited)
    assert error.retry_after_s == 7
    assert error.code is not None


@EVERY
def test_maintenance_in_the_providers_format_is_unavailable(provider: Provider) -> None:
    in_its_words = any(said.status == 200 for said in OUTAGES[provider.name])
    faulty, _ = faulty_with(provider, FaultKind.MAINTENANCE)
    assert isinstance(raised(faulty), Unavailable if in_its_words else WireError)


@EVERY
def test_an_expired_token_is_renewed_and_an_expired_key_refused(provider: Provider) -> None:
    faulty, schedule = faulty_with(provider, FaultKind.EXPIRED)
    error = raised(faulty)
    assert not schedule.left
    assert error is None if needs_a_token(provider) else isinstance(error, AuthError)
    assert raised(faulty) is None


@EVERY
def test_a_skewed_clock_matters_where_requests_carry_the_time(provider: Provider) -> None:
    faulty, _ = faulty_with(provider, FaultKind.SKEWED)
    assert isinstance(raised(faulty), AuthError) == (provider.rules.clock_skew_max is not None)
    assert raised(FaultyProvider(provider, Profile(skew=PROFILES["skew"].skew), schedule=QueuedFaults())) is None


@pytest.mark.parametrize("provider", WITH_PAGES, ids=lambda provider: provider.name)
def test_a_repeated_page_replaces_one_page(provider: Provider) -> None:
    faulty, schedule = faulty_with(provider, None, None, FaultKind.REPEATED)
    found = faulty.run(lambda client: fetch_pages(PatientClient(client, faulty), faulty.whole, 30))
    assert not schedule.left
    rows = [list(page.rows) for page in found]
    assert rows[2] == rows[1] != rows[0]
    once = [page for number, page in enumerate(rows) if number != 2]
    missing = Counter(faulty.truth().rows) - Counter(row for page in once for row in page)
    assert missing.total() == (30 if isinstance(provider.rules.paging, PageNumber) else 0)


@EVERY
def test_an_expired_cursor_is_refused(provider: Provider) -> None:
    faulty, schedule = faulty_with(provider, None, FaultKind.CURSOR_LOST)
    if not isinstance(provider.rules.paging, Cursor):
        faulty.run(lambda client: client.fetch_page(PageRequest(faulty.whole, 30)))
        assert raised(faulty) is None
        return
    with pytest.raises(Refused):
        faulty.run(lambda client: fetch_pages(client, faulty.whole, 30))
    assert not schedule.left


@EVERY
def test_a_rate_below_the_documented_one_is_enforced(provider: Provider) -> None:
    rate = provider.rules.rate
    faulty = FaultyProvider(provider, Profile(rate_percent=50), schedule=QueuedFaults())

    async def until_refused(client: Client) -> int:
        for number in range(rate.calls + 1):
            try:
                await client.fetch_page(PageRequest(faulty.whole, 1))
            except RateLimited:
                return number
        raise AssertionError("every call was let in")

    assert faulty.run(until_refused) == rate.calls // 2


# ---------------------------------------------------------------- all rows in the end


@EVERY
@pytest.mark.parametrize("profile", PROFILES)
def test_a_patient_client_gets_every_row(provider: Provider, profile: str) -> None:
    crowded, size_max = PROFILES[profile].crowds, provider.rules.paging.size_max
    for seed in (1,) if crowded else (1, 2, 3):
        faulty = FaultyProvider(provider, profile, seed=seed)
        rows = faulty.read(size_max if crowded else 40)
        assert Counter(rows) == Counter(faulty.truth().rows)


@EVERY
def test_an_error_shows_no_secret(provider: Provider) -> None:
    secrets = [text for text in FaultyProvider(provider).account.credentials.values() if len(text) > 16]
    for kind in ALWAYS:
        faulty, _ = faulty_with(provider, Fault(kind, variant=5))
        error = raised(faulty)
        assert isinstance(error, LiushuiError)
        assert not any(secret in str(error) for secret in secrets)


def test_the_transport_raises_httpx_errors() -> None:
    provider = load_providers()["longbridge"]
    seen = {}
    for kind in (FaultKind.REFUSED, FaultKind.RESET, FaultKind.STALLED):
        faulty, _ = faulty_with(provider, Fault(kind, variant=10))
        error = raised(faulty)
        assert error is not None
        seen[kind] = type(error.__cause__)
    assert seen == {
        FaultKind.REFUSED: httpx2.ConnectError,
        FaultKind.RESET: httpx2.ReadError,
        FaultKind.STALLED: httpx2.ReadTimeout,
    }
