"""What the pages are made of: files of others as they were published, words in every language, our own files found."""

import json
import re
from hashlib import sha256
from pathlib import Path

from babel.messages.pofile import read_po
from litestar.testing import TestClient

from liushui.server.web.i18n import CATALOGUES, SOURCE, TAGS
from liushui.server.web.i18n_catalogs import untranslated, updated, written
from liushui.server.web.page import TEMPLATES
from liushui.server.web.static_files import STATIC, read_assets
from tests.web.visitor import Visitor

VENDOR = STATIC / "vendor"


def test_what_others_wrote_is_as_they_published_it() -> None:
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


def test_the_catalogues_are_as_the_code_makes_them() -> None:
    for tag in TAGS:
        if tag != SOURCE:
            assert (CATALOGUES / f"{tag}.po").read_bytes() == written(updated(tag)), (
                "`python -m liushui.server.web.i18n_catalogs` brings it up to date"
            )


def test_nothing_is_left_in_english() -> None:
    for tag in TAGS:
        if tag != SOURCE:
            assert not list(untranslated(updated(tag)))


def test_translations_have_the_places_of_their_originals() -> None:
    """%(name)s and {name} stand in a translation as in the text it is of, so that none fails when it is shown."""
    places = re.compile(r"%\(\w+\)[sd]|\{\w+\}")
    for path in CATALOGUES.glob("*.po"):
        with path.open("rb") as file:
            for message in read_po(file):
                originals = message.id if isinstance(message.id, (tuple, list)) else (message.id,)
                strings = message.string if isinstance(message.string, (tuple, list)) else (message.string,)
                wanted = set(places.findall(originals[-1]))
                assert all(set(places.findall(text or "")) == wanted for text in strings if message.id), message.id


def test_no_template_has_a_script_a_style_or_an_address_of_elsewhere() -> None:
    inline = re.compile(
        r"<script(?![^>]*\bsrc=)(?![^>]*application/json)|\sstyle=|\son\w+=|hx-on|https?://(?!www\.w3\.org/)"
    )
    for path in [*TEMPLATES.rglob("*.html"), *TEMPLATES.rglob("*.svg")]:
        found = inline.findall(path.read_text(encoding="utf-8"))
        assert not found, f"{path.name}: {found}"


def test_static_files_may_be_kept_for_ever_and_are_packed(visitor: Visitor) -> None:
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


def test_every_answer_carries_the_policy(guest: Visitor) -> None:
    for path in ("/", "/login", "/keys", "/nothing", "/sources/none"):
        headers = guest.get(path, accept="text/html").headers
        assert "default-src 'none'" in headers["content-security-policy"] and "unsafe" not in str(headers)
        assert headers["x-frame-options"] == "DENY" and headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["referrer-policy"] == "same-origin" and headers["cache-control"] == "no-store"


def test_what_is_asked_for_wrongly_is_said_in_the_askers_way(guest: Visitor) -> None:
    page = guest.get("/sources/none", accept="text/html", accept_language="zh-CN")
    assert page.status_code == 404 and "找不到此页面" in page.text
    problem = guest.get("/sources/none")
    assert problem.headers["content-type"] == "application/problem+json"
    assert problem.json()["detail"] == "source: there is none named 'none'"
    assert isinstance(guest.client, TestClient)
