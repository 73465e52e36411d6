"""Every provider's own client against every fault: the right class of error each time, and in the end all rows."""

from collections import Counter
from typing import Final

import httpx2
import pytest

from liushui.errors import AuthError, LiushuiError, RateLimited, Refused, Unavailable, WireError
from liushui.provider import Client, Provider
from liushui.providers import load_providers
from liushui.rules import Cursor, PageNumber, RangeOnly
from liushui.simulate.faults.fault import Ruling, Sort
from liushui.simulate.faults.profiles import PROFILES, Profile
from liushui.simulate.faults.transport_faults import BROKEN, GARBAGE
from liushui.testing.conformance.ends import pages
from liushui.testing.transport import QueuedRulings
from tests.simulate.faults.stage import OUTAGES, Stage, raised

EVERY: Final = pytest.mark.parametrize("provider", load_providers().values(), ids=list(load_providers()))

WITH_PAGES: Final = [one for one in load_providers().values() if not isinstance(one.rules.paging, RangeOnly)]

ALWAYS: Final[dict[Sort, tuple[type[LiushuiError], ...]]] = {
    Sort.REFUSED: (Unavailable,),
    Sort.STALLED: (Unavailable,),
    Sort.RESET: (Unavailable,),
    Sort.TRUNCATED: (WireError,),
    Sort.GARBLED: (WireError,),
    Sort.HTML: (Unavailable,),
    Sort.BROKEN: (Unavailable,),
    Sort.MAINTENANCE: (Unavailable, WireError),
    Sort.TOO_MANY: (RateLimited,),
    Sort.BANNED: (RateLimited,),
}
"""What becomes of a fault whatever the provider. Maintenance is a WireError where it is told in no words of its own."""


def staged(provider: Provider, *faults: Ruling | Sort | None) -> tuple[Stage, QueuedRulings]:
    """A stage whose client has its token, if it needs one, and for whom these faults are next."""
    rulings = QueuedRulings()
    stage = Stage(provider, rulings=rulings)
    if takes_a_token(provider):
        rulings.then(None)
    rulings.then(*faults)
    return stage, rulings


def takes_a_token(provider: Provider) -> bool:
    """Whether a page costs its first caller two requests."""
    stage = Stage(provider, rulings=QueuedRulings())
    assert raised(stage) is None
    return len(stage.wire.outcomes) == 2


@EVERY
@pytest.mark.parametrize("sort", ALWAYS)
def test_a_fault_becomes_an_error_of_its_class(provider: Provider, sort: Sort) -> None:
    forms = max(len(GARBAGE), len(BROKEN) + 2)
    for form in (*range(forms), 10_007):
        stage, rulings = staged(provider, Ruling(sort, form=form))
        error = raised(stage)
        assert isinstance(error, ALWAYS[sort]), f"form {form}: {error!r}"
        assert not rulings.left
        assert raised(stage) is None


@EVERY
def test_a_fault_before_a_token_is_there_is_the_same(provider: Provider) -> None:
    for sort, expected in ALWAYS.items():
        stage = Stage(provider, rulings=(rulings := QueuedRulings()))
        rulings.then(Ruling(sort, form=3))
        assert isinstance(raised(stage), expected), sort


@EVERY
@pytest.mark.parametrize("sort", [Sort.TOO_MANY, Sort.BANNED])
def test_how_long_to_wait_is_what_the_provider_says(provider: Provider, sort: Sort) -> None:
    stage, _ = staged(provider, Ruling(sort, retry_after_s=7))
    error = raised(stage)
    assert isinstance(error, RateLimited)
    assert error.retry_after_s == 7
    assert error.code is not None


@EVERY
def test_maintenance_in_the_providers_own_words_is_unavailable(provider: Provider) -> None:
    in_its_words = any(said.status == 200 for said in OUTAGES[provider.name])
    stage, _ = staged(provider, Sort.MAINTENANCE)
    assert isinstance(raised(stage), Unavailable if in_its_words else WireError)


@EVERY
def test_a_key_or_token_that_expired_is_refused_or_made_new(provider: Provider) -> None:
    """Whoever has a token asks for another; whoever has a key alone has to be asked."""
    stage, rulings = staged(provider, Sort.EXPIRED)
    error = raised(stage)
    assert not rulings.left
    assert error is None if takes_a_token(provider) else isinstance(error, AuthError)
    assert raised(stage) is None


@EVERY
def test_a_clock_that_is_off_matters_where_requests_carry_the_time(provider: Provider) -> None:
    stage, _ = staged(provider, Sort.SKEWED)
    assert isinstance(raised(stage), AuthError) == (provider.rules.clock_skew_max is not None)
    assert raised(Stage(provider, Profile(skew=PROFILES["skew"].skew), rulings=QueuedRulings())) is None


@pytest.mark.parametrize("provider", WITH_PAGES, ids=lambda provider: provider.name)
def test_the_page_before_comes_again(provider: Provider) -> None:
    stage, rulings = staged(provider, None, None, Sort.REPEATED)
    found = stage.ask(lambda client: pages(client, stage.whole, 30))
    assert not rulings.left
    rows = [list(page.rows) for page in found]
    assert rows[2] == rows[1] != rows[0]
    once = [page for number, page in enumerate(rows) if number != 2]
    missing = Counter(stage.truth().rows) - Counter(row for page in once for row in page)
    assert missing.total() == (30 if isinstance(provider.rules.paging, PageNumber) else 0)


@EVERY
def test_a_cursor_that_expired_is_refused(provider: Provider) -> None:
    stage, rulings = staged(provider, None, Sort.CURSOR_LOST)
    if not isinstance(provider.rules.paging, Cursor):
        stage.ask(lambda client: client.fetch_page(stage.whole, 30))
        assert raised(stage) is None
        return
    with pytest.raises(Refused):
        stage.ask(lambda client: pages(client, stage.whole, 30))
    assert not rulings.left


@EVERY
def test_a_lower_rate_than_the_documented_one_is_held(provider: Provider) -> None:
    rate = provider.rules.rate
    stage = Stage(provider, Profile(rate_percent=50), rulings=QueuedRulings())

    async def until_refused(client: Client) -> int:
        for number in range(rate.calls + 1):
            try:
                await client.fetch_page(stage.whole, 1)
            except RateLimited:
                return number
        raise AssertionError("every call was let in")

    assert stage.ask(until_refused) == rate.calls // 2


# ---------------------------------------------------------------- every row, in the end


@EVERY
@pytest.mark.parametrize("profile", PROFILES)
def test_a_patient_reader_has_every_row(provider: Provider, profile: str) -> None:
    """Whatever a profile brings, each page comes in the end, and a whole read is what was there."""
    crowded, size_max = PROFILES[profile].crowds, provider.rules.paging.size_max
    for seed in (1,) if crowded else (1, 2, 3):
        stage = Stage(provider, profile, seed=seed)
        rows = stage.read(size_max if crowded else 40)
        assert Counter(rows) == Counter(stage.truth().rows)


@EVERY
def test_an_error_says_no_secret(provider: Provider) -> None:
    secrets = [text for text in Stage(provider).account.credentials.values() if len(text) > 16]
    for sort in ALWAYS:
        stage, _ = staged(provider, Ruling(sort, form=5))
        error = raised(stage)
        assert isinstance(error, LiushuiError)
        assert not any(secret in str(error) for secret in secrets)


def test_a_transport_fails_as_a_network_does() -> None:
    """What other clients of httpx2 see."""
    provider = load_providers()["longbridge"]
    seen = {}
    for sort in (Sort.REFUSED, Sort.RESET, Sort.STALLED):
        stage, _ = staged(provider, Ruling(sort, form=10))
        error = raised(stage)
        assert error is not None
        seen[sort] = type(error.__cause__)
    assert seen == {
        Sort.REFUSED: httpx2.ConnectError,
        Sort.RESET: httpx2.ReadError,
        Sort.STALLED: httpx2.ReadTimeout,
    }
