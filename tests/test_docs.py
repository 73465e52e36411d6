"""Pages that are generated are as the code makes them, and what the README says is there."""

import re
from pathlib import Path

from liushui.cli.page import PATH, page

ROOT = Path(__file__).parent.parent


def test_the_page_of_commands_is_not_stale() -> None:
    assert (ROOT / PATH).read_text(encoding="utf-8") == page(), "`make docs` writes it again"


def test_links_between_pages_lead_somewhere() -> None:
    for file in [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", file.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (file.parent / target).exists(), f"{file.relative_to(ROOT)} links to {target}"


def test_every_decision_is_listed() -> None:
    listed = (ROOT / "docs/decisions/README.md").read_text(encoding="utf-8")
    for file in (ROOT / "docs/decisions").glob("0*.md"):
        assert f"({file.name})" in listed
