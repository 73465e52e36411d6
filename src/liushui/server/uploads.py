"""Uploaded files that wait for the confirmation of their import. All processes of this machine's server see them.

Each has a folder with an unguessable name, which only this process's user can read. It belongs to the session that
uploaded it. It is removed when it is imported or dropped, when its session uploads another one, and after an hour.
"""

import os
import secrets
import shutil
import stat
import tempfile
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path, PurePath
from typing import IO, Final

import msgspec

from liushui.errors import ConfigError

UPLOAD_MAX: Final = 100 * 1024 * 1024
"""The most bytes of one file."""
LIFETIME: Final = timedelta(hours=1)
NAME_BYTES_MAX: Final = 200
"""The most bytes of a file's name, counted from its end."""
_ID_BYTES: Final = 16
_COPIED: Final = 1024 * 1024
_DETAILS: Final = "upload.json"


class Upload(msgspec.Struct, frozen=True):
    """A file, and how to read it. `session`: the id of the session that uploaded it."""

    id: str
    session: str
    at: datetime
    name: str
    """The user's name for the file."""
    account: str
    source: str = ""
    """`format NAME` or `provider NAME`. Empty: its content decides."""
    mapping: str = ""
    """The mapping (TOML) by which a table is read. Empty: none."""
    zone: str = ""
    """The zone of a new account's days. Empty: that of its format or provider."""
    password: str = ""
    """The password of an archive, encrypted with the ledger's key. Empty: none was given."""

    @property
    def path(self) -> Path:
        """The file."""
        return _folder().joinpath(self.id, self.name)


def store_upload(file: IO[bytes], upload: Upload) -> None:
    """Copy a file to the folder of uploads. Old uploads, and others of its session, are removed first."""
    for other in _list_uploads():
        if other.session == upload.session or other.at < upload.at - LIFETIME:
            remove_upload(other)
    upload.path.parent.mkdir(mode=0o700)
    with _created(upload.path) as out:
        shutil.copyfileobj(file, out, _COPIED)
    change_upload(upload)


def change_upload(upload: Upload) -> None:
    """Store how to read an upload."""
    new = upload.path.with_name(f"{_DETAILS}.{secrets.token_hex(_ID_BYTES)}")
    with _created(new) as out:
        out.write(msgspec.json.encode(upload))
    new.replace(upload.path.with_name(_DETAILS))


def find_upload(id_: str, session: str, now: datetime) -> Upload | None:
    """The upload of a session. None: it does not exist, is too old, or was uploaded to another machine."""
    found = next((one for one in _list_uploads() if secrets.compare_digest(one.id.encode(), id_.encode())), None)
    if found is None or found.session != session or found.at < now - LIFETIME:
        return None
    return found


def remove_upload(upload: Upload) -> None:
    """Delete an upload."""
    shutil.rmtree(upload.path.parent, ignore_errors=True)


def new_upload_id() -> str:
    """The id of a new upload."""
    return secrets.token_hex(_ID_BYTES)


def file_name(text: str) -> str:
    """Return the name of an uploaded file, without folders and characters that cannot be shown. It is never empty."""
    name = "".join(letter for letter in PurePath(text.replace("\\", "/")).name if letter.isprintable()).strip()
    while len(name.encode()) > NAME_BYTES_MAX:
        name = name[1:]
    return "file" if name in ("", ".", "..") or name.startswith(_DETAILS) else name


def _created(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _list_uploads() -> list[Upload]:
    uploads = []
    for path in _folder().glob(f"*/{_DETAILS}"):
        with suppress(OSError, msgspec.MsgspecError):  # removed by another process in the meantime
            upload = msgspec.json.decode(path.read_bytes(), type=Upload)
            if upload.id == path.parent.name:
                uploads.append(upload)
    return uploads


def _folder() -> Path:
    """The folder of uploads. Raises ConfigError if another user of the machine has taken the name."""
    path = Path(tempfile.gettempdir()).joinpath(f"liushui-uploads-{os.getuid()}")
    path.mkdir(mode=0o700, exist_ok=True)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise ConfigError(f"{path}: expected a folder that only this user can open: remove it")
    return path
