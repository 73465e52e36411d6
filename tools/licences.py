"""The licences of the packages that liushui installs, and a check that we have looked at each licence.

`python -m tools.licences` prints them. It exits with 1 if a package has a licence that is not listed here: read it,
then add it to PERMISSIVE, or the package to COPYLEFT and to docs/licences.md.
"""

import re
import sys
from collections.abc import Mapping
from importlib.metadata import Distribution
from typing import Final, NamedTuple

from tools.installed import needed

EXTRAS: Final = "liushui[mcp,oidc,timestamp]"
"""The program with everything that users may install with it; what only tests need is left out."""

PERMISSIVE: Final = frozenset(
    {"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "PSF-2.0", "Unlicense", "Zlib"}
)
"""Licences that ask for no more than that their text is kept."""

COPYLEFT: Final[Mapping[str, str]] = {
    "certifi": "MPL-2.0",
    "psycopg": "LGPL-3.0-only",
    "psycopg-binary": "LGPL-3.0-only",
}
"""Packages whose own source must stay open. liushui uses them unchanged, as packages of their own."""

SPELLINGS: Final[Mapping[str, str]] = {
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd": "BSD-3-Clause",
    "bsd 3-clause": "BSD-3-Clause",
    "bsd 3-clause license": "BSD-3-Clause",
    "bsd license": "BSD-3-Clause",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "python software foundation license": "PSF-2.0",
    "the mit license": "MIT",
    "the unlicense (unlicense)": "Unlicense",
}
"""The SPDX expression for the licence texts of packages that state none, in small letters."""


class Licence(NamedTuple):
    """A package and its licence, as an SPDX expression where the package has one."""

    package: str
    version: str
    licence: str

    @property
    def is_known(self) -> bool:
        """Whether somebody has looked at it."""
        return self.is_permissive or COPYLEFT.get(self.package) == self.licence

    @property
    def is_permissive(self) -> bool:
        """Whether each licence that the expression names is. (Of two to choose from one would do.)"""
        return all(part in PERMISSIVE for part in re.split(r" AND | OR ", self.licence.strip("()")))


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
    for text in (first_line, *named):
        if text.lower() in SPELLINGS or text in PERMISSIVE:
            return SPELLINGS.get(text.lower(), text)
    return first_line or " AND ".join(named) or "none named"


def _field(package: Distribution, name: str) -> str:
    return next(iter(package.metadata.get_all(name) or ()), "")


def main() -> int:
    """Print all licences."""
    found = licences()
    width = max(len(one.package) for one in found)
    for one in found:
        mark = "" if one.is_permissive else " (copyleft)" if one.is_known else " <- nobody has looked at this one"
        sys.stdout.write(f"{one.package:{width}}  {one.version:12}  {one.licence}{mark}\n")
    return 0 if all(one.is_known for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
