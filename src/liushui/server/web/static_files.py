"""The page's static files: read once, and served from memory under an address that changes with their content."""

import gzip
import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from litestar import Request, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import Response

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

COMPRESSED: Final = frozenset({".css", ".js", ".svg", ".json", ".html"})
"""Kinds of files that are compressed for clients that accept gzip."""

FOREVER: Final = "public, max-age=31536000, immutable"

VERSION_LETTERS: Final = 16


@dataclass
class Asset:
    """One file. `kind`: its suffix."""

    kind: str
    content: bytes

    @cached_property
    def compressed(self) -> bytes:
        """The file under gzip: the same bytes in every process."""
        return gzip.compress(self.content, 6, mtime=0)


@dataclass
class Assets:
    """The static files of a folder. They share one version, so that a JavaScript module can import its neighbours."""

    files: dict[str, Asset] = field(default_factory=dict)
    version: str = ""

    def url(self, name: str) -> str:
        """Where a file is served: `css/tokens.css`. Raises KeyError if there is none."""
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


ASSETS: Final = "liushui_assets"
"""The key of the Assets in the application's state."""


@get("/static/{version:str}/{name:path}", sync_to_thread=False, opt={"static": True})
def static_file(request: Request[Any, Any, Any], version: FromPath[str], name: FromPath[str]) -> Response[bytes]:
    """A file, to anybody: no file holds a secret. It may be cached forever, because another version has another
    address."""
    assets: Assets = request.app.state[ASSETS]
    asset = assets.files.get(name.removeprefix("/"))
    if asset is None or version != assets.version:
        raise NotFoundException("there is no such file")
    headers = {"cache-control": FOREVER, "vary": "accept-encoding"}
    content = asset.content
    if asset.kind in COMPRESSED and "gzip" in request.headers.get("accept-encoding", ""):
        content, headers["content-encoding"] = asset.compressed, "gzip"
    return Response(content, media_type=TYPES[asset.kind], headers=headers)
