"""Extracts the page's texts from code and templates into one .po file for each language.

`python -m tools.i18n_catalogs` updates the files and prints the texts that lack a translation.
"""

import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Final

from babel.messages.catalog import Catalog
from babel.messages.extract import extract, extract_from_dir
from babel.messages.pofile import read_po, write_po

from liushui.provider import Provider
from liushui.providers import load_providers
from liushui.server import web
from liushui.server.web.i18n import CATALOGUES, DOMAIN, SOURCE, TAGS

WEB: Final = Path(web.__file__).parent
PACKAGE: Final = WEB.parents[1]
DESCRIBE: Final = PACKAGE / "describe.py"
FILE_ERRORS: Final = (
    *sorted((PACKAGE / "files").glob("*.py")),
    *sorted((PACKAGE / "formats").glob("*/__init__.py")),
    PACKAGE / "importing" / "statements.py",
)
"""Modules whose errors of statement files the page shows."""
METHODS: Final = (("**.py", "python"), ("**/templates/**.html", "jinja2"), ("**/templates/**.svg", "jinja2"))
OPTIONS: Final = {
    "jinja2": {"newstyle_gettext": "true", "trimmed": "true", "extensions": "jinja2.ext.do", "silent": "false"}
}
KEYWORDS: Final = {
    "_": None,
    "gettext": None,
    "ngettext": (1, 2),
    "say": None,
    "say_many": (1, 2),
}
"""The functions that translate, and the positions of their texts among the arguments."""


def extracted() -> Catalog:
    """Return every text of the page, with the files that contain it."""
    catalogue = Catalog(domain=DOMAIN, project="liushui", charset="utf-8", fuzzy=False)
    options = {"**/templates/**.html": OPTIONS["jinja2"], "**/templates/**.svg": OPTIONS["jinja2"]}
    found = extract_from_dir(
        WEB,
        method_map=list(METHODS),
        options_map=options,
        keywords=KEYWORDS,
        strip_comment_tags=True,
    )
    for name, _line, message, comments, context in found:
        catalogue.add(message, None, [(Path(name).as_posix(), 0)], auto_comments=comments, context=context)
    with DESCRIBE.open("rb") as file:
        for _line, message, comments, context in extract("python", file, keywords=KEYWORDS):
            catalogue.add(message, None, [("describe.py", 0)], auto_comments=comments, context=context)
    for path in FILE_ERRORS:
        with path.open("rb") as file:
            for _line, message, comments, context in extract("python", file, keywords={"FileError": None, "_": None}):
                place = path.relative_to(PACKAGE).as_posix()
                catalogue.add(message, None, [(place, 0)], auto_comments=comments, context=context)
    for provider in load_providers().values():
        for text in words_of(provider):
            catalogue.add(text, None, [(f"providers/{provider.name}", 0)])
    return catalogue


def words_of(provider: Provider) -> Iterator[str]:
    """The English texts for readers in a provider's folder."""
    yield from (provider.title, provider.auth, provider.tested_with)
    yield from (field.title for field in provider.credentials)
    yield from (restriction.help for restriction in provider.restrictions)


def updated(tag: str, folder: Path = CATALOGUES) -> Catalog:
    """Return a language's catalogue with the present texts: new ones untranslated, unused ones removed."""
    path, fresh = folder / f"{tag}.po", extracted()
    catalogue = Catalog(locale=tag.replace("-", "_"), domain=DOMAIN, project="liushui", charset="utf-8", fuzzy=False)
    if path.exists():
        with path.open("rb") as file:
            known = read_po(file, locale=tag.replace("-", "_"))
        catalogue.revision_date = known.revision_date
    else:
        known = catalogue
    for message in sorted(fresh, key=lambda message: str(message.id)):
        if not message.id:
            continue
        before = known.get(message.id, message.context)
        places = sorted(set(message.locations))
        catalogue.add(message.id, before.string if before else None, places, context=message.context)
    return catalogue


def written(catalogue: Catalog) -> bytes:
    """Return the file of a catalogue. The same texts give the same bytes at any time and on any machine."""
    file = BytesIO()
    write_po(file, catalogue, width=110, omit_header=False, include_lineno=False, sort_output=True)
    lines = file.getvalue().decode().splitlines(keepends=True)
    dated = ('"POT-Creation-Date', '"PO-Revision-Date', '"Last-Translator', '"Generated-By', '"Report-Msgid')
    return "".join(line for line in lines if not line.startswith((*dated, "#,", "# "))).encode()


def untranslated(catalogue: Catalog) -> Iterator[str]:
    """The texts without a translation, or without one for some plural form."""
    for message in catalogue:
        strings = message.string if isinstance(message.string, (tuple, list)) else (message.string,)
        if message.id and not all(strings):
            yield str(message.id)


def main() -> int:
    """Bring every language's file up to date."""
    CATALOGUES.mkdir(exist_ok=True)
    missing = 0
    for tag in TAGS:
        if tag != SOURCE:
            catalogue = updated(tag)
            (CATALOGUES / f"{tag}.po").write_bytes(written(catalogue))
            for text in untranslated(catalogue):
                missing += 1
                sys.stdout.write(f"{tag}: {text}\n")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
