"""The files of the pages: vendored files, translations, templates and static files."""

import json
import re
from hashlib import sha256
from pathlib import Path

from babel.messages.pofile import read_po
from litestar.testing import TestClient

from liushui.server.web.i18n import CATALOGUES, SOURCE, TAGS
from liushui.server.web.page import TEMPLATES
from liushui.server.web.static_files import STATIC, read_assets
from tests.web.visitor import Visitor
from tools.i18n_catalogs import untranslated, updated, written

VENDOR = STATIC / "vendor"


def test_vendored_files_are_unchanged() -> None:
    manifest = json.loads((VENDOR / "MANIFEST.json").read_text(encoding="utf-8"))
    told = {name: digest for package in manifest for name, digest in package["files"].items()}
    there = {
        path.relative_to(VENDOR).as_posix(): sha256(path.read_bytes()).hexdigest()
        for path in VENDOR.rglob("*")
        if path.is_file() and path.name != "MANIFEST.json"
    }
    assert there == told
    for package in manifest:
        assert package["version"] and package["licence"] and package["source"].startswith("https://")
        assert any(Path(name).name.upper().startswith("LICEN") for name in package["files"]), package["name"]


def test_the_catalogues_are_up_to_date() -> None:
    for tag in TAGS:
        if tag != SOURCE:
            assert (CATALOGUES / f"{tag}.po").read_bytes() == written(updated(tag)), (
                "`python -m tools.i18n_catalogs` brings it up to date"
            )


def test_every_text_is_translated() -> None:
    for tag in TAGS:
        if tag != SOURCE:
            assert not list(untranslated(updated(tag)))


def test_translations_have_the_placeholders_of_their_originals() -> None:
    """A translation without the %(name)s and {name} of its original would fail when it is shown."""
    places = re.compile(r"%\(\w+\)[sd]|\{\w+\}")
    for path in CATALOGUES.glob("*.po"):
        with path.open("rb") as file:
            for message in read_po(file):
                originals = message.id if isinstance(message.id, (tuple, list)) else (message.id,)
                strings = message.string if isinstance(message.string, (tuple, list)) else (message.string,)
                wanted = set(places.findall(originals[-1]))
                assert all(set(places.findall(text or "")) == wanted for text in strings if message.id), message.id


def test_no_template_has_inline_scripts_or_styles_or_foreign_addresses() -> None:
    inline = re.compile(
        r"<script(?![^>]*\bsrc=)(?![^>]*application/json)|\sstyle=|\son\w+=|hx-on|https?://(?!www\.w3\.org/)"
    )
    for path in [*TEMPLATES.rglob("*.html"), *TEMPLATES.rglob("*.svg")]:
        found = inline.findall(path.read_text(encoding="utf-8"))
        assert not found, f"{path.name}: {found}"


def test_static_files_are_cached_for_ever_and_compressed(visitor: Visitor) -> None:
    assets = read_assets()
    answer = visitor.get(assets.url("css/tokens.css"), accept_encoding="gzip")
    assert answer.status_code == 200 and answer.content == assets.files["css/tokens.css"].content
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-encoding"] == "gzip" and answer.headers["x-content-type-options"] == "nosniff"
    plain = visitor.get(assets.url("css/tokens.css"), accept_encoding="identity")
    assert "content-encoding" not in plain.headers and plain.content == answer.content
    for path in (
        "/static/0/css/tokens.css",
        f"/static/{assets.version}/../page.py",
        assets.url("css/tokens.css") + "x",
    ):
        assert visitor.get(path).status_code == 404, path


def test_every_answer_has_the_security_headers(guest: Visitor) -> None:
    for path in ("/", "/login", "/keys", "/nothing", "/sources/none"):
        headers = guest.get(path, accept="text/html").headers
        assert "default-src 'none'" in headers["content-security-policy"] and "unsafe" not in str(headers)
        assert headers["x-frame-options"] == "DENY" and headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["referrer-policy"] == "same-origin" and headers["cache-control"] == "no-store"


def test_errors_are_pages_for_browsers_and_json_for_programs(guest: Visitor) -> None:
    page = guest.get("/sources/none", accept="text/html", accept_language="zh-CN")
    assert page.status_code == 404 and "找不到此页面" in page.text
    problem = guest.get("/sources/none")
    assert problem.headers["content-type"] == "application/problem+json"
    assert problem.json()["detail"] == "source: there is none named 'none'"
    assert isinstance(guest.client, TestClient)
