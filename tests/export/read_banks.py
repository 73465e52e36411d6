"""A program that reads an OFX file with ofxtools and ofxparse, and a CAMT.053 file against its XSD, as JSON.

For each reader, it prints the statements, each with its account, currency, exact sum, closing balance, ids and first
time.
"""

import json
import sys
import warnings
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any

CAMT = "{urn:iso:std:iso:20022:tech:xsd:camt.053.001.08}"


def described(account: str, currency: str, amounts: list[Decimal], closing: Decimal, ids: list[str]) -> dict[str, Any]:
    sums = format(sum(amounts, Decimal()), "f")
    return {"account": account, "currency": currency, "sum": sums, "closing": format(closing, "f"), "ids": ids}


def by_ofxtools(path: str) -> list[dict[str, Any]]:
    parser = import_module("ofxtools.Parser").OFXTree()
    parser.parse(path)
    statements = []
    for one in parser.convert().statements:
        rows = list(one.transactions)
        found = described(
            one.account.acctid,
            one.curdef,
            [row.trnamt for row in rows],
            one.balance.balamt,
            [row.fitid for row in rows],
        )
        statements.append(
            found | {"times": [row.dtposted.isoformat() for row in rows], "names": [row.name for row in rows]}
        )
    return statements


def by_ofxparse(path: str) -> list[dict[str, Any]]:
    warnings.simplefilter("ignore")
    with Path(path).open("rb") as file:
        ofx = import_module("ofxparse").OfxParser.parse(file)
    statements = []
    for account in ofx.accounts:
        one = account.statement
        rows = one.transactions
        ids = [row.id for row in rows]
        statements.append(
            described(account.account_id, one.currency.upper(), [row.amount for row in rows], one.balance, ids)
        )
    return statements


def by_schema(path: str) -> dict[str, Any]:
    etree = import_module("lxml.etree")
    folder = next(Path(entry) / "camt053/xsd" for entry in sys.path if (Path(entry) / "camt053/xsd").exists())
    schema = etree.XMLSchema(etree.parse(folder / "camt.053.001.08.xsd"))
    document = etree.parse(path)
    statements = []
    for one in document.iter(f"{CAMT}Stmt"):
        opening, closing = (signed(balance) for balance in one.findall(f"{CAMT}Bal"))
        entries = one.findall(f"{CAMT}Ntry")
        amounts = [signed(entry) for entry in entries]
        ids = [entry.findtext(f"{CAMT}AcctSvcrRef") for entry in entries]
        account = one.findtext(f"{CAMT}Acct/{CAMT}Nm")
        found = described(account, one.findtext(f"{CAMT}Acct/{CAMT}Ccy"), amounts, closing, ids)
        adds_up = opening + sum(amounts, Decimal()) == closing
        statements.append(found | {"adds_up": adds_up, "coverage": one.findtext(f"{CAMT}AddtlStmtInf")})
    return {"valid": schema.validate(document), "errors": str(schema.error_log), "statements": statements}


def signed(element: Any) -> Decimal:  # noqa: ANN401 - lxml's
    amount = Decimal(element.findtext(f"{CAMT}Amt"))
    return -amount if element.findtext(f"{CAMT}CdtDbtInd") == "DBIT" else amount


ofx, camt = sys.argv[1:]
json.dump({"ofxtools": by_ofxtools(ofx), "ofxparse": by_ofxparse(ofx), "camt053": by_schema(camt)}, sys.stdout)
