"""The page MAPPING.md of a provider's folder, for tests that compare its tables with the code."""

from pathlib import Path
from types import ModuleType

import msgspec

from liushui.flow import Flow

SOURCES = {"[doc]", "[live]", "[own]"}
"""Where a fact may come from."""


class MappingPage:
    """The page of a provider."""

    def __init__(self, provider: ModuleType) -> None:
        self.text = Path(str(provider.__file__)).with_name("MAPPING.md").read_text(encoding="utf-8")

    def table(self, heading: str, number: int = 0) -> list[list[str]]:
        """The rows of a table under a heading, its own heading left out."""
        section = self.text.split(f"\n## {heading}\n")[1].split("\n## ")[0].replace(r"\|", "¦")
        blocks = [block for block in map(str.strip, section.split("\n\n")) if block.startswith("|")]
        return [[cell.strip() for cell in line.strip("|").split("|")] for line in blocks[number].splitlines()[2:]]

    def assert_fields(self, wire: type[msgspec.Struct]) -> None:
        """Check that every field of a wire row stands there in its order."""
        names = [field.encode_name for field in msgspec.structs.fields(wire)]
        assert [cells[0].strip("`") for cells in self.table("Fields of a row")] == names

    def assert_words(self) -> None:
        """Check that our words for the fields are those of a flow."""
        words = {word.strip("` ") for cells in self.table("Fields of a row") for word in cells[1].split(",")}
        assert words <= set(Flow._fields)

    def assert_sources(self, heading: str) -> None:
        """Check that every fact of a table has its source."""
        assert {cells[-1] for cells in self.table(heading)} <= SOURCES
