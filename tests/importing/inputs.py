"""Rows, files and ledgers for the tests of importing."""

import json
from pathlib import Path

from liushui.importing.run import Imported, import_files
from liushui.ledger.engine import Ledger
from liushui.ledger.write.commit import make_account
from liushui.providers.longbridge import PROVIDER
from liushui.testing.empty_ledger import create_ledger

SECOND = 1_700_000_000


def row(second: int, amount: str = "-1.00", *, label: str = "x", note: str = "") -> bytes:
    """A Longbridge row, so many seconds after SECOND."""
    fields = {
        "transaction_flow_name": label,
        "direction": 1,
        "business_type": 1,
        "balance": amount,
        "currency": "USD",
        "business_time": str(SECOND + second),
        "symbol": "",
        "description": note,
    }
    return json.dumps(fields, separators=(",", ":")).encode()


def envelope(rows: list[bytes]) -> bytes:
    """A saved answer."""
    return b'{"code":0,"message":"success","data":{"list":[' + b",".join(rows) + b"]}}"


def new_ledger(path: Path) -> Ledger:
    """A ledger with the account `a`."""
    ledger = create_ledger(str(path))
    make_account(ledger, "a", "longbridge", "UTC")
    return ledger


def import_texts(ledger: Ledger, folder: Path, texts: list[bytes]) -> Imported:
    """Import texts as files, in one invocation."""
    paths = []
    for number, text in enumerate(texts):
        path = folder / f"{number}.json"
        path.write_bytes(text)
        paths.append(path)
    return import_files(ledger, "a", PROVIDER, paths, advance=lambda _read: None)
