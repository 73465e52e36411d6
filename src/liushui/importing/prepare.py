"""An import before it runs: files that were recognised and checked.

The command line and the page use the same functions.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from liushui.errors import ConfigError, WireError
from liushui.files.contract import FileFormat
from liushui.flow import Flow
from liushui.importing.check_provider import check_file
from liushui.importing.closing_balances import Closing, state_closings
from liushui.importing.files import UnusableFile
from liushui.importing.read_rows import Advance, Chunk, documents
from liushui.importing.run import Imported, ImportFile, import_documents
from liushui.importing.statements import StatementFile, check_statements, import_file
from liushui.instant import from_us, to_us
from liushui.ledger.engine import Ledger
from liushui.ledger.read.accounts import find_accounts
from liushui.ledger.write.commit import make_account
from liushui.money import EXACT, ZERO
from liushui.provider import Codec, Provider
from liushui.rules import Paging, Rules

SAMPLES: Final = 8
"""The number of flows that a preview shows."""


class Prepared(NamedTuple):
    """Files that can be imported into an account. The files themselves have no faults."""

    source: str
    """The name of the account's format or provider."""
    title: str
    rules: Rules[Paging]
    codec: Codec
    files: Callable[[Advance], Sequence[ImportFile]]
    closings: Sequence[Closing] = ()
    """The closing balances that the files state."""
    provider: str = ""
    """The provider whose API has the same flows as these statement files. Empty: none is known."""


def prepare_statements(statements: Sequence[StatementFile], zone: str, formats: Mapping[str, FileFormat]) -> Prepared:
    """Prepare statement files for an account whose days are days in `zone`. All of them are read to the end.

    Raises UnusableFile for a file that cannot be read or does not add up, and ConfigError if the files have several
    formats, because an account holds flows of one format.
    """
    format_ = common_format(statements)
    closings = check_statements(statements, zone, formats)

    def files(advance: Advance) -> list[ImportFile]:
        return [import_file(file, zone, advance) for file in statements]

    return Prepared(format_.name, format_.title, format_.rules, format_.codec, files, closings, format_.provider)


def common_format(statements: Sequence[StatementFile]) -> FileFormat:
    """Return the format of all files. Raises ConfigError if they have several."""
    formats = {file.format.name: file for file in statements}
    if len(formats) > 1:
        listed = ", ".join(f"{file.content.name} is {name}" for name, file in formats.items())
        raise ConfigError(f"files: expected one format for an account, got several: {listed}")
    return statements[0].format


def prepare_answers(paths: Sequence[Path], provider: Provider, others: Sequence[Provider]) -> Prepared:
    """Prepare files with saved answers and rows of a provider's API. Raises UnusableFile for a file of another
    provider."""
    for path in paths:
        check_file(path, provider, others)

    def files(advance: Advance) -> list[ImportFile]:
        return [ImportFile(path, partial(documents, path, provider.codec, advance)) for path in paths]

    return Prepared(provider.name, provider.title, provider.rules, provider.codec, files)


def find_provider(path: Path, providers: Mapping[str, Provider]) -> Provider | None:
    """Return the one provider whose answers or rows a file has. None: it fits no provider, or several."""
    fitting = []
    for provider in providers.values():
        try:
            check_file(path, provider, [other for other in providers.values() if other is not provider])
        except UnusableFile:
            continue
        fitting.append(provider)
    return fitting[0] if len(fitting) == 1 else None


def run_import(
    ledger: Ledger, account: str, prepared: Prepared, advance: Advance, *, restate: bool
) -> tuple[Imported, list[str]]:
    """Import prepared files into an existing account, and record their closing balances.

    Returns the result, and the reason for each closing balance that cannot be recorded. See `import_documents`.
    """
    imported = import_documents(
        ledger, account, prepared.files(advance), prepared.codec, prepared.rules, restate=restate
    )
    return imported, list(state_closings(ledger, account, prepared.closings, imported.id, prepared.rules))


def accounts_of_provider(ledger: Ledger, provider: str) -> list[str]:
    """Return the accounts that are collected from a provider's API: statement files of the provider may have the same
    money."""
    with ledger.querying() as queries:
        return [known.account for known in find_accounts(queries) if provider and known.provider == provider]


def zone_of_import(ledger: Ledger, account: str, wanted: str | None, default: str) -> str:
    """Return the zone of an import's days: the account's zone or, for a new account, the wanted or the default one."""
    with ledger.querying() as queries:
        known = {name.account: name.zone for name in find_accounts(queries)}
    return known.get(account) or wanted or default


def rehearse_import(ledger: Ledger, account: str, prepared: Prepared, zone: str, *, restate: bool) -> Imported:
    """Return the changes that an import would make. It runs in a transaction that is rolled back; other processes go on
    writing.

    Raises AlreadyExists if the account holds flows of another format or provider.
    """
    with ledger.rehearsing(account) as rehearsed:
        make_account(rehearsed, account, prepared.source, zone)
        return run_import(rehearsed, account, prepared, lambda _bytes: None, restate=restate)[0]


# ---------------------------------------------------------------- what the files have


class CurrencySum(NamedTuple):
    """The sums of one currency. `money_out` is negative."""

    flows: int = 0
    money_in: Decimal = ZERO
    money_out: Decimal = ZERO

    def plus(self, amount: Decimal) -> "CurrencySum":
        """Return the sum with one more flow."""
        if amount < 0:
            return CurrencySum(self.flows + 1, self.money_in, EXACT.add(self.money_out, amount))
        return CurrencySum(self.flows + 1, EXACT.add(self.money_in, amount), self.money_out)


class FilePreview(NamedTuple):
    """The content of the files, independent of the ledger. `first` and `last` are None without flows."""

    first: datetime | None
    last: datetime | None
    sums: Mapping[str, CurrencySum]
    samples: Sequence[Flow]


def preview(prepared: Prepared) -> FilePreview:
    """Read prepared files once more, to get their period, their sums and their first flows."""
    sums: dict[str, CurrencySum] = {}
    samples: list[Flow] = []
    first_us: int | None = None
    last_us: int | None = None
    for chunk in _chunks(prepared):
        left = SAMPLES - len(samples)
        if left > 0:
            samples += islice(_flows(prepared.codec, chunk.rows), left)
        for at_us, currency, amount in _amounts(prepared.codec, chunk):
            first_us = at_us if first_us is None else min(first_us, at_us)
            last_us = at_us if last_us is None else max(last_us, at_us)
            sums[currency] = sums.get(currency, CurrencySum()).plus(amount)
    first, last = (None if at_us is None else from_us(at_us) for at_us in (first_us, last_us))
    return FilePreview(first, last, dict(sorted(sums.items())), samples)


def _chunks(prepared: Prepared) -> Iterator[Chunk]:
    for file in prepared.files(lambda _bytes: None):
        for document in file.documents():
            yield from document.chunks


def _amounts(codec: Codec, chunk: Chunk) -> Iterator[tuple[int, str, Decimal]]:
    """Yield the time in microseconds, the currency and the amount of each readable row."""
    for flow in _flows(codec, chunk.rows):
        yield to_us(flow.at), flow.currency, flow.amount


def _flows(codec: Codec, rows: Sequence[bytes]) -> Iterator[Flow]:
    for row in rows:
        try:
            yield codec.read(row).flow
        except WireError:
            continue


@contextmanager
def naming_files(names: Mapping[Path, str]) -> Iterator[None]:
    """Let errors name files as the user does."""
    try:
        yield
    except UnusableFile as error:
        raise ConfigError(f"{names[error.path]}: {error.problem}") from error
