#!/usr/bin/env python3
"""Check a liushui certificate without liushui.

It needs Python 3.10 and openssl 3, and nothing else. docs/certificate.md explains the format.
"""

from __future__ import annotations

import argparse
import base64
import csv
import hashlib
import io
import json
import re
import subprocess
import sys
import tempfile
from decimal import Context, Decimal, Inexact, localcontext
from pathlib import Path
from typing import Any, NoReturn


class UsageError(Exception):
    """Something that was given cannot be used, so that nothing was checked."""


def check(condition: object, message: str) -> None:
    if not condition:
        raise ValueError(message)


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error


def openssl(arguments: str, **files: bytes) -> bool:
    """Whether a command of openssl succeeds, in a folder with these files."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        command = ["openssl", *arguments.split()]
        return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0  # noqa: S603


def parse_key(verifier_key: str) -> tuple[str, bytes, bytes]:
    """The name of a C2SP verifier key, its ID, and the type with the public key."""
    try:
        name, _, encoded = verifier_key.split("+", 2)
        material = base64.b64decode(encoded, validate=True)
    except ValueError:
        name, material = "", b""
    key_id = hashlib.sha256(name.encode() + b"\n" + material).digest()[:4]
    if len(material) != 33 or f"{name}+{key_id.hex()}+{base64.b64encode(material).decode()}" != verifier_key:
        raise UsageError(
            f"--key: expected the signer's key whole, as `liushui certificate key show` prints it, got {verifier_key!r}"
        )
    return name, key_id, material


def open_note(note: bytes, verifier_key: str) -> str:
    """The text of a C2SP signed note: everything up to the empty line before the signatures."""
    name, key_id, material = parse_key(verifier_key)
    check(material[0] == 1, "the key is not one of Ed25519")
    end = note.rfind(b"\n\n") + 1
    *lines, rest = note[end + 1 :].decode().split("\n")
    check(end and lines and not rest, "it is no signed note")
    for line in lines:
        match = re.fullmatch(r"— ([^\s+]+) ([A-Za-z0-9+/]+=*)", line)
        blob = base64.b64decode(match[2], validate=True) if match else b""
        check(match and base64.b64encode(blob).decode() == match[2], f"it is no signature line: {line}")
        if match and (match[1], blob[:4]) == (name, key_id):
            der = b"0*0\x05\x06\x03+ep\x03!\x00" + material[1:]  # a SubjectPublicKeyInfo of RFC 8410
            verify = "pkeyutl -verify -pubin -keyform DER -inkey key -rawin -in text -sigfile signature"
            check(openssl(verify, key=der, text=note[:end], signature=blob[4:]), "it was changed after it was signed")
            return note[:end].decode()
    raise ValueError(f"it is not signed by {name}+{key_id.hex()}")


canonical = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode
"""RFC 8785, for values whose names are ASCII and whose numbers are whole."""


def parse(text: str, format_: str) -> dict[str, Any]:
    def refuse(number: str) -> NoReturn:
        raise ValueError(f"{number} is no number of this format")

    try:
        document: dict[str, Any] = json.loads(text, parse_float=refuse, parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no {format_}, because it is no JSON: {error}") from error
    check(type(document) is dict and document.get("format") == format_, f"it is no {format_}")
    check(document["version"] == 1, f"it has version {document['version']} of the format, and this program knows 1")
    check(canonical(document) + "\n" == text, f"{format_}: its JSON is not canonical")
    return document


def leaf_hash(row: dict[str, str]) -> bytes:
    return hashlib.sha256(b"\0" + canonical(row).encode()).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def root_of(hashes: list[bytes]) -> bytes:
    """RFC 6962, section 2.1."""
    if len(hashes) < 2:
        return hashes[0] if hashes else hashlib.sha256(b"").digest()
    middle = 1 << (len(hashes) - 1).bit_length() - 1
    return node_hash(root_of(hashes[:middle]), root_of(hashes[middle:]))


def check_sums(document: dict[str, Any]) -> None:
    """What a document says must agree with itself."""
    totals, basis = document["population"]["totals"], document["completeness"]
    check(sum(one["rows"] for one in totals) == document["population"]["rows"], "its totals are of other rows")
    check(basis["complete"] == (basis["status"] == "complete" and not basis["missing"]), "it is complete, and is not")
    for line in document["roll_forward"]:
        kinds = [one for one in totals if all(one[name] == line[name] for name in ("subaccount", "currency"))]
        opening, closing, net = line["opening"]["amount"], line["closing"]["amount"], Decimal(0)
        for side in ("money_in", "money_out"):
            check(
                sum(Decimal(one[side]) for one in kinds) == Decimal(line[side]), f"{side} is not the sum of its kinds"
            )
            net += Decimal(line[side])
        check((opening is None) == (closing is None), "one of an opening and a closing balance is missing")
        check(opening is None or Decimal(opening) + net == Decimal(closing), "opening + in + out is not closing")


def read_rows(text: str, columns: list[str]) -> list[dict[str, str]]:
    """Rows in CSV with a header, or in JSON lines, spelled as liushui spells them."""
    if text.startswith("{"):
        rows: list[dict[str, str]] = [json.loads(line) for line in text.split("\n")[:-1]]
        again = "".join(canonical(row) + "\n" for row in rows)
    else:
        cells = list(csv.reader(io.StringIO(text, newline=""), strict=True))
        check(not cells or cells[0] == columns, "the header has other columns")
        rows = [dict(zip(columns, row, strict=True)) for row in cells[1:]]
        written = io.StringIO()
        csv.writer(written, lineterminator="\n").writerows(cells and [columns, *(row.values() for row in rows)])
        again = written.getvalue()
    check(again == text, "the rows are not spelled as `certificate rows` prints them")
    check(all(list(row) == columns and {*map(type, row.values())} == {str} for row in rows), "a row has other columns")
    return rows


def check_rows(document: dict[str, Any], rows: list[dict[str, str]]) -> None:
    """The rows must be the whole population: no more, no fewer, and none changed."""
    population, period = document["population"], document["subject"]["period"]
    since, until = (period[end].replace("Z", ".000000Z") for end in ("since", "until"))
    keys = [(row["at"], row["id"]) for row in rows]
    check(len(rows) == population["rows"], f"there are {len(rows)} rows, and it is about {population['rows']}")
    check(keys == sorted(set(keys)), "the rows are not sorted by time and id, or one is there twice")
    check(all(since <= at < until for at, _ in keys), "a row is outside of the period")
    check(root_of([leaf_hash(row) for row in rows]).hex() == document["integrity"]["root"], "the rows are others")
    sums: dict[tuple[str, ...], list[Any]] = {}
    for row in rows:
        total = sums.setdefault((row["subaccount"], row["currency"], row["kind"]), [0, Decimal(0), Decimal(0)])
        total[0] += 1
        total[2 if row["amount"].startswith("-") else 1] += Decimal(row["amount"])
    certified = {
        (one["subaccount"], one["currency"], one["kind"]): [
            one["rows"],
            *map(Decimal, (one["money_in"], one["money_out"])),
        ]
        for one in population["totals"]
    }
    check(sums == certified, "the rows do not add up to the totals")


def check_proof(document: dict[str, Any], digest: str, proof: dict[str, Any]) -> None:
    """RFC 9162, section 2.1.3.2."""
    names = ["certificate", "format", "index", "path", "row", "rows", "version"]
    check(list(proof) == names and proof["certificate"] == digest, "the proof is of another certificate")
    check(proof["rows"] == document["population"]["rows"], "the proof is of another number of rows")
    check(list(proof["row"]) == document["population"]["columns"], "the row of the proof has other columns")
    node, index, last = leaf_hash(proof["row"]), proof["index"], proof["rows"] - 1
    check(type(index) is int and 0 <= index <= last, "the proof is of no row")
    for text in proof["path"]:
        check(last > 0 and re.fullmatch("[0-9a-f]{64}", text), "the path of the proof is too long, or has no digests")
        from_left = index & 1 or index == last
        node = node_hash(bytes.fromhex(text), node) if from_left else node_hash(node, bytes.fromhex(text))
        while from_left and index and not index & 1:
            index, last = index >> 1, last >> 1
        index, last = index >> 1, last >> 1
    check(last == 0 and node.hex() == document["integrity"]["root"], "the path of the proof leads to another root")


def check_all(given: argparse.Namespace) -> str:
    note = read(given.certificate)
    document = parse(open_note(note, given.key), "liushui certificate")
    check_sums(document)
    if given.rows:
        check_rows(document, read_rows(read(given.rows).decode(), document["population"]["columns"]))
    if given.proof:
        *proofs, rest = read(given.proof).decode().split("\n")
        check(proofs and not rest, "the file of proofs is cut off, or has no proofs")
        for number, line in enumerate(proofs, 1):
            try:
                check_proof(document, hashlib.sha256(note).hexdigest(), parse(line + "\n", "liushui row proof"))
            except ValueError as error:
                raise ValueError(f"line {number} of the proofs: {error}") from error
    if given.timestamp:
        stamp, ca = read(given.timestamp), read(given.ca)
        verify = "ts -verify -data note -in stamp -CAfile ca"
        check(
            openssl(verify, note=note, stamp=stamp, ca=ca), "the time stamp is of something else, or by somebody else"
        )
    subject, rows, basis = document["subject"], document["population"]["rows"], document["completeness"]
    verdict = "complete" if basis["complete"] else f"not complete ({basis['status']})"
    differ = sum(line["check"]["status"] == "fail" for line in document["roll_forward"])
    verdict += f", {differ} closing balances differ from what is stated" if differ else ""
    verdict += ", the balance chain breaks" if document["breaks"]["status"] == "fail" else ""
    return f"{subject['account']}, {subject['period']['name']}, {rows} rows, {verdict}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("certificate", type=Path)
    parser.add_argument("--key", required=True, help="the signer's key, from `liushui certificate key show`")
    parser.add_argument("--rows", type=Path, help="the rows, from `liushui certificate rows`")
    parser.add_argument("--proof", type=Path, help="proofs of rows, from `liushui certificate prove-row`")
    parser.add_argument("--timestamp", type=Path, help="the time stamp of the certificate: CERTIFICATE.tsr")
    parser.add_argument("--ca", type=Path, help="the certificate of the time stamp's authority, in PEM")
    given = parser.parse_args()
    if bool(given.timestamp) != bool(given.ca):
        parser.error("--timestamp and --ca belong together")
    try:
        with localcontext(Context(prec=2_000, traps=[Inexact])):
            result, code = f"valid: {check_all(given)}", 0
    except UsageError as error:
        result, code = f"could not check: {error}", 2
    except Exception as error:  # whatever strange content leads to: it is not valid
        text = f"{error}" if isinstance(error, ValueError) else f"its content is of another kind ({error!r})"
        result, code = f"not valid: {' '.join(text.split())}", 1
    sys.stdout.buffer.write(f"{result}\n".encode(errors="backslashreplace"))
    return code


if __name__ == "__main__":
    sys.exit(main())
