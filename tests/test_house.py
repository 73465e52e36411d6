"""The rules of the house that a program can check: imports, the files of a provider's folder, no float near money."""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import pytest

import liushui

SOURCE: Final = Path(liushui.__file__).parent
PROJECT: Final = SOURCE.parent.parent
PACKAGE: Final = liushui.__name__


@dataclass(frozen=True)
class Module:
    """A file of the package."""

    path: Path
    name: str
    """Its place in the package: `wire.http`."""

    @cached_property
    def tree(self) -> ast.Module:
        """Its code. Parsed when a test asks, because every worker collects the tests and one runs them."""
        return ast.parse(self.path.read_text(encoding="utf-8"))

    @property
    def file(self) -> str:
        """Its path in the package: `http.py`."""
        return self.path.relative_to(SOURCE).as_posix()

    def imports(self) -> Iterator[tuple[int, str]]:
        """What it imports, anywhere in it, each with its line."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{self.file}:{node.lineno}: imports are absolute"
                module = node.module or ""
                if module == PACKAGE or f"{SOURCE.parent / module.replace('.', '/')}/" in _FOLDERS:
                    yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)
                else:
                    yield node.lineno, module


def _module(path: Path) -> Module:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    name = ".".join(part for part in parts if part != "__init__")
    return Module(path, name)


_FOLDERS: Final = {f"{path.parent}/" for path in SOURCE.rglob("__init__.py")}
MODULES: Final = [_module(path) for path in sorted(SOURCE.rglob("*.py"))]
SHARED: Final = "_"
"""A folder of providers/ whose name begins so is shared by several of them."""
PROVIDERS: Final = sorted(
    path.name
    for path in (SOURCE / "providers").iterdir()
    if (path / "__init__.py").exists() and not path.name.startswith(SHARED)
)


def test_the_tree_was_found() -> None:
    assert {"flow", "provider", "http", "providers.longbridge.codec"} <= {module.name for module in MODULES}
    assert "longbridge" in PROVIDERS


# ---------------------------------------------------------------- who imports whom

DOMAIN: Final = frozenset({"flow", "meaning", "money", "instant", "errors", "rules", "conditions"})
CONTRACT: Final = DOMAIN | {"provider", "http"}

MAY_IMPORT: Final[dict[str, frozenset[str]]] = {
    "flow": DOMAIN,
    "meaning": DOMAIN,
    "money": DOMAIN,
    "instant": DOMAIN,
    "errors": DOMAIN,
    "rules": DOMAIN,
    "conditions": DOMAIN,
    "http": DOMAIN,
    "provider": DOMAIN | {"http"},
    "wire": CONTRACT | {"ratelimit"},
    "discovery": DOMAIN,
    "providers": CONTRACT | {"discovery", "formats", "wire"},
    "files": CONTRACT | {"wire"},
    "formats": CONTRACT | {"discovery", "files", "wire"},
    "ratelimit": CONTRACT | {"ledger"},
    "output_text": DOMAIN,
    "calendar_boundary": frozenset(),
    "temporary_folder": frozenset(),
    "environment": DOMAIN,
    "reconcile": DOMAIN,
    "ledger": CONTRACT | {"environment", "output_text", "reconcile"},
    "sync": CONTRACT | {"calendar_boundary", "ledger", "output_text", "providers", "ratelimit", "wire"},
    "importing": CONTRACT | {"files", "ledger", "providers"},
    "notify": CONTRACT | {"ledger", "output_text", "providers", "sync"},
    "certificate": CONTRACT | {"describe", "ledger", "providers", "reconcile"},
    "export": CONTRACT | {"ledger", "output_text", "temporary_folder"},
    "services": CONTRACT | {"certificate", "ledger", "providers", "sync", "wire"},
    "simulate": CONTRACT | {"calendar_boundary", "providers", "ratelimit", "server", "temporary_folder", "wire"},
    "client": CONTRACT | {"ratelimit"},
    "mcp": DOMAIN | {"client"},
    "server": CONTRACT
    | {
        "certificate",
        "client",
        "describe",
        "export",
        "files",
        "formats",
        "importing",
        "ledger",
        "notify",
        "output_text",
        "providers",
        "ratelimit",
        "reconcile",
        "services",
        "sync",
        "temporary_folder",
        "wire",
    },
    "describe": CONTRACT,
    "cli": CONTRACT
    | {
        "certificate",
        "environment",
        "export",
        "files",
        "formats",
        "ledger",
        "output_text",
        "sync",
        "client",
        "importing",
        "mcp",
        "notify",
        "simulate",
        "server",
        "providers",
        "reconcile",
        "services",
        "temporary_folder",
        "wire",
    },
    "testing": CONTRACT | {"files", "formats", "wire", "providers", "server", "simulate", "ledger", "services", "sync"},
    "__main__": frozenset({"cli"}),
    "": frozenset({"client"}),
}
"""The areas of the package that each area may import, in addition to itself. A new area has to be listed here before it
is built."""


def area_of(name: str) -> str:
    return name.split(".")[0]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.file)
def test_imports_follow_the_graph(module: Module) -> None:
    area = area_of(module.name)
    assert area in MAY_IMPORT, f"{module.file}: say in MAY_IMPORT what the area {area!r} may import"
    for line, imported in module.imports():
        if imported.split(".")[0] != PACKAGE or imported == f"{PACKAGE}.__version__":
            continue
        other = area_of(imported.removeprefix(f"{PACKAGE}."))
        allowed = other == area or other in MAY_IMPORT[area]
        assert allowed, f"{module.file}:{line}: {area or PACKAGE} never imports {other}"


def test_the_words_of_the_domain_import_the_standard_library_only() -> None:
    for module in MODULES:
        if module.name in DOMAIN:
            outside = {imported.split(".")[0] for _, imported in module.imports()} - sys.stdlib_module_names
            assert outside <= {PACKAGE}, f"{module.file} imports {outside - {PACKAGE}}"


def test_the_contract_does_not_know_the_wire() -> None:
    (contract,) = (module for module in MODULES if module.name == "provider")
    of_the_wire = {imported for _, imported in contract.imports() if imported.startswith(f"{PACKAGE}.wire")}
    assert not of_the_wire


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_provider_knows_no_other(provider: str) -> None:
    own = f"{PACKAGE}.providers.{provider}"
    for module in MODULES:
        for line, imported in module.imports():
            if f"{PACKAGE}.{module.name}.".startswith(f"{own}.") and imported.startswith(f"{PACKAGE}.providers"):
                shared = imported.startswith(f"{PACKAGE}.providers.{SHARED}")
                assert shared or f"{imported}.".startswith(f"{own}."), f"{module.file}:{line}: imports {imported}"


def test_providers_are_found_and_not_listed() -> None:
    """Nothing outside a provider's folder names it: a new folder is all it takes."""
    for module in MODULES:
        if module.name.startswith("providers."):
            continue
        for line, imported in module.imports():
            named = [one for one in PROVIDERS if f"{imported}.".startswith(f"{PACKAGE}.providers.{one}.")]
            assert not named, f"{module.file}:{line}: names {named[0]}"


# ---------------------------------------------------------------- a provider's folder


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_providers_folder_has_the_same_files_every_time(provider: str) -> None:
    folder = SOURCE / "providers" / provider
    there = {path.name for path in folder.iterdir()}
    assert {
        "__init__.py",
        "rules.py",
        "wire.py",
        "codec.py",
        "client.py",
        "server.py",
        "MAPPING.md",
        "samples",
    } <= there
    assert any((folder / "samples").iterdir())


def test_every_module_says_what_it_is() -> None:
    for module in MODULES:
        said = ast.get_docstring(module.tree)
        assert said, f"{module.file} has no docstring"
        assert said.splitlines()[0].endswith((".", ":")), (
            f"{module.file}: the first line of its docstring is a sentence"
        )


# ---------------------------------------------------------------- no float near money

FLOATS: Final = {
    "errors.py": "seconds to wait",
    "provider.py": "a client's timeout",
    "wire/transport.py": "a timeout, seconds to wait",
    "ratelimit.py": "an event loop's time",
    "wire/errors.py": "seconds to wait",
    "sync/slicer.py": "how full a page should be",
    "sync/runner.py": "seconds to wait, a timeout",
    "ledger/engines/sqlite.py": "seconds to wait",
    "ledger/engines/postgres_connection.py": "seconds to wait",
    "server/fork_server.py": "seconds to wait",
    "server/run.py": "seconds to wait",
    "server/api/feed.py": "seconds between two looks",
    "sync/sync_observers.py": "seconds between two writes",
    "client/client.py": "seconds to wait",
    "cli/sync.py": "a timeout, seconds between two syncs",
    "cli/run_sync.py": "seconds between two syncs",
    "cli/sources.py": "a timeout",
    "services/sources.py": "a timeout",
    "testing/hostile_server.py": "the pause between two bytes",
    "testing/processes.py": "timeouts",
}
"""The places that may use a float, and what it measures: never money."""

EDGES: Final = {"client.py": "a timeout"}
"""The same in any provider's folder."""

DIVISIONS: Final = {"sync/slicer.py": "rows an hour, how full a page should be", "cli/progress.py": "rows a second"}
"""Where numbers may be divided with `/`, which rounds."""

JSON_WITHOUT_TYPES: Final = {"cli/sources.py": "credentials are text"}
"""Where JSON may be read with its numbers as floats."""


def floats(tree: ast.Module) -> Iterator[int]:
    """Lines with a float literal, or the name of the type."""
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=float() | complex()) | ast.Name(id="float"):
                yield node.lineno


def divisions(tree: ast.Module) -> Iterator[int]:
    """Lines with a division that joins no path."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.BinOp, ast.AugAssign)) and isinstance(node.op, ast.Div):
            right = node.right if isinstance(node, ast.BinOp) else node.value
            if not isinstance(right, ast.JoinedStr) and not (
                isinstance(right, ast.Constant) and isinstance(right.value, str)
            ):
                yield node.lineno


def untyped_json(tree: ast.Module) -> Iterator[int]:
    """Lines that read JSON so that its numbers become floats."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called, named = ast.unparse(node.func), {keyword.arg for keyword in node.keywords}
        if (
            (called in ("json.load", "json.loads") and "parse_float" not in named)
            or (called == "msgspec.json.decode" and "type" not in named)
            or (called == "msgspec.json.Decoder" and not node.args and "type" not in named)
        ):
            yield node.lineno


def test_nothing_is_made_a_float() -> None:
    for module in MODULES:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("float", "math.fsum"):
                raise AssertionError(f"{module.file}:{node.lineno}: {ast.unparse(node)}")


@pytest.mark.parametrize(
    ("search", "allowed"),
    [
        pytest.param(floats, FLOATS, id="floats"),
        pytest.param(divisions, DIVISIONS, id="divisions"),
        pytest.param(untyped_json, JSON_WITHOUT_TYPES, id="json"),
    ],
)
def test_floats_measure_no_money(search: object, allowed: dict[str, str]) -> None:
    assert callable(search)
    found = {module.file: list(search(module.tree)) for module in MODULES}
    there = {file for file, lines in found.items() if lines}
    there = {file for file in there if not (file.startswith("providers/") and is_edge(file, search))}
    new = [f"{file}:{line}" for file in sorted(there - set(allowed)) for line in found[file]]
    assert not new, f"not on the list in {Path(__file__).name}: {', '.join(new)}"
    assert there == set(allowed), f"take off the list, for there is none left: {sorted(set(allowed) - there)}"


def is_edge(file: str, search: object) -> bool:
    """Whether floats may stand there because every provider measures time there."""
    return search is floats and file.rsplit("/", 1)[1] in EDGES


@pytest.mark.parametrize(
    ("search", "text", "lines"),
    [
        (floats, "a = 1\nb = 1.0\ndef f(c: float | None) -> int: ...", [2, 3]),
        (divisions, "a / b\nfolder / 'x'\nfolder / f'{x}'\na /= 2\na // b", [1, 4]),
        (
            untyped_json,
            "json.loads(x)\njson.loads(x, parse_float=str)\nmsgspec.json.decode(x)\n"
            "msgspec.json.decode(x, type=A)\nmsgspec.json.Decoder()\nmsgspec.json.Decoder(A)",
            [1, 3, 5],
        ),
    ],
)
def test_the_searches_find_what_they_look_for(search: object, text: str, lines: list[int]) -> None:
    assert callable(search)
    assert sorted(search(ast.parse(text))) == lines


# ---------------------------------------------------------------- migrations


def test_migrations_have_one_number_each_and_the_schema_is_the_newest() -> None:
    numbers = [module.name.rpartition(".")[2][:4] for module in MODULES if ".migrations.versions.0" in module.name]
    assert numbers == [f"{number:04}" for number in range(1, len(numbers) + 1)], "two migrations have one number"
    for module in MODULES:
        if ".migrations.versions.0" in module.name:
            number = module.name.rpartition(".")[2][:4]
            assert f'revision = "{number}"' in ast.unparse(module.tree).replace("'", '"'), module.file
    (base,) = (module for module in MODULES if module.name == "ledger.engines.base")
    assert f"REVISION: Final = '{numbers[-1]}'" in ast.unparse(base.tree)


# ---------------------------------------------------------------- every file of the project

NOT_OURS: Final = frozenset({"dist", "build", "site", "node_modules"})
TEXT: Final = frozenset({".py", ".md", ".toml", ".txt", ".json", ".yaml", ".yml", ".sh", ".cfg", ".ini", ".html", ""})

FORBIDDEN: Final = {
    "work left open": re.compile(rf"\b(?:{'|'.join(['TO' + 'DO', 'FIX' + 'ME', 'HA' + 'CK'])})\b"),
    "a path of one machine": re.compile(r"(?<![\w.~$}-])/(?:root|work|Users|home)/[\w.-]"),
    "a number in somebody's tracker": re.compile(r"\b(?:issue|ticket|pull request|PR)s? ?#?\d+\b", re.IGNORECASE),
}
"""What no file says. The patterns are put together so that this one does not say it either."""


def files() -> Iterator[Path]:
    """Every text file of the project that is ours."""
    for path in sorted(PROJECT.rglob("*")):
        parts = path.relative_to(PROJECT).parts
        hidden = any(part.startswith(".") and part not in (".ci", ".github", ".gitignore") for part in parts)
        ours = not hidden and not NOT_OURS & set(parts) and "__pycache__" not in parts
        if ours and path.suffix in TEXT and path.name != "uv.lock" and path.is_file():
            yield path


@pytest.mark.skipif(not (PROJECT / "pyproject.toml").exists(), reason="installed without its project")
def test_no_file_has_what_nobody_should_read() -> None:
    found = [
        f"{path.relative_to(PROJECT)}:{number}: {what}: {line.strip()[:80]}"
        for path in files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for what, pattern in FORBIDDEN.items()
        if pattern.search(line)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("parts", "what"),
    [
        (("# TO", "DO: later"), "work left open"),
        (("see /ro", "ot/.cache/x"), "a path of one machine"),
        (('"/wo', 'rk/x"'), "a path of one machine"),
        (("as in iss", "ue #12"), "a number in somebody's tracker"),
    ],
)
def test_the_patterns_find_what_they_look_for(parts: tuple[str, str], what: str) -> None:
    assert FORBIDDEN[what].search("".join(parts))
    assert not any(pattern.search("GET /v1/asset/cashflow of ~/work/x: #700.HK#") for pattern in FORBIDDEN.values())
