"""The page's Chinese texts use the terms of docs/glossary.md."""

import re
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po

from liushui.server.web.i18n import CATALOGUES

GLOSSARY = (Path(__file__).parents[2] / "docs/glossary.md").read_text(encoding="utf-8")
TERM = re.compile(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| [^|]+ \|$", re.MULTILINE)
RETIRED = ("数据方", "資料方", "证实", "證實", "发现", "發現", "隔离", "隔離", "方言", "您")
"""Words that earlier texts used for a provider, complete, to review, rejected rows and a provider API."""


def test_the_page_translates_the_terms_as_the_glossary_does() -> None:
    terms = {english: (simplified, traditional) for english, simplified, traditional in TERM.findall(GLOSSARY)}
    catalogs = (_catalog("zh-Hans"), _catalog("zh-Hant"))
    on_the_page = [term for term in terms if term in catalogs[0]]
    assert len(on_the_page) > 30
    for term in on_the_page:
        assert tuple(catalog[term].string for catalog in catalogs) == terms[term], term


def test_no_chinese_text_uses_a_retired_word() -> None:
    for tag in ("zh-Hans", "zh-Hant"):
        for message in _catalog(tag):
            if message.id:
                assert not [word for word in RETIRED if word in str(message.string)], message.id


def _catalog(tag: str) -> Catalog:
    with (CATALOGUES / f"{tag}.po").open("rb") as file:
        return read_po(file)
