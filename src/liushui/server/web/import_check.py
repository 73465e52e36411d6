"""How an uploaded file would be imported: its format, its content, the changes, or why it cannot be imported."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from liushui.errors import AlreadyExists, ConfigError
from liushui.files.content import unpack
from liushui.files.contract import FileFormat
from liushui.files.errors import FileError, NotRecognised, PasswordNeeded
from liushui.files.mapping import parse_mapping
from liushui.files.propose import propose
from liushui.formats import load_formats
from liushui.formats.mapped import FORMAT as MAPPED
from liushui.importing.files import UnusableFile
from liushui.importing.prepare import (
    FilePreview,
    Prepared,
    accounts_of_provider,
    common_format,
    find_provider,
    prepare_answers,
    prepare_statements,
    preview,
    rehearse_import,
    zone_of_import,
)
from liushui.importing.run import Imported
from liushui.importing.statements import open_statements
from liushui.ledger.engine import Ledger
from liushui.server.uploads import Upload
from liushui.server.web.page import Page
from liushui.temporary_folder import temporary_folder

FORMAT, PROVIDER = "format", "provider"
"""Prefixes of an upload's source: `format alipay_personal`, `provider okx`."""
SECRET: Final = "password"  # noqa: S105 - the name of a field
"""The field of an upload, and of its form, with the password of an archive."""


class Problem(NamedTuple):
    """Why a file cannot be imported in its present form. `field`: the form field that can solve it. `mapping`: a
    proposed mapping."""

    text: str
    field: str = ""
    mapping: str = ""


class Check(NamedTuple):
    """A file that can be imported: its content, and the effect of the import."""

    prepared: Prepared
    zone: str
    content: FilePreview
    outcome: Imported
    notices: Sequence[str]


def check_file(page: Page, upload: Upload) -> Check | Problem:
    notices: list[str] = []
    with temporary_folder("import") as folder:
        prepared = prepare_upload(page, upload, folder, notices)
        if isinstance(prepared, Problem):
            return prepared
        zone = zone_of_import(page.ledger, upload.account, upload.zone, prepared.rules.zone)
        try:
            outcome = rehearse_import(page.ledger, upload.account, prepared, zone, restate=False)
        except AlreadyExists:
            text = page.say(
                "The account %(account)s holds flows of something else. Choose another name.", account=upload.account
            )
            return Problem(text, "account")
        others = accounts_of_provider(page.ledger, prepared.provider)
        if others:
            notices.append(_maybe_double(page, others, prepared.provider))
        return Check(prepared, zone, preview(prepared), outcome, notices)


def _maybe_double(page: Page, others: Sequence[str], provider: str) -> str:
    """Warn that accounts collected from the provider's API may have the same money."""
    text = page.say("Accounts that are collected from %(provider)s:", provider=page.provider_title(provider))
    known = ", ".join(filter(page.sees, others)) or "–"
    return f"{text} {known}. " + page.say("If this file is of one of them, its money is in totals twice.")


def prepare_upload(page: Page, upload: Upload, folder: Path, notices: list[str]) -> Prepared | Problem:
    """Open and check the file with its settings. `folder`: where it is unpacked."""
    formats = load_formats()
    kind, _, name = upload.source.partition(" ")
    others = [one for one in page.providers.values() if one.name != name]
    try:
        if kind == PROVIDER and name in page.providers:
            return prepare_answers([upload.path], page.providers[name], others)
        chosen: FileFormat | None = formats.get(name) if kind == FORMAT else None
        if upload.mapping:
            chosen = MAPPED.with_mapping(parse_mapping(upload.mapping))
        statements = open_statements(
            upload.path,
            upload.name,
            folder,
            lambda _name: _password(page.ledger, upload),
            formats,
            chosen,
            notices.append,
        )
        default = common_format(statements).rules.zone
        zone = zone_of_import(page.ledger, upload.account, upload.zone, default)
        text = page.say("The file has no line end at its end. If it was cut off, its last row is wrong.")
        notices += [text for file in statements if not file.content.ends_with_line]
        return prepare_statements(statements, zone, formats)
    except UnusableFile as error:
        return _problem(page, upload, folder, error)
    except ConfigError as error:
        return Problem(str(error), "mapping" if upload.mapping else "source")


def _problem(page: Page, upload: Upload, folder: Path, error: UnusableFile) -> Prepared | Problem:
    """Return why a file cannot be read, or its rows if they belong to a provider."""
    cause = error.__cause__
    if isinstance(cause, PasswordNeeded):
        text = page.say("This password is wrong.") if upload.password else page.say("The archive has a password.")
        return Problem(text, SECRET)
    if not isinstance(cause, NotRecognised):
        return Problem(_in_words(page, error))
    provider = find_provider(upload.path, page.providers)
    if provider is not None:
        return prepare_answers([upload.path], provider, [one for one in page.providers.values() if one is not provider])
    mapping = _propose(page.ledger, upload, folder)
    if mapping:
        text = page.say(
            "No format recognises this file, but it is a table. Check the mapping below: which column holds what."
        )
        return Problem(text, "mapping", mapping)
    return Problem(page.say("No format recognises this file. Choose what it is."), "source")


def _in_words(page: Page, error: UnusableFile) -> str:
    """Describe the fault of a file, in the reader's language. Within an archive, the name of the inner file comes
    first."""
    cause = error.__cause__
    if not isinstance(cause, FileError):
        return error.problem
    text = str(cause)
    inner = error.problem.removesuffix(text) if error.problem.endswith(text) else ""
    return f"{inner}{page.say(cause.template, **cause.values)}"


def _propose(ledger: Ledger, upload: Upload, folder: Path) -> str:
    """Propose a mapping for the table in a file. Empty: it has none."""
    inner = folder / "proposal"
    inner.mkdir()
    try:
        contents = list(unpack(upload.path, upload.name, inner, lambda _name: _password(ledger, upload)))
        return propose(contents[0]).text if len(contents) == 1 else ""
    except FileError:
        return ""


def _password(ledger: Ledger, upload: Upload) -> str | None:
    return ledger.vault.decrypt(upload.password)[SECRET] if upload.password else None
