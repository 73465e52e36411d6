"""The independent checker accepts valid input, and refuses it after any single changed byte.

The functions of the checker's file try most changes in this process. `python -I` and openssl try one in ten, as users
run the checker. LIUSHUI_TEST_CHANGES is the number of changes, and LIUSHUI_TEST_CERTIFICATES the number of unchanged
certificates. `make certificates` tries 10,000 and 1,000.
"""

import os
import shutil
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from liushui.flow import Kind
from tests.certificate.certified import CHECKER, MARCH, Files, certifiable_ledger, certify, export, march_rows
from tests.ledger.ledgers import make_row
from tools import check_certificate

CHANGES = int(os.environ.get("LIUSHUI_TEST_CHANGES", "2000"))
"""Changes to the certificate, to the rows in each format and to the proofs, all together."""
PROCESSES = CHANGES // 10
"""Further changes that are tried with a process each."""
ACCEPTED = int(os.environ.get("LIUSHUI_TEST_CERTIFICATES", "20"))
"""Certificates of other ledgers that are accepted."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Files]:
    """A certificate with its rows and proofs."""
    folder = tmp_path_factory.mktemp("checked")
    ledger = certifiable_ledger(folder)
    certify(ledger)
    yield export(ledger, folder / "files")
    ledger.close()


def changed(content: bytes, random: Random) -> bytes:
    """The content with one byte changed, removed or added."""
    at, byte = random.randrange(len(content)), random.randrange(1, 256)
    match random.randrange(10):
        case 0:
            return content[:at] + content[at + 1 :]
        case 1:
            return content[:at] + bytes([byte]) + content[at:]
        case 2 | 3 | 4:  # a bit, which turns letters into capitals and digits into other digits
            return content[:at] + bytes([content[at] ^ 1 << random.randrange(8)]) + content[at + 1 :]
        case _:
            return content[:at] + bytes([content[at] ^ byte]) + content[at + 1 :]


def test_it_imports_nothing_of_liushui_and_is_alone(files: Files, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    shutil.copytree(files.folder, alone)
    shutil.copy(CHECKER, alone / "check.py")
    # The packages of this environment are not visible: -I ignores its variables, and -S its site-packages.
    command = [sys.executable, "-I", "-S", "check.py", "--key", files.key, "certificate", "--rows", "rows.csv"]
    done = subprocess.run(command, cwd=alone, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("valid: a, 2024-03, 23 rows, complete\n", "")
    text = CHECKER.read_text(encoding="utf-8")
    assert "import liushui" not in text
    assert "from liushui" not in text


def test_every_single_changed_byte_is_refused(files: Files, tmp_path: Path) -> None:
    random = Random(1)
    whole = contents_of(files)
    weights = {"certificate": 4, "rows.csv": 2, "rows.jsonl": 2, "proofs": 2}

    def try_one(number: int, name: str, content: bytes) -> str | None:
        folder = tmp_path / str(number)
        folder.mkdir()
        for other, usual in whole.items():
            (folder / other).write_bytes(content if other == name else usual)
        rows = "rows.jsonl" if name == "rows.jsonl" else "rows.csv"
        done = Files(folder, files.key).check("--rows", rows, "--proof", "proofs")
        shutil.rmtree(folder)
        refused = done.returncode == 1 and done.stdout.startswith("not valid: ") and not done.stderr
        return None if refused else f"{name}: {content!r}: {done.stdout}{done.stderr}"

    names = random.choices(list(weights), list(weights.values()), k=PROCESSES)
    tries = [(number, name, changed(whole[name], random)) for number, name in enumerate(names)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        accepted = [failure for failure in pool.map(lambda values: try_one(*values), tries) if failure]
    assert not accepted, accepted[:3]


class Content:
    """What a file has, in place of its path."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def read_bytes(self) -> bytes:
        return self._content


def verify_without_openssl(_arguments: str, **content: bytes) -> bool:
    """What `openssl pkeyutl -verify` says of a signature."""
    try:
        Ed25519PublicKey.from_public_bytes(content["key"][-32:]).verify(content["signature"], content["text"])
    except (InvalidSignature, ValueError):
        return False
    return True


def is_accepted(key: str, contents: dict[str, bytes], rows: str) -> bool:
    """Whether the checker accepts a certificate with its rows and its proofs, if there are any."""
    proofs = Content(contents["proofs"]) if contents["proofs"] else None
    given = Namespace(key=key, certificate=Content(contents["certificate"]), rows=Content(contents[rows]), proof=proofs)
    given.timestamp = given.ca = None
    try:
        check_certificate.check_all(given)
    except Exception:
        return False
    return True


def test_many_more_changed_bytes_are_refused(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same in this process and without openssl, which is a hundred times as fast."""
    monkeypatch.setattr(check_certificate, "openssl", verify_without_openssl)
    random = Random(3)
    whole = contents_of(files)
    assert is_accepted(files.key, whole, "rows.csv")
    assert is_accepted(files.key, whole, "rows.jsonl")
    for _ in range(CHANGES):
        name = random.choice(list(whole))
        content = changed(whole[name], random)
        rows = "rows.jsonl" if name == "rows.jsonl" else "rows.csv"
        assert not is_accepted(files.key, whole | {name: content}, rows), f"{name}: {content!r}"


def contents_of(files: Files) -> dict[str, bytes]:
    """The bytes of a certificate and of what belongs to it, by the names of their files."""
    return {path.name: path.read_bytes() for path in files.folder.iterdir()}


def test_certificates_of_many_ledgers_are_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_certificate, "openssl", verify_without_openssl)
    random = Random(2)
    for number in range(ACCEPTED):
        folder = tmp_path / str(number)
        folder.mkdir()
        rows = [
            make_row(
                f"{random.random()}",
                MARCH[0] + random.random() * (MARCH[1] - MARCH[0]) * 1.1,
                str(Decimal(random.randint(-(10**12), 10**12)).scaleb(-random.randrange(12))),
                currency=random.choice(["USD", "CNY", "USDT"]),
                kind=random.choice(list(Kind)),
                label="".join(chr(random.choice([random.randrange(0x20, 0x250), 0x4E00])) for _ in range(9)),
            )
            for _ in range(random.choice([0, 1, 2, 3, 8, 33]))
        ]
        ledger = certifiable_ledger(folder, *(rows or march_rows()[:2]))
        certify(ledger)
        files = export(ledger, folder / "files")
        for rows_file in (files.rows, files.lines):
            assert is_accepted(files.key, contents_of(files), rows_file.name)
            if number % 10 == 0:
                words = ["--proof", files.proofs.name] if files.proofs.stat().st_size else []
                done = files.check("--rows", rows_file.name, *words)
                assert done.returncode == 0, done.stdout
        ledger.close()
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines[:-1], "there are 22 rows, and it is about 23"),
        (lambda lines: [*lines, lines[-1]], "there are 24 rows, and it is about 23"),
        (lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], "the rows are not sorted by time and id"),
        (lambda lines: [*lines[:-1], lines[-2]], "the rows are not sorted by time and id, or one is there twice"),
        (lambda lines: [*lines[:2], lines[2].replace('"USD"', '"USX"'), *lines[3:]], "the rows are others"),
        (lambda lines: [line.replace(":", ": ", 1) for line in lines], "the rows are not spelled"),
        (lambda lines: [lines[0].replace("2024-02", "2024-01"), *lines[1:]], "a row is outside of the period"),
    ],
)
def test_rows_that_are_not_the_population(files: Files, tmp_path: Path, change: object, message: str) -> None:
    assert callable(change)
    folder = tmp_path / "files"
    shutil.copytree(files.folder, folder)
    lines = files.lines.read_text(encoding="utf-8").split("\n")[:-1]
    (folder / "rows.jsonl").write_text("".join(f"{line}\n" for line in change(lines)), encoding="utf-8")
    done = Files(folder, files.key).check("--rows", "rows.jsonl")
    assert done.returncode == 1
    assert done.stdout.startswith(f"not valid: {message}")


def test_wrong_usage(files: Files) -> None:
    assert files.check("--timestamp", "x").returncode == 2
    name, key_id, material = files.key.split("+", 2)
    for key in ("bad", "", "x+1+2", f"other+{key_id}+{material}", f"{name}+{key_id}+{material[:-4]}", f"{name}+é+é"):
        done = Files(files.folder, key).check()
        said = "could not check: --key: expected the signer's key whole, as `liushui certificate key show` prints it"
        assert (done.returncode, done.stdout.startswith(said), done.stdout.count("\n"), done.stderr) == (2, True, 1, "")
    for option in ("--rows", "--proof"):
        done = files.check(option, "missing")
        assert (done.returncode, done.stdout) == (2, "could not check: missing: No such file or directory\n")
    folder = files.check("--rows", ".")
    assert (folder.returncode, folder.stdout) == (2, "could not check: .: Is a directory\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--proof", "rows.csv"], "line 1 of the proofs: it is no liushui row proof, because it is no JSON: Expecting"),
        (["--proof", "rows.jsonl"], "line 1 of the proofs: it is no liushui row proof"),
        (["--proof", "certificate"], "line 1 of the proofs: it is no liushui row proof"),
        (["--rows", "certificate"], ""),
        (["--rows", "proofs"], ""),
    ],
)
def test_a_file_of_another_kind_is_one_clear_line(files: Files, words: list[str], message: str) -> None:
    done = files.check(*words)
    assert (done.returncode, done.stdout.count("\n"), done.stderr) == (1, 1, "")
    assert done.stdout.startswith(f"not valid: {message}")
