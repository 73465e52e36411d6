"""Who may read what, how often, and with which clock: refusals come as the class of error that says what to do."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from liushui.errors import AuthError, ConfigError, RateLimited
from liushui.provider import Client, Page
from liushui.testing.conformance.checks import Checks
from liushui.testing.conformance.ends import ACCOUNT, FOREIGN, Ends, Memory, paged
from liushui.testing.conformance.ensure import ensure_same_rows

SLACK = timedelta(seconds=20)
"""What a test may take until a request that it has stamped arrives."""


class AccessChecks(Checks):
    """Credentials and clocks."""

    def test_each_field_of_a_credential_counts(self, ends: Ends) -> None:
        """Wrong altogether, wrong in one place, too long, and missing."""
        for field in self.provider.credentials:
            good = ends.credentials[field.name]
            for wrong in ("wrong", good[:-1] + ("0" if good[-1] != "0" else "1"), good + "0", "流水"):
                with pytest.raises((AuthError, ConfigError)):
                    ends.ask(_first_page(ends), credentials={field.name: wrong})
            with pytest.raises((AuthError, ConfigError)):
                ends.ask(_first_page(ends), credentials={field.name: ""})
        ends.ask(_first_page(ends))

    def test_a_wrong_credential_is_an_error_of_authentication(self, ends: Ends) -> None:
        for field in self.provider.credentials:
            with pytest.raises(AuthError):
                ends.ask(_first_page(ends), credentials={field.name: "wrong"})

    def test_a_request_without_credentials(self, memory: Memory) -> None:
        """Neither headers nor a query: it is an error of authentication, and no rows."""
        memory.ask(_first_page(memory.ends))
        request = memory.wire.exchanges[-1].request._replace(headers={}, query="")
        answer = self.provider.server.answer(request, memory.reader)
        with pytest.raises(AuthError):
            self.provider.codec.extract_rows(answer.body)

    def test_credentials_of_two_keys_mixed(self, memory: Memory) -> None:
        """A part of one key and a part of another are no key."""
        other = memory.reader.create_key(self.provider, ACCOUNT)
        if len(self.provider.credentials) == 1:
            pytest.skip("a credential has one part")
        for field in self.provider.credentials:
            mixed = {**memory.key.credentials, field.name: other.credentials[field.name]}
            with pytest.raises(AuthError):
                memory.ask(_first_page(memory.ends), key=memory.key._replace(credentials=mixed))

    def test_a_key_reads_its_own_accounts(self, memory: Memory) -> None:
        ends = memory.ends
        parts = []
        for account in (ACCOUNT, FOREIGN):
            key = memory.reader.create_key(self.provider, account)
            parts += memory.ask(lambda client: paged(client, ends.recent, ends.size_max), key=key)
        ensure_same_rows("rows of two accounts, each with a key of its own", parts, ends.within(ends.recent))
        stranger = memory.reader.create_key(self.provider, "somebody else's")
        rows = memory.ask(lambda client: paged(client, ends.recent, ends.size_max), key=stranger)
        ensure_same_rows("rows of an account that has none", rows, [])

    def test_a_key_that_was_revoked(self, memory: Memory) -> None:
        """Also while it is being read with: the next page is not given."""
        ends = memory.ends

        async def read(client: Client) -> None:
            await client.fetch_page(ends.recent, 10)
            memory.reader.revoke(memory.key)
            with pytest.raises(AuthError):
                await client.fetch_page(ends.recent, 10)

        memory.ask(read)
        with pytest.raises(AuthError):
            memory.ask(_first_page(ends))

    def test_a_key_that_has_expired(self, memory: Memory) -> None:
        """It is good until that instant."""
        ends = memory.ends
        memory.reader.add_key(memory.key._replace(expires_at=memory.clock() + SLACK))
        memory.ask(_first_page(ends))
        memory.reader.add_key(memory.key._replace(expires_at=memory.clock()))
        with pytest.raises(AuthError):
            memory.ask(_first_page(ends))

    def test_a_clock_that_is_off(self, memory: Memory) -> None:
        """As far as the rules tolerate it, and further, either way."""
        tolerance = self.provider.rules.clock_skew_max
        if tolerance is None:
            pytest.skip("requests carry no time")
        for side in (1, -1):
            memory.clock.ahead = side * (tolerance - SLACK)
            memory.ask(_first_page(memory.ends))
            memory.clock.ahead = side * (tolerance + SLACK)
            with pytest.raises(AuthError):
                memory.ask(_first_page(memory.ends))

    def test_a_client_outlives_its_session(self, memory: Memory) -> None:
        """What it was given to go on with ends some day: it asks for it again, and goes on."""
        if self.provider.rules.clock_skew_max is not None:
            pytest.skip("each request is signed anew")
        ends = memory.ends

        async def read(client: Client) -> None:
            for _ in range(3):
                rows = await paged(client, ends.recent, ends.size_max)
                ensure_same_rows("rows of a client that goes on", rows, ends.within(ends.recent))
                memory.clock.ahead += timedelta(days=1)

        memory.ask(read)


class RateChecks(Checks):
    """The documented rate is held against a key, and no longer than its window."""

    def test_the_rate_is_reached_and_recovered(self, memory: Memory) -> None:
        rate = self.provider.rules.rate
        memory.reader.admit_call = memory.limits.admit

        async def read(client: Client) -> None:
            for _ in range(2):
                for _ in range(rate.calls):
                    await client.fetch_page(memory.ends.recent, 1)
                with pytest.raises(RateLimited):
                    await client.fetch_page(memory.ends.recent, 1)
                memory.calls_clock.move(rate.per)

        memory.ask(read)

    def test_keys_do_not_share_it_and_a_key_may_be_without_one(self, memory: Memory) -> None:
        rate = self.provider.rules.rate
        memory.reader.admit_call = memory.limits.admit
        for _ in range(rate.calls):
            memory.ask(_first_page(memory.ends))
        memory.ask(_first_page(memory.ends), key=memory.reader.create_key(self.provider, ACCOUNT))
        free = memory.reader.create_key(self.provider, ACCOUNT, paced=False)
        for _ in range(rate.calls + 2):
            memory.ask(_first_page(memory.ends), key=free)


def _first_page(ends: Ends) -> Callable[[Client], Awaitable[Page]]:
    return lambda client: client.fetch_page(ends.recent, 1)
