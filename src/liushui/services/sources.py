"""Sources: adding, checking and testing them, and replacing their credentials."""

import asyncio
from collections.abc import Mapping

from liushui.errors import SourceNotFound
from liushui.instant import load_zone
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.sources import Source, check_source_name, insert_source, list_sources, update_source
from liushui.ledger.jobs.sync_requests import insert_request
from liushui.ledger.write.commit import insert_account
from liushui.providers import get_provider
from liushui.sync.runner import check_credentials
from liushui.wire.transport import parse_base_url

CONNECT_TIMEOUT_S = 20
"""How long a provider may take to answer when a source is tested."""


def get_source(ledger: Ledger, name: str) -> Source:
    """The source of that name. Raises NotFound."""
    for source in list_sources(ledger):
        if source.account == name:
            return source
    raise SourceNotFound(name)


def public_credentials(source: Source) -> dict[str, str]:
    """The credentials of a source that are not secret, such as an account number, by field."""
    fields = sorted(field.name for field in get_provider(source.provider).credentials if not field.secret)
    return {name: source.credentials[name] for name in fields}


def check_source(source: Source) -> None:
    """Check a source without calling its provider.

    Raises ConfigError for a name, a time zone, an address or credentials that cannot be used. For example, some
    providers' keys may only be sent over TLS, and some characters are not allowed in a header.
    """
    check_source_name(source.account)
    load_zone(source.zone)
    get_provider(source.provider).connect(
        base_url=parse_base_url(source.base_url),
        credentials=source.credentials,
        rate=None,
        timeout_s=CONNECT_TIMEOUT_S,
    )


def probe_source(ledger: Ledger, source: Source, *, timeout_s: float = CONNECT_TIMEOUT_S) -> int:
    """Test a source with one small call. Returns the number of rows received. Raises a subclass of LiushuiError."""
    return asyncio.run(check_credentials(source, now=ledger.clock(), timeout_s=timeout_s))


def add_source(ledger: Ledger, source: Source, *, sync_requested_by: str | None = None) -> None:
    """Add a source, its account if there is none yet, and a request for the first sync if `sync_requested_by` is given.

    One transaction. Raises ConfigError as `check_source` does, and AlreadyExists if the name is taken.
    """
    check_source(source)
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


def replace_credentials(ledger: Ledger, name: str, credentials: Mapping[str, str], *, sync_requested_by: str) -> None:
    """Give a source new credentials and request a sync with them. A running sync ends with the old ones.

    One transaction. Raises NotFound, and ConfigError for credentials that cannot be used.
    """
    check_source(get_source(ledger, name)._replace(credentials=dict(credentials)))
    encrypted = ledger.vault.encrypt(dict(credentials))
    with ledger.writing() as connection:
        update_source(connection, name, {"credentials": encrypted})
        insert_request(connection, name, by=sync_requested_by, now=ledger.clock())
