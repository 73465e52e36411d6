"""Credentials, clocks and rates: each refusal must raise the error class that tells the caller how to react."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import httpx2
import pytest

from liushui.errors import AuthError, ConfigError, RateLimited, WireError
from liushui.provider import Client, CredentialForm, Page, PageRequest
from liushui.testing.conformance.assertions import ensure_same_rows
from liushui.testing.conformance.both_ends import ACCOUNT, FOREIGN, Checks, Endpoint, MemoryPair, fetch_rows

SLACK = timedelta(seconds=20)
"""The longest time between stamping a request and its arrival at the server."""


class AccessChecks(Checks):
    """Credentials and clocks."""

    def test_each_credential_field_is_checked(self, endpoint: Endpoint) -> None:
        """The values are another value, one wrong character, one character too many, and no value."""
        for field in self.provider.credentials:
            good = endpoint.credentials[field.name]
            longer = good + "0" if field.form is CredentialForm.TEXT else good[len("-----BEGIN") :]
            for wrong in ("wrong", good[:-1] + ("0" if good[-1] != "0" else "1"), longer, "流水"):
                with pytest.raises((AuthError, ConfigError)):
                    endpoint.run(_first_page(endpoint), credentials={field.name: wrong})
            with pytest.raises((AuthError, ConfigError)):
                endpoint.run(_first_page(endpoint), credentials={field.name: ""})
        endpoint.run(_first_page(endpoint))

    def test_a_wrong_credential_is_an_authentication_error(self, endpoint: Endpoint) -> None:
        """If a key must have a format, an invalid format is found before a call."""
        for field in self.provider.credentials:
            with pytest.raises(AuthError if field.form is CredentialForm.TEXT else ConfigError):
                endpoint.run(_first_page(endpoint), credentials={field.name: "wrong"})

    def test_a_request_without_credentials(self, memory: MemoryPair) -> None:
        """Without headers and query, the answer is an authentication error."""
        memory.run(_first_page(memory.endpoint))
        request = memory.transport.exchanges[-1].request._replace(headers={}, query="")
        status, headers, body = self.provider.server.answer(request, memory.reader)
        # The client decides, because some services report it only by the HTTP status.
        memory.transport.answer_instead = lambda sent: httpx2.Response(
            status, headers=headers, content=body, request=sent
        )
        with pytest.raises(AuthError):
            memory.run(_first_page(memory.endpoint))

    def test_mixed_credentials_of_two_keys_are_refused(self, memory: MemoryPair) -> None:
        """The server refuses it. If the public key is not the key of the answering service, the client does."""
        other = memory.reader.create_key(self.provider, ACCOUNT)
        if len(self.provider.credentials) == 1:
            pytest.skip("a credential has one part")
        for field in self.provider.credentials:
            mixed = {**memory.key.credentials, field.name: other.credentials[field.name]}
            with pytest.raises(WireError if field.form is CredentialForm.PUBLIC_KEY else AuthError):
                memory.run(_first_page(memory.endpoint), key=memory.key._replace(credentials=mixed))

    def test_a_key_reads_only_its_own_accounts(self, memory: MemoryPair) -> None:
        endpoint = memory.endpoint
        parts = []
        for account in (ACCOUNT, FOREIGN):
            key = memory.reader.create_key(self.provider, account)
            parts += memory.run(lambda client: fetch_rows(client, endpoint.recent, endpoint.size_max), key=key)
        ensure_same_rows("rows of two accounts, each with a key of its own", parts, endpoint.within(endpoint.recent))
        stranger = memory.reader.create_key(self.provider, "somebody else's")
        rows = memory.run(lambda client: fetch_rows(client, endpoint.recent, endpoint.size_max), key=stranger)
        ensure_same_rows("rows of an account that has none", rows, [])

    def test_a_revoked_key_is_refused(self, memory: MemoryPair) -> None:
        """It is also refused between two pages."""
        endpoint = memory.endpoint

        async def read(client: Client) -> None:
            await client.fetch_page(PageRequest(endpoint.recent, endpoint.at_least(10)))
            memory.reader.revoke(memory.key)
            with pytest.raises(AuthError):
                await client.fetch_page(PageRequest(endpoint.recent, endpoint.at_least(10)))

        memory.run(read)
        with pytest.raises(AuthError):
            memory.run(_first_page(endpoint))

    def test_an_expired_key_is_refused(self, memory: MemoryPair) -> None:
        """It is valid until the exact instant of its expiry."""
        endpoint = memory.endpoint
        memory.reader.add_key(memory.key._replace(expires_at=memory.clock() + SLACK))
        memory.run(_first_page(endpoint))
        memory.reader.add_key(memory.key._replace(expires_at=memory.clock()))
        with pytest.raises(AuthError):
            memory.run(_first_page(endpoint))

    def test_a_clock_skew_is_accepted_up_to_its_limit(self, memory: MemoryPair) -> None:
        """In both directions. A larger skew is an authentication error."""
        tolerance = self.provider.rules.clock_skew_max
        if tolerance is None:
            pytest.skip("requests carry no time")
        ahead_max = self.provider.rules.clock_ahead_max
        for side, most in ((1, tolerance), (-1, tolerance if ahead_max is None else ahead_max)):
            memory.clock.offset = side * max(most - SLACK, timedelta(0))
            memory.run(_first_page(memory.endpoint))
            memory.clock.offset = side * (most + SLACK)
            with pytest.raises(AuthError):
                memory.run(_first_page(memory.endpoint))

    def test_a_client_renews_its_session(self, memory: MemoryPair) -> None:
        if self.provider.rules.clock_skew_max is not None:
            pytest.skip("each request is signed anew")
        endpoint = memory.endpoint

        async def read(client: Client) -> None:
            for _ in range(3):
                rows = await fetch_rows(client, endpoint.recent, endpoint.size_max)
                ensure_same_rows("rows after the session was renewed", rows, endpoint.within(endpoint.recent))
                memory.clock.offset += timedelta(days=1)

        memory.run(read)


class RateChecks(Checks):
    """The documented rate is enforced for each key, in its documented window."""

    def test_the_rate_is_enforced_and_recovers(self, memory: MemoryPair) -> None:
        rate = self.provider.rules.rate
        memory.reader.admit_call = memory.limits.admit

        async def read(client: Client) -> None:
            for _ in range(2):
                for _ in range(rate.calls):
                    await client.fetch_page(PageRequest(memory.endpoint.recent, memory.endpoint.at_least(1)))
                with pytest.raises(RateLimited):
                    await client.fetch_page(PageRequest(memory.endpoint.recent, memory.endpoint.at_least(1)))
                memory.calls_clock.move(rate.per)

        memory.run(read)

    def test_each_key_has_its_own_rate_or_none(self, memory: MemoryPair) -> None:
        rate = self.provider.rules.rate
        memory.reader.admit_call = memory.limits.admit
        for _ in range(rate.calls):
            memory.run(_first_page(memory.endpoint))
        memory.run(_first_page(memory.endpoint), key=memory.reader.create_key(self.provider, ACCOUNT))
        free = memory.reader.create_key(self.provider, ACCOUNT, paced=False)
        for _ in range(rate.calls + 2):
            memory.run(_first_page(memory.endpoint), key=free)


def _first_page(endpoint: Endpoint) -> Callable[[Client], Awaitable[Page]]:
    return lambda client: client.fetch_page(PageRequest(endpoint.recent, endpoint.at_least(1)))
