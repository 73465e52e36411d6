"""What `liushui db backup` does: one file, one more in a folder, or one from time to time until it is stopped."""

import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from rich.markup import escape

from liushui.cli.options import Format
from liushui.cli.output import Record, emit, emit_one, messages
from liushui.errors import LiushuiError
from liushui.ledger.access.vault import KEY_VARIABLE
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.backups import BackupState, record_backup
from liushui.ledger.maintenance.backup import BackupResult, back_up
from liushui.ledger.maintenance.backup_folder import BackupFolder, FolderResult

BACKUP_COLUMNS: Final = ("folder", "machine", "file", "saved_at", "age_s", "every_s", "size", "tried_at", "error")
RESULT_COLUMNS: Final = ("path", "accounts", "flows", "size", "has_secrets", "key", "deleted")

LOOK_INTERVAL_S: Final = 20
"""How often to check whether a backup is due. It is not one long sleep, because clocks are set and machines sleep."""


def back_up_to_file(ledger: Ledger, file: Path, form: Format, *, force: bool, with_secrets: bool) -> None:
    """Write one backup and print what it contains."""
    from liushui.cli.progress import work_bar

    moment = ledger.clock()
    with work_bar() as bar:
        saved = back_up(ledger, file, force=force, with_secrets=with_secrets, progress=bar.show)
    folder, every = str(saved.path.parent), timedelta(0)
    try:
        record_backup(ledger, folder, file=saved.path.name, saved_at=moment, size=saved.size, every=every)
    except LiushuiError as error:
        messages.warn(f"the backup is good, but `liushui status` will not know of it: {error}")
    emit_one(_saved_record(saved), form, title="backed up")
    _tell_about_the_key(saved)


def back_up_to_folder(folder: BackupFolder, form: Format) -> None:
    """Make one more backup in a folder, and print what it contains and which were deleted."""
    from liushui.cli.progress import work_bar

    with work_bar() as bar:
        result = folder.back_up(bar.show)
    emit_one(_result_record(result), form, title="backed up")
    _tell_about_the_key(result.backup)


def keep_backing_up(folder: BackupFolder, form: Format) -> None:
    """Make a backup whenever one is due, until this process is stopped. One that fails is tried again later."""
    folder.check()
    messages.print(escape(f"a backup every {folder.every} in {folder.path}"))
    last_error = ""
    while True:
        try:
            if folder.due_at() <= folder.ledger.clock():
                emit([_result_record(folder.back_up())], RESULT_COLUMNS, form)
                last_error = ""
        except LiushuiError as error:
            if str(error) != last_error:
                last_error = str(error)
                messages.warn(f"no backup: {error}")
        time.sleep(LOOK_INTERVAL_S)


def backup_record(state: BackupState, now: datetime) -> Record:
    """The state of the backups in a folder, for people and programs."""
    age = state.age(now)
    return {
        **state._asdict(),
        "file": state.file or None,
        "error": state.error or None,
        "age_s": None if age is None else age // timedelta(seconds=1),
    }


def _saved_record(saved: BackupResult) -> dict[str, object]:
    return {**saved._asdict(), "path": str(saved.path), "key": None if saved.key is None else str(saved.key)}


def _result_record(result: FolderResult) -> Record:
    return {**_saved_record(result.backup), "deleted": [path.name for path in result.deleted]}


def _tell_about_the_key(saved: BackupResult) -> None:
    if saved.has_secrets and saved.key is None:
        messages.print(
            f"the key is not in it: without {KEY_VARIABLE} or the ledger's key file nobody can decrypt the credentials "
            "of its sources and keys. Keep the key too, elsewhere (--with-secrets writes it beside the backup)"
        )
