"""Checks whether the packages that liushui installs have known vulnerabilities, by pip-audit and PyPI's advisories.

`python -m tools.audit` exits with 1 if there is a vulnerability, with 3 if the advisories of a package could not be
read, and with 0 if every package was audited and none has a vulnerability. pip-audit itself also exits with 0 if it
audited nothing: it counts a package that the service does not know as one without vulnerabilities.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from subprocess import TimeoutExpired, run
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

import msgspec
from uv import find_uv_bin

PROJECT: Final = Path(__file__).parent.parent
TIMEOUT_S: Final = 180
HOLES: Final = 1
NOT_AUDITED: Final = 3


class Hole(msgspec.Struct):
    """A vulnerability, as pip-audit reports it."""

    id: str
    fix_versions: list[str] = []
    aliases: list[str] = []


class Package(msgspec.Struct):
    """A package, with its vulnerabilities or the reason why it was not audited."""

    name: str
    version: str = ""
    vulns: list[Hole] = []
    skip_reason: str | None = None


class Report(msgspec.Struct):
    """What pip-audit prints."""

    dependencies: list[Package]


class Audit(NamedTuple):
    """The result: lines for people, and the exit code."""

    lines: list[str]
    code: int


def locked_requirements() -> str:
    """The packages that users install: those of the lock file with their hashes, including extras, without those for
    tests."""
    words = ["export", "--frozen", "--quiet", "--no-dev", "--all-extras", "--no-emit-project"]
    done = run([find_uv_bin(), *words], cwd=PROJECT, capture_output=True, text=True, check=True, timeout=TIMEOUT_S)  # noqa: S603 - our own program
    return done.stdout


def audit(requirements: str, options: Sequence[str] = ()) -> Audit:
    """Audit requirements with hashes. `options`: further ones for pip-audit."""
    with TemporaryDirectory() as folder:
        file = Path(folder, "requirements.txt")
        file.write_text(requirements, encoding="utf-8")
        command = [sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off"]
        command += ["--disable-pip", "--requirement", str(file), "--cache-dir", folder, *options]
        try:
            done = run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)  # noqa: S603 - our own program
        except TimeoutExpired:
            return Audit([f"NOT AUDITED: the advisory service did not answer in {TIMEOUT_S} s"], NOT_AUDITED)
    return judge(done.stdout, done.stderr)


def judge(output: str, messages: str) -> Audit:
    """Return the meaning of pip-audit's output. Its exit code does not show it: it is 1 both for a vulnerability and
    for a lost connection."""
    try:
        packages = msgspec.json.decode(output, type=Report).dependencies
    except msgspec.MsgspecError:
        reason = (messages.strip().splitlines() or ["no output"])[-1]
        return Audit([f"NOT AUDITED: the advisory service could not be reached: {reason}"], NOT_AUDITED)
    lines = [
        f"HOLE: {package.name} {package.version}: {', '.join([hole.id, *hole.aliases])}; "
        f"fixed in {', '.join(hole.fix_versions) or 'no version yet'}"
        for package in packages
        for hole in package.vulns
    ]
    has_holes = bool(lines)
    unaudited = [package for package in packages if package.skip_reason is not None]
    if unaudited:
        lines.append(f"NOT AUDITED: {len(unaudited)} of {len(packages)} packages, such as: {unaudited[0].skip_reason}")
    if not packages:
        lines.append("NOT AUDITED: pip-audit was given no package")
    if not lines:
        lines.append(f"audited: {len(packages)} packages, no known hole")
    return Audit(lines, HOLES if has_holes else NOT_AUDITED if unaudited or not packages else 0)


def main() -> int:
    """Audit the lock file."""
    result = audit(locked_requirements(), sys.argv[1:])
    sys.stdout.write("\n".join(result.lines) + "\n")
    return result.code


if __name__ == "__main__":
    sys.exit(main())
