"""The page's static files: read once, served from memory under an address that changes with their content."""

import gzip
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

STATIC: Final = Path(__file__).parent / "static"

TYPES: Final = MappingProxyType(
    {
        ".css": "text/css; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".svg": "image/svg+xml",
        ".json": "application/json",
        ".png": "image/png",
        ".woff2": "font/woff2",
        ".html": "text/html; charset=utf-8",
    }
)
"""The media type of each kind of file that is served; others are not."""

PACKED: Final = frozenset({".css", ".js", ".svg", ".json", ".html"})
"""Kinds of files that are sent packed to whoever takes gzip."""

VERSION_LETTERS: Final = 16


@dataclass
class Asset:
    """One file. `packed` is made when it is first asked for."""

    kind: str
    content: bytes
    _packed: bytes = b""

    def packed(self) -> bytes:
        """The file under gzip, the same bytes every time."""
        if not self._packed:
            self._packed = gzip.compress(self.content, 6, mtime=0)
        return self._packed


@dataclass
class Assets:
    """All static files of a folder. One version names them together, so that a module may import its neighbours."""

    files: dict[str, Asset] = field(default_factory=dict)
    version: str = ""

    def url(self, name: str) -> str:
        """Where a file is served: `css/tokens.css`. Raises KeyError where there is none."""
        if name not in self.files:
            raise KeyError(f"no static file {name}")
        return f"/static/{self.version}/{name}"


def read_assets(folder: Path = STATIC) -> Assets:
    """Read a folder of static files."""
    digest, files = hashlib.sha256(), {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in TYPES:
            name, content = path.relative_to(folder).as_posix(), path.read_bytes()
            files[name] = Asset(path.suffix, content)
            digest.update(name.encode() + b"\0" + hashlib.sha256(content).digest())
    return Assets(files, digest.hexdigest()[:VERSION_LETTERS])
