"""The licences of what liushui installs, and a check that each is one that we have looked at.

`python -m tools.licences` prints them. It exits with 1 if a package has a licence that is not listed here: read it,
then add it to PERMISSIVE, or the package to COPYLEFT and to docs/licences.md.
"""

import sys
from collections.abc import Mapping
from importlib.metadata import Distribution
from typing import Final, NamedTuple

from tools.installed import needed

EXTRAS: Final = "liushui[mcp,timestamp]"
"""The program with everything that users may install with it; what only tests need is left out."""

PERMISSIVE: Final = frozenset(
    {
        "Apache-2.0",
        "Apache-2.0 AND BSD-2-Clause",
        "Apache-2.0 OR BSD-3-Clause",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "MIT",
        "MIT OR Apache-2.0",
        "MIT-0",
        "PSF-2.0",
    }
)
"""Licences that ask for no more than that their text is kept."""

COPYLEFT: Final[Mapping[str, str]] = {
    "certifi": "MPL-2.0",
    "psycopg": "LGPL-3.0-only",
    "psycopg-binary": "LGPL-3.0-only",
}
"""Packages whose own source must stay open. liushui uses them unchanged, as packages of their own."""

SPELLINGS: Final[Mapping[str, str]] = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
}
"""The SPDX expression for what packages without one say."""


class Licence(NamedTuple):
    """A package and its licence, as an SPDX expression where the package has one."""

    package: str
    version: str
    licence: str

    @property
    def is_known(self) -> bool:
        """Whether somebody has looked at it."""
        return self.licence in PERMISSIVE or COPYLEFT.get(self.package) == self.licence


def licences() -> list[Licence]:
    """The licence of every package."""
    return [
        Licence(package.name.lower().replace("_", "-"), package.version, licence_of(package))
        for package in needed([EXTRAS])
    ]


def licence_of(package: Distribution) -> str:
    """The licence that a package names: by an SPDX expression, else in the older fields."""
    if expression := _field(package, "License-Expression"):
        return expression
    first_line = _field(package, "License").strip().partition("\n")[0].strip()
    classifiers = package.metadata.get_all("Classifier") or ()
    named = [text.rpartition(" :: ")[2] for text in classifiers if text.startswith("License ::")]
    text = first_line or " AND ".join(named) or "none named"
    return SPELLINGS.get(text, text)


def _field(package: Distribution, name: str) -> str:
    return next(iter(package.metadata.get_all(name) or ()), "")


def main() -> int:
    """Print all licences."""
    found = licences()
    width = max(len(one.package) for one in found)
    for one in found:
        mark = (
            "" if one.licence in PERMISSIVE else " (copyleft)" if one.is_known else " <- nobody has looked at this one"
        )
        sys.stdout.write(f"{one.package:{width}}  {one.version:12}  {one.licence}{mark}\n")
    return 0 if all(one.is_known for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
