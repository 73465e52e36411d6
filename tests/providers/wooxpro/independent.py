"""A client of WOO X Pro's futures transactions, written only from the provider's document: standard library only.

It reads a job as JSON on its standard input: `url`, `key`, and `calls`, each a list of parameters in pairs. It prints
the answer to each call: the HTTP status, the headers, and the JSON document.
"""

import json
import sys
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode, urlsplit

PATH = "/contract/private/transaction-history"
ROW = ("symbol", "flow_type", "type", "account", "amount", "asset", "time", "tran_id")


def call(connection: HTTPConnection, prefix: str, key: str | None, parameters: list[list[str]]) -> dict[str, Any]:
    """Make one call, and insist on what the document says of its answer."""
    query = urlencode([(name, value) for name, value in parameters])
    target = f"{prefix}{PATH}?{query}" if query else f"{prefix}{PATH}"
    connection.request("GET", target, headers={} if key is None else {"X-API-KEY": key})
    answer = connection.getresponse()
    headers = {name.lower(): value for name, value in answer.getheaders()}
    document = json.loads(answer.read(), parse_float=str)
    if document["code"] == 1000:
        check(document)
    return {"status": answer.status, "headers": headers, "document": document}


def check(document: dict[str, Any]) -> None:
    """Raise ValueError for an answer that is not as the document's tables have it."""
    if document["message"] != "Ok" or type(document["data"]) is not list or type(document["trace"]) is not str:
        raise ValueError(f"not the document's envelope: {document}")
    for row in document["data"]:
        texts = [row[name] for name in ROW if name != "flow_type"]
        if type(row["flow_type"]) is not int or any(type(text) is not str for text in texts):
            raise ValueError(f"not the document's row: {row}")


def main() -> None:
    """Do the job."""
    job = json.load(sys.stdin)
    where = urlsplit(job["url"])
    connection = HTTPConnection(where.hostname or "", where.port, timeout=30)
    json.dump([call(connection, where.path, job["key"], parameters) for parameters in job["calls"]], sys.stdout)


if __name__ == "__main__":
    main()
