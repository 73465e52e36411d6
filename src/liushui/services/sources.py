"""Sources: adding, checking and testing them, and replacing their credentials."""

import asyncio
from collections.abc import Mapping

from liushui.errors import LiushuiError, SourceNotFound
from liushui.instant import load_zone
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.source_state import delete_wait, store_unproven
from liushui.ledger.jobs.sources import Source, check_source_name, insert_source, list_sources, update_source
from liushui.ledger.jobs.sync_requests import insert_request
from liushui.ledger.write.commit import insert_account
from liushui.provider import Provider
from liushui.providers import get_provider
from liushui.sync.runner import check_credentials
from liushui.sync.same_account import WrongAccount, known_rows, prove_account
from liushui.wire.transport import parse_base_url

CONNECT_TIMEOUT_S = 20
"""The seconds in which a provider has to answer when a source is tested."""


def get_source(ledger: Ledger, name: str) -> Source:
    """Return the source with this name. Raises NotFound."""
    for source in list_sources(ledger):
        if source.account == name:
            return source
    raise SourceNotFound(name)


def public_credentials(source: Source) -> dict[str, str]:
    """Return the credentials of a source that are not secret, such as an account number, by field."""
    fields = sorted(field.name for field in get_provider(source.provider).credentials if not field.secret)
    return {name: source.credentials[name] for name in fields}


def check_source(source: Source, provider: Provider | None = None) -> None:
    """Check a source without calling its provider (the given one, or the installed one with this name).

    Raises ConfigError for an unusable name, time zone, address or credentials. For example, some providers' keys may
    only be sent over TLS, and some characters are not allowed in a header.
    """
    check_source_name(source.account)
    load_zone(source.zone)
    (provider or get_provider(source.provider)).connect(
        base_url=parse_base_url(source.base_url),
        credentials=source.credentials,
        rate=None,
        timeout_s=CONNECT_TIMEOUT_S,
    )


def probe_source(ledger: Ledger, source: Source, *, timeout_s: float = CONNECT_TIMEOUT_S) -> int:
    """Test a source with one small call. Returns the number of rows received. Raises a subclass of LiushuiError."""
    return asyncio.run(check_credentials(source, now=ledger.clock(), timeout_s=timeout_s))


def add_source(ledger: Ledger, source: Source, *, sync_requested_by: str | None = None) -> None:
    """Add a source, its account if it does not exist, and, with `sync_requested_by`, a request for the first sync.

    If the ledger has rows of the account, the credentials must be able to read them. If the provider cannot be asked
    now, the first sync checks it. One transaction. Raises ConfigError as `check_source` does, WrongAccount for
    credentials of another account, and AlreadyExists if the name is taken.
    """
    check_source(source)
    is_unproven = not _is_proven(ledger, source, get_provider(source.provider))
    encrypted, now = ledger.vault.encrypt(source.credentials), ledger.clock()
    with ledger.writing() as connection:
        insert_account(connection, source.account, source.provider, source.zone, now)
        insert_source(
            connection,
            account=source.account,
            base_url=parse_base_url(source.base_url),
            encrypted=encrypted,
            since=source.since,
            paced=source.paced,
            now=now,
        )
        if sync_requested_by is not None:
            insert_request(connection, source.account, by=sync_requested_by, now=now)
        store_unproven(connection, source.account, now, is_unproven=is_unproven)


def replace_credentials(
    ledger: Ledger,
    name: str,
    credentials: Mapping[str, str],
    *,
    sync_requested_by: str | None = None,
    provider: Provider | None = None,
) -> None:
    """Give a source new credentials and, with `sync_requested_by`, request a sync with them.

    A running sync finishes with the old credentials. As in `add_source`, the new ones must be able to read the
    account's known rows. A wait that the provider asked for with the old credentials ends. `provider`: None for the
    installed one. One transaction. Raises NotFound, WrongAccount, and ConfigError for unusable credentials.
    """
    source = get_source(ledger, name)._replace(credentials=dict(credentials))
    provider = provider or get_provider(source.provider)
    check_source(source, provider)
    is_unproven = not _is_proven(ledger, source, provider)
    encrypted, now = ledger.vault.encrypt(dict(credentials)), ledger.clock()
    with ledger.writing() as connection:
        update_source(connection, name, {"credentials": encrypted})
        store_unproven(connection, name, now, is_unproven=is_unproven)
        delete_wait(connection, name)
        if sync_requested_by is not None:
            insert_request(connection, name, by=sync_requested_by, now=now)


def _is_proven(ledger: Ledger, source: Source, provider: Provider) -> bool:
    """Whether the credentials read rows that the ledger has; also true if it has none. False: the provider could not be
    asked.

    Raises WrongAccount.
    """
    known = known_rows(ledger, source.account, provider, ledger.clock())
    if not known:
        return True

    async def prove() -> None:
        client = provider.connect(
            base_url=source.base_url,
            credentials=source.credentials,
            rate=provider.rules.rate if source.paced else None,
            timeout_s=CONNECT_TIMEOUT_S,
        )
        try:
            await prove_account(client, provider, source.account, known)
        finally:
            await client.close()

    try:
        asyncio.run(prove())
    except WrongAccount:
        raise
    except LiushuiError:  # a sync will report the fault
        return False
    return True
