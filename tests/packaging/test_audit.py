"""The audit of the packages, with the real pip-audit and our own advisory service; and their licences."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Final

import pytest

from liushui.testing.processes import free_port
from tests.packaging.wheels import PROJECT
from tools.audit import HOLES, NOT_AUDITED, audit, judge, locked_requirements
from tools.licences import COPYLEFT, PERMISSIVE, Licence, licences

HASH: Final = "0" * 64
REQUIREMENTS: Final = f"click==8.5.1 --hash=sha256:{HASH}\nrich==15.0.0 --hash=sha256:{HASH}\n"
HOLE: Final = {
    "id": "GHSA-0000-0000-0000",
    "aliases": ["CVE-2026-0000"],
    "summary": "It leaks.",
    "affected": [
        {
            "package": {"name": "click", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "8.6.0"}]}],
        }
    ],
}


@contextmanager
def advisories(holes: dict[str, Any]) -> Iterator[list[str]]:
    """A service with these advisories by package. Yields options that make pip-audit ask it."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = json.loads(self.rfile.read(int(self.headers["content-length"])))
            hole = holes.get(query["package"]["name"])
            body = json.dumps({} if hole is None else {"vulns": [hole]}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_words: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield options_for(server.server_address[1])
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def options_for(port: int) -> list[str]:
    return ["--vulnerability-service", "osv", "--osv-url", f"http://127.0.0.1:{port}/v1/query"]


def test_no_hole() -> None:
    with advisories({}) as options:
        assert audit(REQUIREMENTS, options) == (["audited: 2 packages, no known hole"], 0)


def test_a_hole() -> None:
    with advisories({"click": HOLE}) as options:
        result = audit(REQUIREMENTS, options)
    assert result.code == HOLES
    (line,) = result.lines
    assert line.startswith("HOLE: click 8.5.1: ")
    assert "GHSA-0000-0000-0000" in line and "CVE-2026-0000" in line and "fixed in 8.6.0" in line


def test_a_service_that_cannot_be_reached() -> None:
    result = audit(REQUIREMENTS, options_for(free_port()))
    assert result.code == NOT_AUDITED
    assert result.lines[0].startswith("NOT AUDITED: the advisory service could not be reached: ")


def test_packages_that_the_service_does_not_know_are_not_audited_and_hide_no_hole() -> None:
    unknown = {"name": "rich", "skip_reason": "Dependency not found on PyPI and could not be audited: rich (15.0.0)"}
    known = {"name": "click", "version": "8.5.1", "vulns": []}
    result = judge(json.dumps({"dependencies": [known, unknown], "fixes": []}), "No known vulnerabilities found")
    assert result.code == NOT_AUDITED
    assert result.lines == [f"NOT AUDITED: 1 of 2 packages, such as: {unknown['skip_reason']}"]
    hole = known | {"vulns": [{"id": "PYSEC-1", "fix_versions": [], "aliases": [], "description": "x"}]}
    result = judge(json.dumps({"dependencies": [hole, unknown], "fixes": []}), "")
    assert result.code == HOLES
    assert result.lines[0] == "HOLE: click 8.5.1: PYSEC-1; fixed in no version yet"
    assert judge('{"dependencies": []}', "").code == NOT_AUDITED


def test_what_users_install_is_audited() -> None:
    names = {line.partition("==")[0] for line in locked_requirements().splitlines() if "==" in line}
    assert {"psycopg", "mcp", "cryptography"} <= names
    assert not {"hypothesis", "liushui", "pip-audit"} & names


def test_every_licence_is_known_and_copyleft_is_documented() -> None:
    found = licences()
    assert {"psycopg", "granian", "mcp", "rfc3161-client"} <= {one.package for one in found}
    assert [one for one in found if not one.is_known] == []
    page = (PROJECT / "docs/licences.md").read_text(encoding="utf-8")
    assert all(f"| {package} | {licence} |" in page for package, licence in COPYLEFT.items())


@pytest.mark.parametrize("licence", ["GPL-3.0-only", "none named", "Proprietary", "", "MIT AND GPL-3.0-only"])
def test_a_licence_that_was_not_reviewed(licence: str) -> None:
    assert not Licence("new", "1", licence).is_known
    assert not Licence("psycopg", "1", licence).is_known
    assert not PERMISSIVE & set(COPYLEFT.values())


@pytest.mark.parametrize("licence", ["MIT", "Apache-2.0 AND BSD-2-Clause", "MIT OR Apache-2.0"])
def test_a_permissive_licence(licence: str) -> None:
    assert Licence("new", "1", licence).is_known
