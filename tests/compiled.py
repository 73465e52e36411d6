"""SQL that is compiled once for all ledgers of a process.

SQLAlchemy keeps compiled statements with each engine, and every ledger that a test opens has a new engine. More than
half of the time of many tests would go into compiling the same statements again.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any, Final
from unittest.mock import patch

from sqlalchemy import Dialect, Engine
from sqlalchemy.util import LRUCache

from liushui.ledger.engines import postgres, sqlite

STATEMENTS_MAX: Final = 2_000
"""The most compiled statements that are kept for each engine."""


@contextmanager
def compiling_once_for_files() -> Iterator[None]:
    """Inside, all ledgers in files share their compiled statements."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "any.db"
        path.touch()
        first = sqlite.sqlite_engine(path)
        first.connect().close()  # a dialect learns the version of SQLite from its first connection
        first.dispose()
    with _compiling_once(sqlite, "sqlite_engine", first.dialect, lambda _path: True):
        yield


@contextmanager
def compiling_once_for_server(dialect: Dialect, url_prefix: str) -> Iterator[None]:
    """The same for the ledgers on a server, whose URLs begin so. `dialect` has had a connection to it."""
    with _compiling_once(postgres, "_engine", dialect, lambda url: str(url).startswith(url_prefix)):
        yield


@contextmanager
def _compiling_once(
    module: ModuleType, name: str, dialect: Dialect, shares: Callable[[object], bool]
) -> Iterator[None]:
    make_engine: Callable[[object], Engine] = getattr(module, name)
    compiled: LRUCache[Any, Any] = LRUCache(STATEMENTS_MAX)

    def engine_of(where: object) -> Engine:
        engine = make_engine(where)
        if shares(where):
            engine.dialect = dialect  # statements are compiled for a dialect
            engine.update_execution_options(compiled_cache=compiled)
        return engine

    with patch.object(module, name, engine_of):
        yield
